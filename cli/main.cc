// The `capstan` command.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "core/clock.h"

namespace {

capstan::cli::TerminalSize SizeOfTerminal() {
  winsize size{};
  const bool known =
      ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
  if (!known) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

}  // namespace

int main(int argc, char** argv) {
  capstan::cli::InterruptListener interrupt;
  capstan::SystemClock clock;
  capstan::cli::Environment environment{
      .in = std::cin,
      .out = std::cout,
      .err = std::cerr,
      .out_is_terminal = isatty(STDOUT_FILENO) == 1,
      .terminal_size = SizeOfTerminal,
      .variables = {},
      .clock = clock,
      .stop = interrupt.token(),
  };
  for (const char* name : {"CAPSTAN_ADDRESS", "CAPSTAN_CA_FILE", "CAPSTAN_CALLER"}) {
    if (const char* value = std::getenv(name)) environment.variables[name] = value;
  }
  return capstan::cli::Run(std::vector<std::string>(argv + 1, argv + argc), environment);
}
