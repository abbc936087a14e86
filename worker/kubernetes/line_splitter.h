// Puts lines together that arrive in pieces, as the objects of a watch stream do.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace capstan::kubernetes {

class LineSplitter {
 public:
  explicit LineSplitter(size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  // Calls `on_line` for every line that `piece` completes, without its newline; empty lines are
  // left out. The first error of `on_line` ends it. RESOURCE_EXHAUSTED: a line is longer than the
  // limit.
  absl::Status Push(std::string_view piece,
                    const std::function<absl::Status(std::string_view)>& on_line);

 private:
  const size_t max_line_bytes_;
  std::string rest_;
};

}  // namespace capstan::kubernetes
