// `capstan execution …` but for retry, rollback and explain: each runs one command and returns the
// exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int ExecutionGet(Session& session);
int ExecutionList(Session& session);
int ExecutionWatch(Session& session);
int ExecutionCancel(Session& session);
int ExecutionLogs(Session& session);

}  // namespace capstan::cli
