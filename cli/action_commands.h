// `capstan action …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int ActionRun(Session& session);
int ActionList(Session& session);
int ActionShow(Session& session);

}  // namespace capstan::cli
