// kubectl cordon, uncordon and drain.
#pragma once

#include <optional>

#include "tests/support/kubesim/kubectl_line.h"

namespace capstan::kubesim {

int Cordon(ProgramRun& run, const CommandLine& line, bool unschedulable);

// Cordons, then evicts what kubectl evicts and waits until it is gone. Where kubectl tries again
// after 5 s, this also tries after each change in the cluster.
std::optional<int> Drain(ProgramRun& run, const CommandLine& line);

}  // namespace capstan::kubesim
