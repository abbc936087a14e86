// What a real API server's audit log says about a run, as the checker wants it. The log is written
// as tests/e2e/cluster/config/audit-policy.yaml says.
#pragma once

#include <istream>
#include <string>

#include "tests/proof/history.h"

namespace capstan::proof {

// Adds to `history`: the calls of the worker (an account of `system_namespace`), what pods of
// `actions_namespace` wrote, the pods of Jobs that ran, how often each Deployment was scaled, and
// how long each Job was armed. A call counts from when it was asked for: what must come before it
// came before that.
void ReadApiserverAudit(std::istream& log, const std::string& actions_namespace,
                        const std::string& system_namespace, History& history);

}  // namespace capstan::proof
