// capstan-action, as a program of simulated containers.
#pragma once

#include <optional>

#include "tests/support/kubesim/program.h"

namespace capstan::kubesim {

// Runs the verbs of action_program/ themselves on the simulated cluster. A Program (program.h).
std::optional<int> CapstanAction(ProgramRun& run);

}  // namespace capstan::kubesim
