#include "cli/exit_code.h"

namespace capstan::cli {

using v1::Execution;

int ExitCodeOf(const Execution& execution) {
  if (execution.state() == Execution::STATE_SUCCEEDED) return kOk;
  if (execution.state() == Execution::STATE_CANCELLED) return kCancelled;
  switch (execution.failure_reason()) {
    case Execution::FAILURE_REASON_POLICY_DENIED:
    case Execution::FAILURE_REASON_POLICY_ERROR:
      return kRejected;
    case Execution::FAILURE_REASON_OUTCOME_UNKNOWN:
      return kOutcomeUnknown;
    default:
      return kExecutionFailed;
  }
}

int ExitCodeOf(grpc::StatusCode code) { return kRpcError + static_cast<int>(code); }

}  // namespace capstan::cli
