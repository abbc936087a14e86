#include "server/log_stream.h"

#include <algorithm>
#include <utility>

#include "core/text.h"

namespace capstan::server {
namespace {

// A log that does not grow is looked at less and less often, down to once in this time.
constexpr absl::Duration kLongestPause = absl::Seconds(2);

absl::Status BeyondEnd(std::int64_t offset, std::int64_t length) {
  return Error(absl::StatusCode::kOutOfRange, "OFFSET_OUT_OF_RANGE",
               Cat("offset: got ", offset, ", want at most ", length, ", the bytes stored so far"),
               {{"length", Cat(length)}});
}

}  // namespace

void LogStream::Read(const ExecutionId& id, std::int64_t offset, bool follow) {
  id_ = id;
  follow_ = follow;
  // An execution without a log and one that does not exist look alike to ReadLog.
  parts_.events.ReadLatest(id, [self = Self(), offset](const absl::StatusOr<EventListPtr>& list) {
    if (!list.ok()) return self->End(list.status());
    {
      absl::MutexLock lock(&self->mu_);
      self->offset_ = offset;
      self->started_ = true;
    }
    self->Pump();
  });
}

LogStream::Turn LogStream::Next(v1::ReadLogResponse& response) {
  if (done_) return Turn::kFinish;
  if (!piece_) return Turn::kNothing;
  storage::Reader::Log piece = *std::exchange(piece_, std::nullopt);
  offset_ += static_cast<std::int64_t>(piece.chunk.data.size());
  const bool at_end = offset_ >= piece.length;
  done_ = at_end && (piece.complete || !follow_);
  response.set_data(std::move(piece.chunk.data));
  response.set_next_offset(offset_);
  response.set_eof(at_end && piece.complete);
  return Turn::kWrite;
}

void LogStream::Work() {
  {
    absl::MutexLock lock(&mu_);
    if (!started_ || reading_ || pausing_ || piece_ || done_ || writing_ || finished_ ||
        cancelled_) {
      return;
    }
    reading_ = true;
  }
  if (parts_.pool.TrySubmit([self = Self()] { self->ReadNow(); })) return;
  OnRead(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
}

void LogStream::ReadNow() {
  std::int64_t offset = 0;
  {
    absl::MutexLock lock(&mu_);
    offset = offset_;
  }
  OnRead(parts_.reader.ReadLog(id_, offset, kMaxLogPieceBytes));
}

void LogStream::OnRead(absl::StatusOr<storage::Reader::Log> log) {
  std::optional<absl::Duration> pause;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    if (!log.ok()) {
      const absl::Duration now = parts_.clock.BootTime();
      if (!failing_since_) failing_since_ = now;
      const bool passing =
          absl::IsUnavailable(log.status()) || absl::IsResourceExhausted(log.status());
      if (follow_ && passing && now - *failing_since_ < parts_.options.store_patience) {
        pause = parts_.options.read_retry;
      } else if (!end_) {
        end_ =
            absl::IsNotFound(log.status()) ? ExecutionNotFound(ExecutionName(id_)) : log.status();
      }
    } else {
      failing_since_.reset();
      const bool nothing_new = log->chunk.data.empty();
      if (offset_ > log->length) {
        end_ = BeyondEnd(offset_, log->length);
      } else if (nothing_new && follow_ && !log->complete) {
        pause = pause_;
        pause_ = std::min(pause_ * 2, kLongestPause);
      } else {
        pause_ = parts_.options.log_poll;
        piece_ = *std::move(log);
      }
    }
    pausing_ = pause.has_value();
  }
  if (pause) Pause(*pause);
  Pump();
}

void LogStream::Pause(absl::Duration pause) {
  parts_.timer.After(pause, [weak = std::weak_ptr(Self())] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    {
      absl::MutexLock lock(&self->mu_);
      self->pausing_ = false;
    }
    self->Pump();
  });
}

}  // namespace capstan::server
