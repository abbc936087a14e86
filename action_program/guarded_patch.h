// A JSON Patch that is applied to one version of an object only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "action_program/host.h"

namespace capstan::action_program {

// "configmap shop/web", for messages.
std::string Described(std::string_view kind, std::string_view name_space, std::string_view name);

// Applies `patch` (checked) to `object`, as it was read, and returns it as stored, also when an
// earlier try whose reply was lost had applied it. ABORTED: it changed since, nothing was
// done. FAILED_PRECONDITION: the object is immutable, or the patch does not apply to it. Errors of
// the server as they are. `kind` is "configmap" or "secret".
absl::StatusOr<Json> PatchVersion(Host& host, Resource resource, std::string_view kind,
                                  const Json& object, const Json& patch);

// The error when an object is not of the version that was asked for.
absl::Status Changed(std::string_view what, std::string_view got, std::string_view want);

struct KeyChange {
  std::string field;  // data or binaryData
  std::string key;
  std::string change;  // added, changed or removed
};
// How two objects differ in data and binaryData, in order.
std::vector<KeyChange> KeyChanges(const Json& before, const Json& after);

}  // namespace capstan::action_program
