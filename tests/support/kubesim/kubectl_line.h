// What the kubectl commands of the simulation share: their command line and how they fail.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/kubesim/program.h"

namespace capstan::kubesim {

struct CommandLine {
  std::vector<std::string> operands;  // scale deployment/web
  std::map<std::string, std::string, std::less<>> flags;
  std::string error;

  // "" when the flag was not given.
  std::string Flag(std::string_view name) const;
  bool Switch(std::string_view name) const { return Flag(name) == "true"; }
};

CommandLine ParseKubectl(const std::vector<std::string>& argv);

// Prints the message and gives the exit code.
int Fail(ProgramRun& run, const std::string& message);
int FailWith(ProgramRun& run, const ProgramRun::Reply& reply);

}  // namespace capstan::kubesim
