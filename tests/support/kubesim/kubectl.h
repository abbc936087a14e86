// kubectl as far as actions use it: `scale` and `rollout status`.
#pragma once

#include <optional>

#include "tests/support/kubesim/program.h"

namespace capstan::kubesim {

// kubectl [flags] scale --replicas=N [--current-replicas=N] [-n NAMESPACE] [--] deployment/NAME |
// deployment NAME kubectl [flags] rollout status [--timeout=DURATION] [-n NAMESPACE] [--]
// deployment/NAME Flags stand anywhere before `--`, as `--flag=value`, `--flag value` or `-n
// value`. Prints and exits as kubectl does; other commands and flags end with 1.
std::optional<int> Kubectl(ProgramRun& run);

}  // namespace capstan::kubesim
