// A Secret that holds the data of another one, from before a change.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "action_program/command_line.h"
#include "action_program/host.h"

namespace capstan::action_program {

inline constexpr char kSecretBackupType[] = "capstan.dev/backup";
// "namespace.name" of the Secret, or a part of it and a digest when that is no label value.
inline constexpr char kBackupOfLabel[] = "capstan.dev/backup-of";
// Of the Secret, when it was read.
inline constexpr char kBackupNamespaceAnnotation[] = "capstan.dev/backup-of-namespace";
inline constexpr char kBackupNameAnnotation[] = "capstan.dev/backup-of-name";
inline constexpr char kBackupUidAnnotation[] = "capstan.dev/backup-of-uid";
inline constexpr char kBackupVersionAnnotation[] = "capstan.dev/backup-of-resource-version";

std::string BackupOfLabelValue(const std::string& name_space, const std::string& name);

// The immutable Secret to create for `source`.
Json BackupOf(const Json& source, const Command& command);

// FAILED_PRECONDITION: `backup` is no backup of the Secret that `command` names, or of another one
// of that name (uid), so it must neither be restored nor taken for one.
absl::Status CheckBackup(const Json& backup, const std::string& uid, const Command& command);

}  // namespace capstan::action_program
