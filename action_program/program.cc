#include "action_program/program.h"

#include <memory>

#include "action_program/action.h"
#include "action_program/client_host.h"
#include "action_program/command_line.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/credentials.h"

namespace capstan::action_program {
namespace {

absl::Status Perform(const Command& command, const Environment& environment) {
  CAPSTAN_ASSIGN_OR_RETURN(const kubernetes::ClusterConfig cluster,
                           kubernetes::FindClusterConfig(command.kubeconfig, command.context));
  kubernetes::ClientOptions options = environment.client;
  options.user_agent = "capstan-action/" CAPSTAN_VERSION " (linux)";
  CAPSTAN_ASSIGN_OR_RETURN(const std::unique_ptr<kubernetes::Client> client,
                           kubernetes::Client::Create(cluster, environment.clock, options));
  ClientHost host(*client, environment.out, environment.stop);
  for (;;) {
    CAPSTAN_ASSIGN_OR_RETURN(const Progress progress, Advance(command, host));
    if (progress == Progress::kDone) return absl::OkStatus();
    if (!environment.clock.SleepFor(kPollInterval, environment.stop)) {
      return absl::CancelledError("told to stop while waiting");
    }
  }
}

}  // namespace

int Run(const std::vector<std::string>& args, const Environment& environment) {
  const absl::StatusOr<Command> command = ParseCommandLine(args);
  if (absl::IsCancelled(command.status())) {
    environment.out << command.status().message() << std::flush;
    return 0;
  }
  const absl::Status status = command.ok() ? Perform(*command, environment) : command.status();
  if (status.ok()) return 0;
  environment.err << Explain(status) << std::endl;
  return 1;
}

}  // namespace capstan::action_program
