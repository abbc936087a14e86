// A task as a command line gives it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "capstan/v1/execution_service.pb.h"
#include "cli/options.h"

namespace capstan::cli {

// The request for `task run`, but for what comes from files: description and spec.
// INVALID_ARGUMENT, naming the flag:
//   neither a workflow nor a weight is given
//   a pair without "=", or a name given twice
//   a command that is neither plain words nor a JSON array of texts
absl::StatusOr<v1::RunTaskRequest> MakeTaskRequest(const Options& options);

// "npm test" or ["npm", "run", "lint: all"]. Words have no quotes and nothing that a shell would
// read; a JSON array may hold any text. INVALID_ARGUMENT for anything else.
absl::StatusOr<v1::CommandLine> ParseCommandLine(std::string_view text);

}  // namespace capstan::cli
