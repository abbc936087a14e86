#include "core/catalog/json_patch.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using Json = nlohmann::json;

// What an operation has besides op and path.
struct Operation {
  std::string_view name;
  std::string_view operand;  // value, from, or nothing
};
constexpr Operation kOperations[] = {{"add", "value"}, {"remove", ""},   {"replace", "value"},
                                     {"move", "from"}, {"copy", "from"}, {"test", "value"}};

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(Cat(what)); }

// Parses, refusing what two readers could understand differently.
absl::StatusOr<Json> Parse(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  bool twice = false;
  bool deep = false;
  const Json json = Json::parse(
      text,
      [&](int depth, Json::parse_event_t event, Json& parsed) {
        deep = deep || depth > kMaxPatchDepth;
        if (event == Json::parse_event_t::object_start) keys.emplace_back();
        if (event == Json::parse_event_t::object_end) keys.pop_back();
        if (event == Json::parse_event_t::key) {
          twice = twice || !keys.back().insert(parsed.get<std::string>()).second;
        }
        return !deep;
      },
      /*allow_exceptions=*/false);
  if (deep) return Bad(Cat("it is nested deeper than ", kMaxPatchDepth));
  if (json.is_discarded()) return Bad("it is not JSON");
  if (twice) return Bad("a key is given twice in one object");
  return json;
}

bool IsPointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) {
      return false;
    }
  }
  return true;
}

absl::Status CheckPointer(const std::vector<std::string>& paths, const Json& operation,
                          std::string_view member) {
  auto found = operation.find(member);
  if (found == operation.end()) return Bad(Cat("has no ", member));
  if (!found->is_string() || !IsPointer(found->get_ref<const std::string&>())) {
    return Bad(Cat("has a ", member, " that is no JSON Pointer"));
  }
  const std::string& pointer = found->get_ref<const std::string&>();
  for (const std::string& path : paths) {
    if (pointer == path || absl::StartsWith(pointer, path + "/")) return absl::OkStatus();
  }
  return Bad(Cat("has a ", member, " that is not under ", absl::StrJoin(paths, " or ")));
}

absl::Status CheckOperation(const std::vector<std::string>& paths, const Json& operation) {
  if (!operation.is_object()) return Bad("is not an object");
  auto op = operation.find("op");
  const Operation* known = nullptr;
  for (const Operation& candidate : kOperations) {
    if (op != operation.end() && op->is_string() && *op == candidate.name) known = &candidate;
  }
  if (known == nullptr) {
    return Bad("has an op that is none of add, remove, replace, move, copy, test");
  }
  CAPSTAN_RETURN_IF_ERROR(CheckPointer(paths, operation, "path"));
  if (known->operand == "from") CAPSTAN_RETURN_IF_ERROR(CheckPointer(paths, operation, "from"));
  if (known->operand == "value" && !operation.contains("value")) return Bad("has no value");
  for (const auto& [member, value] : operation.items()) {
    if (member != "op" && member != "path" && member != known->operand) {
      return Bad(Cat("has a member that ", known->name, " does not take"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckJsonPatch(const std::vector<std::string>& paths, std::string_view text) {
  CAPSTAN_ASSIGN_OR_RETURN(const Json patch, Parse(text));
  if (!patch.is_array()) return Bad("it is not an array");
  if (patch.empty()) return Bad("it has no operations");
  for (size_t i = 0; i < patch.size(); ++i) {
    if (absl::Status status = CheckOperation(paths, patch[i]); !status.ok()) {
      return Bad(Cat("operation ", i, " ", std::string(status.message())));
    }
  }
  return absl::OkStatus();
}

}  // namespace capstan::catalog
