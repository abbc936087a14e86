#include "action_program/json_patch.h"

#include <algorithm>
#include <string>

#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::action_program {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kOperations[] = {"add", "replace", "remove", "test", "move", "copy"};

std::string Text(const Json& operation, const char* key) {
  auto value = operation.find(key);
  return value != operation.end() && value->is_string() ? value->get<std::string>() : "";
}

bool IsPointer(const std::string& path) {
  try {
    return !Json::json_pointer(path).empty();
  } catch (const Json::exception&) {
    return false;
  }
}

absl::Status CheckPath(const std::string& path, const std::string& at,
                       absl::Span<const std::string_view> roots) {
  std::string allowed;
  for (std::string_view root : roots) {
    if (IsPointer(path) && (path == root || path.starts_with(Cat(root, "/")))) {
      return absl::OkStatus();
    }
    Append(&allowed, allowed.empty() ? "" : " or ", root);
  }
  return absl::InvalidArgumentError(
      Cat(at, ": got \"", path, "\", want ", allowed, " or a path below"));
}

absl::Status CheckOperation(const Json& operation, const std::string& at,
                            absl::Span<const std::string_view> roots) {
  const std::string op = operation.is_object() ? Text(operation, "op") : "";
  if (std::find(std::begin(kOperations), std::end(kOperations), op) == std::end(kOperations)) {
    return absl::InvalidArgumentError(
        Cat(at, ": op: want add, replace, remove, test, move or copy"));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckPath(Text(operation, "path"), Cat(at, ": path"), roots));
  if (op == "move" || op == "copy") {
    return CheckPath(Text(operation, "from"), Cat(at, ": from"), roots);
  }
  if (op != "remove" && !operation.contains("value")) {
    return absl::InvalidArgumentError(Cat(at, ": value: got nothing, want one for ", op));
  }
  return absl::OkStatus();
}

std::string Described(const Json& patch, size_t i) {
  return Cat("operation ", i + 1, " (", Text(patch[i], "op"), " ", Text(patch[i], "path"), ")");
}

// The server drops empty maps.
Json WithoutEmptyMaps(Json document) {
  for (auto field = document.begin(); field != document.end();) {
    field = field->is_object() && field->empty() ? document.erase(field) : std::next(field);
  }
  return document;
}

}  // namespace

absl::Status CheckJsonPatch(const Json& patch, absl::Span<const std::string_view> roots) {
  if (!patch.is_array() || patch.empty()) {
    return absl::InvalidArgumentError("want a JSON Patch: an array of at least one operation");
  }
  if (patch.size() > kMaxPatchOperations) {
    return absl::InvalidArgumentError(
        Cat("got ", patch.size(), " operations, want at most ", kMaxPatchOperations));
  }
  for (size_t i = 0; i < patch.size(); ++i) {
    CAPSTAN_RETURN_IF_ERROR(CheckOperation(patch[i], Cat("operation ", i + 1), roots));
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> ApplyJsonPatch(Json document, const Json& patch) {
  for (size_t i = 0; i < patch.size(); ++i) {
    try {
      document = document.patch(Json::array({patch[i]}));
    } catch (const Json::exception&) {  // its text quotes values
      return absl::FailedPreconditionError(
          Cat(Described(patch, i), Text(patch[i], "op") == "test"
                                       ? ": the value there is another one"
                                       : ": does not apply: there is nothing at its path"));
    }
  }
  return document;
}

bool AlreadyApplied(const Json& document, const Json& patch) {
  Json after = document;
  for (const Json& operation : patch) {
    const std::string op = Text(operation, "op");
    if (op == "test") continue;
    Json::json_pointer path(Text(operation, "path"));
    const std::string key = path.back();
    path.pop_back();
    if (!after.contains(path)) {
      if (op != "remove") return false;
      continue;
    }
    Json& parent = after[path];
    if (!parent.is_object()) return false;
    if (op == "remove") {
      parent.erase(key);
    } else if (op == "add" || op == "replace") {
      parent[key] = operation["value"];
    } else {
      return false;
    }
  }
  return WithoutEmptyMaps(std::move(after)) == WithoutEmptyMaps(document);
}

}  // namespace capstan::action_program
