// What a stream of many executions still has to say: first snapshots of those that live, then
// events as the feed reports them, each message with the cursor behind it. Pure bookkeeping: it
// says what to read next and is given the answers; no locks, no reads, no clock.
//
// Work goes in batches: a page of live executions, or some of the executions of one feed row. The
// next batch is looked for when all of the last one was handed out, so a slow reader holds at most
// one batch in memory and everything else waits in the store.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "capstan/v1/execution_service.pb.h"
#include "server/cursor.h"
#include "server/event_list.h"
#include "server/watch_hub.h"
#include "storage/types.h"

namespace capstan::server {

inline constexpr int kWatchBatch = 64;
// Live executions one stream may follow; its cursors grow with them.
inline constexpr std::size_t kMaxFollowed = 10'000;

class ExecutionsProgress {
 public:
  // From the beginning: `position` is the end of the feed, read before anything else.
  ExecutionsProgress(storage::ExecutionFilter filter, const storage::FeedPosition& position);
  // From a cursor.
  ExecutionsProgress(storage::ExecutionFilter filter, const WatchCursor& cursor);

  // What to read next. kNothing: something can be sent, or nothing is new.
  enum class Need { kNothing, kLivePage, kRows, kEvents };
  Need Next();
  // Fill() used up a batch without a message: Next() has more to say.
  bool wants_more() const { return batch_read_ && batch_.empty(); }

  // kLivePage: kWatchBatch live executions above this one.
  const ExecutionId& scanned() const { return scanned_; }
  void DeliverLivePage(const std::vector<ExecutionId>& ids);

  // kRows: rows above this position.
  const storage::FeedPosition& rows_from() const { return rows_from_; }
  // `all_up_to`: nothing else is at or below it.
  void DeliverRows(std::vector<WatchHub::RowPtr> rows,
                   std::optional<storage::FeedPosition> all_up_to);

  // kEvents: of each of these, at least up to that seq (0: all there are).
  struct Wanted {
    ExecutionId id;
    std::int32_t seq = 0;
  };
  std::vector<Wanted> wanted() const;
  // As many as wanted, in that order; null where the execution is gone.
  void DeliverEvents(std::vector<EventListPtr> lists);

  // There are rows above what was delivered.
  void FeedMoved() { more_rows_ = true; }
  // This server has just stored it.
  void Submitted(const ExecutionId& id);
  void HeartbeatDue() { heartbeat_due_ = true; }

  // Fills the next message; false: nothing to send now. RESOURCE_EXHAUSTED: more than kMaxFollowed
  // executions live; end the stream with it.
  absl::StatusOr<bool> Fill(absl::Time now, v1::ExecutionUpdate& update);
  // Behind the last message.
  WatchCursor cursor() const;

 private:
  struct Item {
    ExecutionId id;
    ExecutionHash hash = 0;
    std::int32_t seq = 0;  // events up to this one; 0: a snapshot
    EventListPtr list;     // shared with other streams
  };
  struct Followed {
    std::int32_t seq = 0;
    bool ended = false;
  };

  void BatchSubmitted();
  // Takes the next executions of the current row; false when no row has any left.
  bool BatchRow();
  void AddToBatch(const ExecutionId& id, std::int32_t seq);
  void FinishRow(const storage::FeedRow& row);
  void Ignore(ExecutionHash hash);
  bool FillSnapshot(Item& item, v1::ExecutionUpdate& update);
  bool FillEvent(Item& item, v1::ExecutionUpdate& update);
  bool Matches(const EventList& list) const;

  const storage::ExecutionFilter filter_;
  storage::FeedPosition position_;   // delivered
  storage::FeedPosition rows_from_;  // position_, or behind the last row in rows_
  bool scanning_ = false;
  ExecutionId scanned_;
  ExecutionId page_end_;               // last one of the page in the batch
  std::deque<WatchHub::RowPtr> rows_;  // shared with other streams; the front one is current
  std::size_t row_next_ = 0;           // in the front row
  bool more_rows_ = true;
  std::deque<ExecutionId> submitted_;
  std::deque<Item> batch_;
  bool batch_read_ = false;
  bool heartbeat_due_ = false;
  absl::flat_hash_map<ExecutionHash, Followed> followed_;
  // Executions that do not match or have ended: not read again. The oldest are forgotten.
  absl::flat_hash_set<ExecutionHash> ignored_;
  std::deque<ExecutionHash> ignored_order_;
};

}  // namespace capstan::server
