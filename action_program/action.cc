#include "action_program/action.h"

#include <optional>

#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/api_error.h"

namespace capstan::action_program {

absl::StatusOr<Progress> Advance(const Command& command, Host& host) {
  if (command.verb == Verb::kDeletePod) return DeletePod(command, host);
  absl::Status status;
  switch (command.verb) {
    case Verb::kRestartDeployment:
      status = RestartDeployment(command, host);
      break;
    case Verb::kPatchConfigMap:
      status = PatchConfigMap(command, host);
      break;
    case Verb::kBackupSecret:
      status = BackupSecret(command, host);
      break;
    case Verb::kPatchSecret:
      status = PatchSecret(command, host);
      break;
    case Verb::kRestoreSecret:
      status = RestoreSecret(command, host);
      break;
    case Verb::kDeletePod:
      break;
  }
  CAPSTAN_RETURN_IF_ERROR(status);
  return Progress::kDone;
}

std::string Explain(const absl::Status& status) {
  const std::string message(status.message());
  const std::optional<kubernetes::ApiError> error = kubernetes::ApiErrorOf(status);
  if (!error.has_value() || error->http_code == 0) return Cat("error: ", message);
  // "patch deployments shop/web: HTTP 403 Forbidden: …": the call, then what the server said.
  const std::string call = message.substr(0, message.find(": HTTP "));
  const std::string reason = error->reason.empty() ? Cat("HTTP ", error->http_code) : error->reason;
  return Cat("Error from server (", reason, "): ", error->message, " (", call, ")");
}

}  // namespace capstan::action_program
