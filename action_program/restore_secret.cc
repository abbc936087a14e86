#include "action_program/guarded_patch.h"
#include "action_program/secret_backup.h"
#include "action_program/secret_data.h"
#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

using kubernetes::FindField;

// The operation that gives `target` the data of `backup`, whatever either has.
Json RestoringPatch(const Json* data) {
  const Json restored = data != nullptr && data->is_object() ? *data : Json::object();
  return Json::array({{{"op", "add"}, {"path", "/data"}, {"value", restored}}});
}

}  // namespace

absl::Status RestoreSecret(const Command& command, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const Json backup,
      host.Get(kubernetes::kSecrets, command.backup_namespace, command.backup_name));
  CAPSTAN_ASSIGN_OR_RETURN(const Json target,
                           host.Get(kubernetes::kSecrets, command.name_space, command.name));
  CAPSTAN_RETURN_IF_ERROR(
      CheckBackup(backup, kubernetes::StringField(target, {"metadata", "uid"}), command));
  const std::string source = Cat("secret/", command.backup_name, " in ", command.backup_namespace);
  if (KeyChanges(target, backup).empty()) {
    host.Print(Cat("secret/", command.name, " unchanged: it has the data of ", source, " already"));
    return absl::OkStatus();
  }

  SecretGuard guard;
  for (const Json* secret : {&backup, &target}) {
    if (const Json* data = FindField(*secret, {"data"})) guard.Learn(*data);
  }
  const absl::StatusOr<Json> patched = PatchVersion(host, kubernetes::kSecrets, "secret", target,
                                                    RestoringPatch(FindField(backup, {"data"})));
  if (!patched.ok()) return guard.Clean(patched.status());
  host.Print(Cat("secret/", command.name, " restored from ", source));
  PrintSecretChanges(host, target, *patched);
  return absl::OkStatus();
}

}  // namespace capstan::action_program
