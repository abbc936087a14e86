#include "server/transcript_stream.h"

#include <algorithm>
#include <utility>

#include "core/status_macros.h"
#include "core/text.h"
#include "server/proto_time.h"

namespace capstan::server {
namespace {

constexpr int kPageEntries = 50;
constexpr absl::Duration kLongestPause = absl::Seconds(2);

absl::Status BeyondEnd(std::int64_t after, std::int64_t last) {
  return Error(absl::StatusCode::kOutOfRange, "AFTER_OUT_OF_RANGE",
               Cat("after: got ", after, ", want at most ", last, ", the last entry so far"),
               {{"last", Cat(last)}});
}

v1::TranscriptEntry ToProto(const storage::TranscriptRow& row) {
  v1::TranscriptEntry entry;
  entry.set_number(row.number);
  *entry.mutable_time() = server::ToProto(row.at);
  entry.set_step(row.entry.step);
  entry.set_attempt(row.entry.attempt);
  entry.set_iteration(row.entry.iteration);
  entry.set_role(static_cast<v1::TranscriptEntry::Role>(row.entry.role));
  entry.set_text(row.entry.text);
  return entry;
}

}  // namespace

void TranscriptStream::Read(const ExecutionId& id, const v1::ReadTranscriptRequest& request) {
  id_ = id;
  follow_ = request.follow();
  step_ = request.step();
  {
    absl::MutexLock lock(&mu_);
    after_ = request.after();
    started_ = true;
  }
  Pump();
}

TranscriptStream::Turn TranscriptStream::Next(v1::ReadTranscriptResponse& response) {
  if (done_) return Turn::kFinish;
  if (!waiting_.empty()) {
    *response.mutable_entry() = ToProto(waiting_.front());
    waiting_.pop_front();
    return Turn::kWrite;
  }
  if (!at_end_) return Turn::kNothing;
  done_ = true;
  if (!complete_) return Turn::kFinish;
  response.set_eof(true);
  return Turn::kWrite;
}

void TranscriptStream::Work() {
  std::int64_t after = 0;
  {
    absl::MutexLock lock(&mu_);
    if (!started_ || reading_ || pausing_ || !waiting_.empty() || at_end_ || writing_ ||
        finished_ || cancelled_) {
      return;
    }
    reading_ = true;
    after = after_;
  }
  if (parts_.pool.TrySubmit([self = Self(), after] { self->OnRead(self->ReadPage(after)); }))
    return;
  OnRead(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
}

absl::StatusOr<TranscriptStream::Page> TranscriptStream::ReadPage(std::int64_t after) {
  Page page;
  // First whether it has ended: nothing is added after that.
  CAPSTAN_ASSIGN_OR_RETURN(page.end, parts_.tasks.ReadTranscriptEnd(id_));
  CAPSTAN_ASSIGN_OR_RETURN(page.rows, parts_.tasks.ReadTranscript(id_, after, step_, kPageEntries));
  page.full = page.rows.size() == kPageEntries;
  return page;
}

void TranscriptStream::OnRead(absl::StatusOr<Page> page) {
  std::optional<absl::Duration> pause;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    if (!page.ok()) {
      const absl::Duration now = parts_.clock.BootTime();
      if (!failing_since_) failing_since_ = now;
      const bool passing =
          absl::IsUnavailable(page.status()) || absl::IsResourceExhausted(page.status());
      if (follow_ && passing && now - *failing_since_ < parts_.options.store_patience) {
        pause = parts_.options.read_retry;
      } else if (!end_) {
        end_ =
            absl::IsNotFound(page.status()) ? ExecutionNotFound(ExecutionName(id_)) : page.status();
      }
    } else if (std::exchange(first_, false) && after_ > page->end.number) {
      end_ = BeyondEnd(after_, page->end.number);
    } else {
      failing_since_.reset();
      if (!page->rows.empty()) {
        after_ = page->rows.back().number;
        pause_ = parts_.options.log_poll;
      }
      for (storage::TranscriptRow& row : page->rows) waiting_.push_back(std::move(row));
      at_end_ = !page->full && (page->end.complete || !follow_);
      complete_ = page->end.complete;
      if (waiting_.empty() && !at_end_) {
        pause = pause_;
        pause_ = std::min(pause_ * 2, kLongestPause);
      }
    }
    pausing_ = pause.has_value();
  }
  if (pause) Pause(*pause);
  Pump();
}

void TranscriptStream::Pause(absl::Duration pause) {
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
