// What every request for a new execution has from the command line. Pure but for a new request id.
#pragma once

#include "absl/status/status.h"
#include "capstan/v1/execution_service.pb.h"
#include "cli/follow_command.h"
#include "cli/options.h"
#include "cli/parameters_input.h"
#include "core/status_macros.h"

namespace capstan::cli {

// Fills an ExecuteActionRequest or a RunTaskRequest. INVALID_ARGUMENT for a label without "=" or
// given twice.
template <class Request>
absl::Status FillSubmission(const Options& options, Request* request) {
  request->set_request_id(RequestId(options));
  request->set_dry_run(options.dry_run);
  request->set_priority(options.priority);
  SetDuration(options.timeout, request->mutable_timeout());
  CAPSTAN_ASSIGN_OR_RETURN(auto labels, SplitPairs("--label", options.labels));
  for (const auto& [key, value] : labels) (*request->mutable_labels())[key] = value;
  if (!options.parent.empty()) {
    request->mutable_parent()->set_name(options.parent);
    request->mutable_parent()->set_step(options.parent_step);
  }
  request->set_wait_until(options.no_wait ? v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED
                                          : v1::ExecuteActionRequest::WAIT_UNTIL_TERMINAL);
  return absl::OkStatus();
}

}  // namespace capstan::cli
