// `capstan workflow …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int WorkflowList(Session& session);
int WorkflowShow(Session& session);

// Checks the file here first, with the texts that it names; what is sent holds them.
int WorkflowPut(Session& session);

}  // namespace capstan::cli
