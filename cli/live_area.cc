#include "cli/live_area.h"

#include <algorithm>
#include <utility>

#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr char kHideCursor[] = "\033[?25l";
constexpr char kShowCursor[] = "\033[?25h";
constexpr char kClearRestOfLine[] = "\033[K";
constexpr char kClearBelow[] = "\033[J";

}  // namespace

std::string LiveArea::Draw(std::vector<std::string> lines, size_t columns) {
  if (lines == lines_ && columns == columns_) return "";
  std::string text = drawn() ? ToTop(columns) : Cat(kHideCursor, "\r");
  for (size_t i = 0; i < lines.size(); ++i)
    Append(&text, i == 0 ? "" : "\r\n", lines[i], kClearRestOfLine);
  Append(&text, kClearBelow);
  lines_ = std::move(lines);
  columns_ = columns;
  return text;
}

std::string LiveArea::Clear(size_t columns) {
  if (!drawn()) return "";
  std::string text = Cat(ToTop(columns), kClearBelow, kShowCursor);
  lines_.clear();
  return text;
}

std::string LiveArea::ToTop(size_t columns) const {
  size_t rows = 0;
  for (const std::string& line : lines_) {
    const size_t width = DisplayWidth(line);
    rows += columns == 0 ? 1 : std::max<size_t>(1, (width + columns - 1) / columns);
  }
  return rows > 1 ? Cat("\r\033[", rows - 1, "A") : "\r";
}

}  // namespace capstan::cli
