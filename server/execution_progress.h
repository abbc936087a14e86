// What one stream still has to say about one execution: the snapshot, then every event above
// after_seq once and in order, heartbeats in between, and the end. Holds at most one shared list of
// events at a time; a reader too slow for it loses it and is served from the store again. Pure
// bookkeeping: no locks, no reads, no clock.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "capstan/v1/execution_service.pb.h"
#include "server/event_list.h"

namespace capstan::server {

class ExecutionProgress {
 public:
  // Events that may wait in memory for a slow reader.
  explicit ExecutionProgress(int max_pending) : max_pending_(max_pending) {}

  // The first read. OUT_OF_RANGE: after_seq is beyond the last event; end the stream with it.
  absl::Status Begin(EventListPtr list, std::int32_t after_seq);
  bool begun() const { return begun_; }

  // Told by the feed, before or after Begin(). `writing`: the reader has not taken the last message
  // yet. True: it is slow and what waited for it was dropped.
  bool Reached(std::int32_t seq, bool writing);
  void HeartbeatDue() { heartbeat_due_ = true; }

  // The number that a read is needed up to; nullopt while there is something to send or nothing
  // more to know.
  std::optional<std::int32_t> WantsRead() const;
  // What was read.
  void Deliver(EventListPtr list);

  // Fills the next message; false: nothing to send now.
  bool Next(absl::Time now, v1::ExecutionUpdate& update);
  // The terminal event was handed out, or lies below after_seq: end the stream with OK.
  bool done() const { return done_; }

  // Number of the last event handed out or skipped.
  std::int32_t last() const { return last_; }

 private:
  const int max_pending_;
  bool begun_ = false;
  bool snapshot_due_ = false;
  bool heartbeat_due_ = false;
  bool done_ = false;
  std::int32_t last_ = 0;     // handed out
  std::int32_t reached_ = 0;  // stored, as far as is known
  EventListPtr list_;         // shared with other streams; null when all of it was handed out
};

}  // namespace capstan::server
