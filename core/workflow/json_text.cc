#include "core/workflow/json_text.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxShownKey = 80;
constexpr std::string_view kFenceBegin = "```json";
constexpr std::string_view kFenceEnd = "\n```";

std::string_view Trim(std::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(AbslView(text));
  return {trimmed.data(), trimmed.size()};
}

// Watches a parser: what it must not get, and would take.
class Watch {
 public:
  explicit Watch(int depth) : max_depth_(depth) {}

  // As nlohmann's parser calls it; false drops the value.
  bool operator()(int depth, json::parse_event_t event, json& value) {
    if (!error_.empty()) return false;
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (depth >= max_depth_) Refuse(Cat("got more levels, want at most ", max_depth_));
        if (event == json::parse_event_t::object_start) keys_.emplace_back();
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key:
        CheckText(value);
        CheckKey(value.get_ref<const std::string&>());
        break;
      case json::parse_event_t::value:
        if (value.is_string()) CheckText(value);
        break;
      default:
        break;
    }
    return error_.empty();
  }

  const std::string& error() const { return error_; }

 private:
  void CheckText(const json& value) {
    if (value.get_ref<const std::string&>().find('\0') != std::string::npos) {
      Refuse("got a NUL in a text, want none");
    }
  }

  void CheckKey(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      Refuse(Cat("got the key \"", key.substr(0, kMaxShownKey), "\" twice, want it once"));
    }
  }

  void Refuse(std::string text) {
    if (error_.empty()) error_ = std::move(text);
  }

  const int max_depth_;
  std::string error_;
  std::vector<std::set<std::string>> keys_;
};

absl::Status CheckBytes(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return absl::InvalidArgumentError(
        Cat("got ", text.size(), " bytes, want at most ", limits.bytes));
  }
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("got a NUL, want none");
  }
  if (!IsUtf8(text)) return absl::InvalidArgumentError("got bytes that are not UTF-8, want UTF-8");
  return absl::OkStatus();
}

int ContinuationBytes(unsigned char lead) {
  if (lead < 0x80) return 0;
  if (lead >= 0xC2 && lead <= 0xDF) return 1;
  if (lead >= 0xE0 && lead <= 0xEF) return 2;
  if (lead >= 0xF0 && lead <= 0xF4) return 3;
  return -1;
}

// The bounds of the byte after `lead`; the others are 0x80 to 0xBF always.
std::pair<unsigned char, unsigned char> SecondByte(unsigned char lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {0x80, 0xBF};
  }
}

// Whether an object may begin after this prose: on a line of its own, and not as an item of
// something that is cut off.
bool IsProse(std::string_view text) {
  if (Trim(text).empty()) return true;
  const std::size_t line = text.find_last_of('\n');
  if (line == std::string_view::npos || !Trim(text.substr(line)).empty()) return false;
  return std::string_view("[,").find(Trim(text).back()) == std::string_view::npos;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int more = ContinuationBytes(lead);
    if (more < 0 || i + more >= text.size()) return false;
    auto [least, most] = SecondByte(lead);
    for (int k = 0; k < more; ++k) {
      const auto byte = static_cast<unsigned char>(text[++i]);
      if (byte < least || byte > most) return false;
      least = 0x80;
      most = 0xBF;
    }
  }
  return true;
}

absl::StatusOr<json> ParseJson(std::string_view text, const JsonLimits& limits) {
  CAPSTAN_RETURN_IF_ERROR(CheckBytes(text, limits));
  Watch watch(limits.depth);
  json value = json::parse(text.begin(), text.end(), std::ref(watch), /*allow_exceptions=*/false);
  if (!watch.error().empty()) return absl::InvalidArgumentError(watch.error());
  if (value.is_discarded()) return absl::InvalidArgumentError("got no JSON, want one JSON value");
  return value;
}

absl::StatusOr<json> ParseOnlyObject(std::string_view text, const JsonLimits& limits) {
  CAPSTAN_RETURN_IF_ERROR(CheckBytes(text, limits));
  const std::size_t begin = text.find('{');
  const std::size_t end = text.rfind('}');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return absl::InvalidArgumentError("got no JSON object, want one");
  }
  const std::string_view before = Trim(text.substr(0, begin));
  const std::string_view after = text.substr(end + 1);
  const std::size_t fence = before.find(kFenceBegin);
  const bool fenced = fence != std::string_view::npos;
  const bool alone = fenced ? fence + kFenceBegin.size() == before.size() &&
                                  after.substr(0, kFenceEnd.size()) == kFenceEnd
                            : Trim(after).empty() && IsProse(text.substr(0, begin));
  if (!alone) {
    return absl::InvalidArgumentError(
        "got other text around the JSON object, want the object alone");
  }
  return ParseJson(text.substr(begin, end + 1 - begin), limits);
}

}  // namespace capstan::workflow
