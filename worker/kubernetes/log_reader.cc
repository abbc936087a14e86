#include "worker/kubernetes/log_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "worker/kubernetes/api_error.h"

namespace capstan::kubernetes {
namespace {

// Takes a log from its start and keeps what is asked for: the head from `offset` on, and the last
// bytes.
class Keeper {
 public:
  Keeper(uint64_t offset, bool keep_tail) : offset_(offset), keep_tail_(keep_tail) {}

  void Take(std::string_view bytes) {
    const uint64_t begin = seen_;
    seen_ += bytes.size();
    if (begin < kLogHeadBytes) {
      const uint64_t from = std::max(begin, offset_);
      const uint64_t to = std::min(seen_, kLogHeadBytes);
      if (from < to) head_.append(bytes.substr(from - begin, to - from));
    }
    if (!keep_tail_ || seen_ <= kLogHeadBytes) return;
    tail_.append(begin < kLogHeadBytes ? bytes.substr(kLogHeadBytes - begin) : bytes);
    // Cut rarely: moving a megabyte for every few bytes would be quadratic.
    if (tail_.size() > 2 * kLogTailBytes) tail_.erase(0, tail_.size() - kLogTailBytes);
  }

  uint64_t seen() const { return seen_; }

  LogPiece Piece(bool cut) && {
    LogPiece piece;
    piece.truncated = cut;
    if (tail_.size() > kLogTailBytes) tail_.erase(0, tail_.size() - kLogTailBytes);
    const uint64_t tail_begin = seen_ - tail_.size();
    const uint64_t wanted = std::max(offset_, kLogHeadBytes);
    if (!tail_.empty() && wanted > tail_begin) {
      tail_.erase(0, std::min<uint64_t>(wanted - tail_begin, tail_.size()));
    }

    piece.offset = offset_;
    piece.bytes = std::move(head_);
    piece.next_offset = std::max(offset_, std::min(seen_, kLogHeadBytes));
    if (seen_ < offset_) piece.truncated = true;  // the log was rotated away under us
    if (tail_.empty()) return piece;

    const uint64_t gap_end = seen_ - tail_.size();
    if (gap_end > piece.next_offset) {
      piece.truncated = true;
      piece.gap_begin = piece.next_offset;
      piece.gap_end = gap_end;
    }
    piece.bytes += tail_;
    piece.next_offset = seen_;
    return piece;
  }

 private:
  const uint64_t offset_;
  const bool keep_tail_;
  uint64_t seen_ = 0;
  std::string head_;
  std::string tail_;  // of what lies beyond the head
};

// The container has no log yet: it is waiting or its pod is not on a node.
bool IsTooEarly(const absl::Status& status) {
  const std::optional<ApiError> error = ApiErrorOf(status);
  if (!error.has_value() || error->http_code != 400) return false;
  return absl::StrContains(error->message, "waiting to start") ||
         absl::StrContains(error->message, "does not have a host assigned") ||
         absl::StrContains(error->message, "is not available") ||
         absl::StrContains(error->message, "PodInitializing") ||
         absl::StrContains(error->message, "ContainerCreating");
}

}  // namespace

absl::StatusOr<LogPiece> ReadLogPiece(Client& client, const LogSource& source, uint64_t offset,
                                      bool ended, const CallOptions& options) {
  LogPiece nothing;
  nothing.offset = offset;
  nothing.next_offset = offset;
  if (!ended && offset >= kLogHeadBytes) return nothing;

  Keeper keeper(offset, ended);
  LogRequest request;
  request.name_space = source.name_space;
  request.pod = source.pod;
  request.container = source.container;
  request.limit_bytes = static_cast<int64_t>(ended ? kLogScanBytes : kLogHeadBytes);
  const absl::Status status = client.ReadLog(
      request,
      [&](std::string_view bytes) {
        keeper.Take(bytes);
        return true;
      },
      options);
  if (absl::IsNotFound(status)) {
    nothing.missing = true;
    return nothing;
  }
  if (IsTooEarly(status)) {
    nothing.missing = ended;
    return nothing;
  }
  if (!status.ok()) return status;
  const bool cut = ended && keeper.seen() >= kLogScanBytes;
  return std::move(keeper).Piece(cut);
}

}  // namespace capstan::kubernetes
