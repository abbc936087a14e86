#include "worker/phases/sse_parser.h"

namespace capstan::phases {

bool SseParser::Add(std::string_view piece) {
  while (!piece.empty() && !overflown_) {
    if (after_return_ && piece.front() == '\n') piece.remove_prefix(1);
    after_return_ = false;
    const std::size_t end = piece.find_first_of("\r\n");
    line_.append(piece.substr(0, end));
    overflown_ = line_.size() + data_.size() > kMaxEventBytes;
    if (end == std::string_view::npos || overflown_) break;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    Line(line_);
    line_.clear();
  }
  return !overflown_;
}

void SseParser::Line(std::string_view line) {
  if (line.empty()) return Dispatch();
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_ = value;
  } else if (field == "data") {
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
}

void SseParser::Dispatch() {
  if (has_data_) sink_(event_.empty() ? "message" : event_, data_);
  event_.clear();
  data_.clear();
  has_data_ = false;
}

}  // namespace capstan::phases
