// `capstan execution retry`, `rollback` and `explain`: what comes after an execution that did not
// go as wanted. Each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

// Both follow the new execution, as `action run` does.
int ExecutionRetry(Session& session);
int ExecutionRollback(Session& session);

int ExecutionExplain(Session& session);

}  // namespace capstan::cli
