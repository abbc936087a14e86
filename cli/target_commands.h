// `capstan target …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int TargetList(Session& session);
int TargetClear(Session& session);

}  // namespace capstan::cli
