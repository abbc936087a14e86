// A task as a few lines that are drawn over and over while it goes on. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"
#include "cli/commands.h"

namespace capstan::cli {

// The task at `now` by the server's clock: its state, a line for each step with elapsed time,
// tokens and cost, and what all of them used. `frame` counts up and turns the spinner. At most
// size.rows lines (3 at least) of at most size.columns columns; of many steps those around the ones
// that run.
std::vector<std::string> TaskView(const v1::Execution& execution, absl::Time now, int64_t frame,
                                  TerminalSize size);

}  // namespace capstan::cli
