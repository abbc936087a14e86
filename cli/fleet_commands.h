// `capstan worker …` and `capstan audit …`: each runs one command and returns the exit code.
#pragma once

#include "cli/session.h"

namespace capstan::cli {

int WorkerList(Session& session);

// kFindings when the audit log is not as it was written.
int AuditVerify(Session& session);

}  // namespace capstan::cli
