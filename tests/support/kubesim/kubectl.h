// kubectl as far as actions use it: `scale`, `rollout status`, `set image`, `cordon`, `uncordon`
// and `drain`.
#pragma once

#include <optional>

#include "tests/support/kubesim/program.h"

namespace capstan::kubesim {

//   kubectl scale --replicas=N [--current-replicas=N] [-n NAMESPACE] [--] DEPLOYMENT
//   kubectl rollout status [--timeout=DURATION] [-n NAMESPACE] [--] DEPLOYMENT
//   kubectl set image [-n NAMESPACE] [--] DEPLOYMENT CONTAINER=IMAGE…
//   kubectl cordon | uncordon [--] NODE
//   kubectl drain [--ignore-daemonsets] [--delete-emptydir-data] [--force] [--grace-period=N]
//                 [--timeout=DURATION] [--] NODE
// DEPLOYMENT is deployment/NAME or deployment NAME. Flags stand anywhere before `--`, as
// `--flag=value`, `--flag value` or `-n value`. Prints and exits as kubectl does; other commands
// and flags end with 1.
std::optional<int> Kubectl(ProgramRun& run);

}  // namespace capstan::kubesim
