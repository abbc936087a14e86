// capstan-action: what the built-in actions do where kubectl cannot.
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "action_program/program.h"
#include "core/clock.h"

namespace {

constexpr int kExitTerminated = 128 + SIGTERM;

// The first process of a container gets only those signals that it asks for.
void Leave(int) { _exit(kExitTerminated); }

}  // namespace

int main(int argc, char** argv) {
  signal(SIGTERM, Leave);
  signal(SIGINT, Leave);
  capstan::SystemClock clock;
  return capstan::action_program::Run(std::vector<std::string>(argv + 1, argv + argc),
                                      {.out = std::cout, .err = std::cerr, .clock = clock});
}
