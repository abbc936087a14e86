#include "action_program/guarded_patch.h"
#include "action_program/json_patch.h"
#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {

absl::Status PatchConfigMap(const Command& command, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(const Json before,
                           host.Get(kubernetes::kConfigMaps, command.name_space, command.name));
  const std::string version = kubernetes::StringField(before, {"metadata", "resourceVersion"});
  if (version != command.resource_version) {
    if (AlreadyApplied(before, command.patch)) {
      host.Print(
          Cat("configmap/", command.name, " unchanged: it is as the patch makes it already"));
      return absl::OkStatus();
    }
    return Changed(Described("configmap", command.name_space, command.name), version,
                   command.resource_version);
  }

  CAPSTAN_ASSIGN_OR_RETURN(const Json patched, PatchVersion(host, kubernetes::kConfigMaps,
                                                            "configmap", before, command.patch));
  host.Print(Cat("configmap/", command.name, " patched, resource version ",
                 kubernetes::StringField(patched, {"metadata", "resourceVersion"})));
  for (const KeyChange& change : KeyChanges(before, patched)) {
    host.Print(Cat("  ", change.field, ".", change.key, " ", change.change));
  }
  return absl::OkStatus();
}

}  // namespace capstan::action_program
