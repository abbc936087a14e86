// `capstan stop …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int StopCreate(Session& session);
int StopList(Session& session);
int StopLift(Session& session);

}  // namespace capstan::cli
