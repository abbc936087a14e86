// The whole program but its process: arguments in, text and an exit code out.
#pragma once

#include <ostream>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.h"
#include "worker/kubernetes/client.h"

namespace capstan::action_program {

struct Environment {
  std::ostream& out;
  std::ostream& err;
  Clock& clock;
  std::stop_token stop = {};  // ends a wait early
  kubernetes::ClientOptions client = {};
};

// `args` without the program's name. 0: done, or found done. 1: `err` says why not.
int Run(const std::vector<std::string>& args, const Environment& environment);

}  // namespace capstan::action_program
