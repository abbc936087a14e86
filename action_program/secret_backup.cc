#include "action_program/secret_backup.h"

#include "core/ids.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

using kubernetes::StringField;

constexpr size_t kMaxLabelValue = 63;
constexpr size_t kDigestInLabel = 16;

}  // namespace

std::string BackupOfLabelValue(const std::string& name_space, const std::string& name) {
  const std::string value = Cat(name_space, ".", name);
  if (value.size() <= kMaxLabelValue) return value;
  return Cat(value.substr(0, kMaxLabelValue - kDigestInLabel - 1), "-",
             Sha256Hex(value).substr(0, kDigestInLabel));
}

Json BackupOf(const Json& source, const Command& command) {
  Json backup = {
      {"apiVersion", "v1"},
      {"kind", "Secret"},
      {"type", kSecretBackupType},
      {"immutable", true},
      {"metadata",
       {{"name", command.backup_name},
        {"namespace", command.backup_namespace},
        {"labels",
         {{"app.kubernetes.io/managed-by", "capstan"},
          {kBackupOfLabel, BackupOfLabelValue(command.name_space, command.name)}}},
        {"annotations",
         {{kBackupNamespaceAnnotation, command.name_space},
          {kBackupNameAnnotation, command.name},
          {kBackupUidAnnotation, StringField(source, {"metadata", "uid"})},
          {kBackupVersionAnnotation, StringField(source, {"metadata", "resourceVersion"})}}}}}};
  if (const Json* data = kubernetes::FindField(source, {"data"}); data != nullptr) {
    backup["data"] = *data;
  }
  return backup;
}

absl::Status CheckBackup(const Json& backup, const std::string& uid, const Command& command) {
  const auto annotation = [&](const char* key) {
    return StringField(backup, {"metadata", "annotations", key});
  };
  const std::string what = Cat("secret ", command.backup_namespace, "/", command.backup_name);
  const std::string source = Cat(command.name_space, "/", command.name);
  const std::string label = StringField(backup, {"metadata", "labels", kBackupOfLabel});
  if (StringField(backup, {"type"}) != kSecretBackupType ||
      label != BackupOfLabelValue(command.name_space, command.name) ||
      annotation(kBackupNamespaceAnnotation) != command.name_space ||
      annotation(kBackupNameAnnotation) != command.name) {
    return absl::FailedPreconditionError(
        Cat(what, " is no backup of secret ", source, "; nothing was changed"));
  }
  if (annotation(kBackupUidAnnotation) != uid) {
    return absl::FailedPreconditionError(Cat(what, " is a backup of another secret ", source,
                                             ": uid is ", annotation(kBackupUidAnnotation),
                                             ", want ", uid, "; nothing was changed"));
  }
  return absl::OkStatus();
}

}  // namespace capstan::action_program
