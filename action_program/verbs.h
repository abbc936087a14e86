// One function a verb; action.h says what they promise and what their errors mean.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "action_program/action.h"
#include "action_program/command_line.h"
#include "action_program/host.h"

namespace capstan::action_program {

absl::Status RestartDeployment(const Command& command, Host& host);
absl::StatusOr<Progress> DeletePod(const Command& command, Host& host);
absl::Status PatchConfigMap(const Command& command, Host& host);
absl::Status BackupSecret(const Command& command, Host& host);
absl::Status PatchSecret(const Command& command, Host& host);
absl::Status RestoreSecret(const Command& command, Host& host);

}  // namespace capstan::action_program
