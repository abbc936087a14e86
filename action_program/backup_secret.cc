#include "action_program/secret_backup.h"
#include "action_program/secret_data.h"
#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {

absl::Status BackupSecret(const Command& command, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(const Json source,
                           host.Get(kubernetes::kSecrets, command.name_space, command.name));
  const std::string uid = kubernetes::StringField(source, {"metadata", "uid"});
  const std::string what = Cat("secret/", command.backup_name, " in ", command.backup_namespace);
  SecretGuard guard;
  if (const Json* data = kubernetes::FindField(source, {"data"})) guard.Learn(*data);

  const absl::StatusOr<Json> created =
      host.Create(kubernetes::kSecrets, command.backup_namespace, BackupOf(source, command));
  if (created.ok()) {
    host.Print(Cat(what, " created: backup of secret/", command.name, " in ", command.name_space));
    return absl::OkStatus();
  }
  if (!absl::IsAlreadyExists(created.status())) return guard.Clean(created.status());

  // An earlier run made it, maybe before a change that has been done since: it stays as it is.
  CAPSTAN_ASSIGN_OR_RETURN(
      const Json backup,
      host.Get(kubernetes::kSecrets, command.backup_namespace, command.backup_name));
  CAPSTAN_RETURN_IF_ERROR(CheckBackup(backup, uid, command));
  host.Print(Cat(what, " unchanged: it is the backup of secret/", command.name, " in ",
                 command.name_space, " already"));
  return absl::OkStatus();
}

}  // namespace capstan::action_program
