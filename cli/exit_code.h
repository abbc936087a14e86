// What the process returns. Scripts branch on these, so a number never changes its meaning.
#pragma once

#include <grpcpp/support/status_code_enum.h>

#include "capstan/v1/execution.pb.h"

namespace capstan::cli {

enum ExitCode : int {
  kOk = 0,               // the execution succeeded, or the answer was printed
  kExecutionFailed = 1,  // the execution ended FAILED
  kFindings = 1,         // a check was made and found something
  kUsage = 2,            // the command line or a file named by it is wrong
  kRejected = 3,         // FAILED(POLICY_DENIED) or FAILED(POLICY_ERROR)
  kWaitTimedOut = 4,     // --wait-timeout passed; the execution goes on
  kCancelled = 5,        // the execution ended CANCELLED
  kOutcomeUnknown = 6,   // FAILED(OUTCOME_UNKNOWN): look at the target before anything is repeated
  kRpcError = 64,        // plus the gRPC code: the call itself failed
  kInterrupted = 130,    // Ctrl-C; the execution goes on
};

// For an execution in a terminal state.
int ExitCodeOf(const v1::Execution& execution);

// For a call that failed: 64 plus its code.
int ExitCodeOf(grpc::StatusCode code);

}  // namespace capstan::cli
