// The actions that this installation offers: every *.yaml in a directory.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/action_definition.h"

namespace capstan::catalog {

inline constexpr size_t kMaxActions = 1000;

// Immutable once loaded, so any thread may read it. Owned by main.cc or the test, borrowed by
// everyone else.
class Catalog {
 public:
  // Reads `directory`. INVALID_ARGUMENT lists everything wrong in all files, a name used twice, or
  // a rollback that names no action or the wrong parameters; NOT_FOUND when the directory cannot be
  // read or has no *.yaml. Either stops start-up.
  static absl::StatusOr<Catalog> Load(const std::string& directory);

  // From definitions already read; the same checks across them.
  static absl::StatusOr<Catalog> Make(std::vector<ActionDefinition> actions);

  // Null when there is no such action: refuse with KnownNames() in the message.
  const ActionDefinition* Find(std::string_view name) const;

  // The definition, or INVALID_ARGUMENT "action: got X, want one of: …" for a caller.
  absl::StatusOr<std::reference_wrapper<const ActionDefinition>> Require(
      std::string_view name) const;

  // All, by name.
  std::vector<std::reference_wrapper<const ActionDefinition>> List() const;

  // "CordonNode, ScaleDeployment".
  std::string KnownNames() const;

 private:
  std::map<std::string, ActionDefinition, std::less<>> actions_;
};

}  // namespace capstan::catalog
