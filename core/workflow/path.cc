#include "core/workflow/path.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "core/text.h"
#include "core/workflow/render.h"

namespace capstan::workflow {
namespace {

constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxIndexDigits = 6;
constexpr std::string_view kSteps = "steps.";

bool IsKey(std::string_view text) {
  return !text.empty() && (absl::ascii_isalpha(text[0]) || text[0] == '_') &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; });
}

// "[0][1]" into parts; false when it is not that.
bool SplitIndices(std::string_view text, std::vector<PathPart>& parts) {
  while (!text.empty()) {
    const std::size_t close = text.find(']');
    if (text[0] != '[' || close == std::string_view::npos || close - 1 > kMaxIndexDigits) {
      return false;
    }
    PathPart part;
    const std::string_view digits = text.substr(1, close - 1);
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(AbslView(digits), &part.index)) {
      return false;
    }
    parts.push_back(std::move(part));
    text.remove_prefix(close + 1);
  }
  return true;
}

}  // namespace

bool IsVariableName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && absl::ascii_isupper(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

bool IsStepName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && absl::ascii_islower(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

std::optional<std::vector<PathPart>> SplitPath(std::string_view path) {
  std::vector<PathPart> parts;
  if (path.size() > kMaxReferenceBytes) return std::nullopt;
  for (std::size_t end = 0; end != std::string_view::npos; path.remove_prefix(end + 1)) {
    end = path.find('.');
    std::string_view piece = path.substr(0, end);
    const std::string_view key = piece.substr(0, piece.find('['));
    if (!IsKey(key)) return std::nullopt;
    parts.push_back({.key = std::string(key)});
    piece.remove_prefix(key.size());
    if (!SplitIndices(piece, parts)) return std::nullopt;
    if (end == std::string_view::npos) break;
  }
  return parts;
}

absl::Status CheckReference(std::string_view reference) {
  if (IsVariableName(reference)) return absl::OkStatus();
  const std::optional<std::vector<PathPart>> parts = SplitPath(reference);
  const bool about_step =
      parts.has_value() && parts->size() >= 3 && parts->at(0).key == "steps" &&
      IsStepName(parts->at(1).key) &&
      (parts->at(2).key == "output" ||
       (parts->size() == 3 && (parts->at(2).key == "state" || parts->at(2).key == "artifact")));
  if (about_step) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat("got \"", reference.substr(0, kMaxReferenceBytes),
          "\", want a variable such as TASK_ID, or steps.<name>.state, steps.<name>.artifact or "
          "steps.<name>.output.<path>"));
}

std::string StepOf(std::string_view reference) {
  const std::optional<std::vector<PathPart>> parts = SplitPath(reference);
  if (!parts.has_value() || parts->size() < 2 || parts->at(0).key != "steps") return "";
  return parts->at(1).key;
}

std::optional<nlohmann::json> Lookup(const Values& values, std::string_view reference) {
  if (reference.substr(0, kSteps.size()) == kSteps) {
    const nlohmann::json* found = Find(values.steps, reference.substr(kSteps.size()));
    if (found == nullptr) return std::nullopt;
    return *found;
  }
  const auto found = values.variables.find(std::string(reference));
  if (found == values.variables.end()) return std::nullopt;
  return found->second;
}

}  // namespace capstan::workflow
