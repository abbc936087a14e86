#include "action_program/verbs.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::action_program {
namespace {

constexpr char kRestartedAt[] = "kubectl.kubernetes.io/restartedAt";  // as kubectl rollout restart

}  // namespace

absl::Status RestartDeployment(const Command& command, Host& host) {
  CAPSTAN_ASSIGN_OR_RETURN(const Json deployment,
                           host.Get(kubernetes::kDeployments, command.name_space, command.name));
  if (kubernetes::BoolField(deployment, {"spec", "paused"})) {
    return absl::FailedPreconditionError(
        Cat("deployment ", command.name_space, "/", command.name,
            " is paused: a restart would wait until it is resumed; nothing was changed"));
  }
  if (kubernetes::StringField(deployment, {"spec", "template", "metadata", "annotations",
                                           kRestartedAt}) == command.at) {
    host.Print(
        Cat("deployment.apps/", command.name, " unchanged: restarted at ", command.at, " already"));
    return absl::OkStatus();
  }

  const Json patch = {
      {"spec", {{"template", {{"metadata", {{"annotations", {{kRestartedAt, command.at}}}}}}}}}};
  CAPSTAN_RETURN_IF_ERROR(host.Patch(kubernetes::kDeployments, command.name_space, command.name,
                                     PatchType::kStrategicMerge, patch)
                              .status());
  host.Print(Cat("deployment.apps/", command.name, " restarted at ", command.at));
  return absl::OkStatus();
}

}  // namespace capstan::action_program
