#include "worker/kubernetes/line_splitter.h"

#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::kubernetes {

absl::Status LineSplitter::Push(std::string_view piece,
                                const std::function<absl::Status(std::string_view)>& on_line) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (rest_.size() + part.size() > max_line_bytes_) {
      return absl::ResourceExhaustedError(
          Cat("a line of the stream has more than ", max_line_bytes_, " bytes"));
    }
    rest_.append(part);
    if (end == std::string_view::npos) return absl::OkStatus();
    piece.remove_prefix(end + 1);
    if (!rest_.empty() && rest_.back() == '\r') rest_.pop_back();
    std::string line;
    line.swap(rest_);
    if (!line.empty()) CAPSTAN_RETURN_IF_ERROR(on_line(line));
  }
  return absl::OkStatus();
}

}  // namespace capstan::kubernetes
