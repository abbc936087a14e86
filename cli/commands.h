// What each command does.
#pragma once

#include <functional>
#include <istream>
#include <map>
#include <ostream>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.h"

namespace capstan::cli {

struct TerminalSize {
  size_t columns = 80;
  size_t rows = 24;
};

// The world that a command lives in. Borrowed from main.cc or the test for the length of the call.
struct Environment {
  std::istream& in;
  std::ostream& out;  // results
  std::ostream& err;  // errors, remarks and advice
  bool out_is_terminal = false;
  // How large the terminal is now; asked again before each drawing, from any thread.
  std::function<TerminalSize()> terminal_size = [] { return TerminalSize(); };
  std::map<std::string, std::string> variables;
  Clock& clock;
  std::stop_token stop;  // Ctrl-C
};

// Runs one command line (without the program's name) and returns the exit code.
int Run(const std::vector<std::string>& arguments, Environment& environment);

}  // namespace capstan::cli
