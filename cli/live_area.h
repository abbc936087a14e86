// Lines at the bottom of a terminal that are drawn again in place.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace capstan::cli {

// Says what to write to the terminal; writes nothing itself. Not thread-safe.
class LiveArea {
 public:
  // Puts `lines` in the place of those that are there. Each must be narrower than the terminal's
  // `columns`. All of it is one text, so that a terminal shows it at once; empty when nothing
  // changes. The cursor is hidden as long as there are lines.
  std::string Draw(std::vector<std::string> lines, size_t columns);

  // Removes the lines and shows the cursor; empty when there are none.
  std::string Clear(size_t columns);

  bool drawn() const { return !lines_.empty(); }

 private:
  // To the beginning of the first line. A terminal that has become narrower has wrapped them.
  std::string ToTop(size_t columns) const;

  std::vector<std::string> lines_;
  size_t columns_ = 0;  // when they were drawn
};

}  // namespace capstan::cli
