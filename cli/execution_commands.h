// `capstan execution …` and `capstan worker …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int ExecutionGet(Session& session);
int ExecutionList(Session& session);
int ExecutionWatch(Session& session);
int ExecutionCancel(Session& session);
int ExecutionLogs(Session& session);
int WorkerList(Session& session);

}  // namespace capstan::cli
