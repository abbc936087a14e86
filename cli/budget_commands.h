// `capstan budget …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int BudgetList(Session& session);
int BudgetSet(Session& session);

}  // namespace capstan::cli
