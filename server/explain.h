// Why an execution is not running, or how it came to its end. Pure: from what was read at one
// moment.
#pragma once

#include <vector>

#include "capstan/v1/execution_service.pb.h"
#include "storage/types.h"

namespace capstan::server {

struct Situation {
  v1::Execution execution;
  storage::StandingRow standing;
  storage::TargetRow target;    // of its target
  storage::ProjectRow project;  // of a task's project, while it waits for its budget
  // Of a task: the executions that its steps wait for.
  std::vector<v1::Execution> children = {};
};

v1::ExplainExecutionResponse Explain(const Situation& situation);

}  // namespace capstan::server
