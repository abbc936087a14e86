#include "server/executions_progress.h"

#include <algorithm>
#include <utility>

#include "core/text.h"
#include "server/errors.h"
#include "server/proto_time.h"

namespace capstan::server {
namespace {

constexpr std::size_t kMaxIgnored = 16'384;
constexpr std::size_t kMaxSubmitted = 1024;  // more come by the feed alone

}  // namespace

ExecutionsProgress::ExecutionsProgress(storage::ExecutionFilter filter,
                                       const storage::FeedPosition& position)
    : filter_(std::move(filter)), position_(position), rows_from_(position), scanning_(true) {}

ExecutionsProgress::ExecutionsProgress(storage::ExecutionFilter filter, const WatchCursor& cursor)
    : filter_(std::move(filter)),
      position_(cursor.position),
      rows_from_(cursor.position),
      scanning_(cursor.scanned.has_value()),
      scanned_(cursor.scanned.value_or(ExecutionId())),
      heartbeat_due_(!scanning_) {
  for (const WatchCursor::Followed& followed : cursor.followed) {
    followed_[followed.execution] = {followed.seq, followed.ended};
  }
}

ExecutionsProgress::Need ExecutionsProgress::Next() {
  if (!batch_.empty()) return batch_read_ ? Need::kNothing : Need::kEvents;
  batch_read_ = false;
  if (scanning_) {
    if (scanned_ < page_end_) scanned_ = page_end_;  // its last ones may have been gone
    return Need::kLivePage;
  }
  BatchSubmitted();
  if (!batch_.empty()) return Need::kEvents;
  while (BatchRow()) {
    if (!batch_.empty()) return Need::kEvents;
  }
  if (!more_rows_) return Need::kNothing;
  more_rows_ = false;
  return Need::kRows;
}

void ExecutionsProgress::DeliverLivePage(const std::vector<ExecutionId>& ids) {
  for (const ExecutionId& id : ids) batch_.push_back({id, HashOf(id), 0, nullptr});
  if (!ids.empty()) {
    page_end_ = ids.back();
    return;
  }
  scanning_ = false;
  heartbeat_due_ = true;  // tells the caller that it has seen all, and gives it a cursor
}

void ExecutionsProgress::DeliverRows(std::vector<WatchHub::RowPtr> rows,
                                     std::optional<storage::FeedPosition> all_up_to) {
  if (!rows.empty()) more_rows_ = true;  // perhaps there are more
  for (WatchHub::RowPtr& row : rows) rows_.push_back(std::move(row));
  if (all_up_to && (rows_.empty() || rows_.back()->position < *all_up_to) &&
      rows_from_ < *all_up_to) {
    auto end = std::make_shared<storage::FeedRow>();  // reports nothing but its position
    end->position = *all_up_to;
    rows_.push_back(std::move(end));
  }
  if (!rows_.empty()) rows_from_ = rows_.back()->position;
}

std::vector<ExecutionsProgress::Wanted> ExecutionsProgress::wanted() const {
  std::vector<Wanted> out;
  out.reserve(batch_.size());
  for (const Item& item : batch_) out.push_back({item.id, item.seq});
  return out;
}

void ExecutionsProgress::DeliverEvents(std::vector<EventListPtr> lists) {
  for (std::size_t i = 0; i < batch_.size(); ++i) batch_[i].list = std::move(lists[i]);
  std::erase_if(batch_, [](const Item& item) { return item.list == nullptr; });
  batch_read_ = true;
}

void ExecutionsProgress::Submitted(const ExecutionId& id) {
  if (submitted_.size() < kMaxSubmitted) submitted_.push_back(id);
}

absl::StatusOr<bool> ExecutionsProgress::Fill(absl::Time now, v1::ExecutionUpdate& update) {
  while (batch_read_ && !batch_.empty()) {
    Item& item = batch_.front();
    const bool filled = item.seq == 0 ? FillSnapshot(item, update) : FillEvent(item, update);
    const auto followed = followed_.find(item.hash);
    const bool all_said = item.seq == 0 || followed == followed_.end() ||
                          followed->second.seq >= std::min(item.seq, item.list->last_seq());
    if (all_said) batch_.pop_front();
    if (followed_.size() > kMaxFollowed) {
      return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_LIVE_EXECUTIONS",
                   Cat("filter: more than ", kMaxFollowed,
                       " live executions match, want a narrower filter"));
    }
    if (filled) return true;
  }
  if (!heartbeat_due_) return false;
  heartbeat_due_ = false;
  *update.mutable_heartbeat()->mutable_time() = ToProto(now);
  return true;
}

WatchCursor ExecutionsProgress::cursor() const {
  WatchCursor cursor;
  cursor.position = position_;
  if (scanning_) cursor.scanned = scanned_;
  cursor.followed.reserve(followed_.size());
  for (const auto& [hash, followed] : followed_) {
    cursor.followed.push_back({hash, followed.seq, followed.ended});
  }
  return cursor;
}

void ExecutionsProgress::BatchSubmitted() {
  while (!submitted_.empty() && batch_.size() < kWatchBatch) {
    AddToBatch(submitted_.front(), 1);
    submitted_.pop_front();
  }
}

bool ExecutionsProgress::BatchRow() {
  if (rows_.empty()) return false;
  const storage::FeedRow& row = *rows_.front();
  while (row_next_ < row.reached.size() && batch_.size() < kWatchBatch) {
    const auto& [id, seq] = row.reached[row_next_++];
    AddToBatch(id, seq);
  }
  // The row is over only when what it put into the batch was handed out: next time.
  if (batch_.empty() && row_next_ == row.reached.size()) FinishRow(row);
  return true;
}

void ExecutionsProgress::AddToBatch(const ExecutionId& id, std::int32_t seq) {
  const ExecutionHash hash = HashOf(id);
  if (ignored_.contains(hash)) return;
  const auto followed = followed_.find(hash);
  if (followed != followed_.end() && followed->second.seq >= seq) return;
  batch_.push_back({id, hash, seq, nullptr});
}

void ExecutionsProgress::FinishRow(const storage::FeedRow& row) {
  for (const auto& [id, seq] : row.reached) {
    const auto followed = followed_.find(HashOf(id));
    if (followed == followed_.end()) continue;
    if (!followed->second.ended || seq < followed->second.seq) continue;
    Ignore(followed->first);
    followed_.erase(followed);
  }
  position_ = row.position;
  row_next_ = 0;
  rows_.pop_front();
}

void ExecutionsProgress::Ignore(ExecutionHash hash) {
  if (!ignored_.insert(hash).second) return;
  ignored_order_.push_back(hash);
  if (ignored_order_.size() <= kMaxIgnored) return;
  ignored_.erase(ignored_order_.front());
  ignored_order_.pop_front();
}

bool ExecutionsProgress::FillSnapshot(Item& item, v1::ExecutionUpdate& update) {
  scanned_ = item.id;
  if (followed_.contains(item.hash)) return false;
  followed_[item.hash] = {item.list->last_seq(), item.list->terminal};
  *update.mutable_snapshot() = item.list->Snapshot();
  return true;
}

bool ExecutionsProgress::FillEvent(Item& item, v1::ExecutionUpdate& update) {
  auto followed = followed_.find(item.hash);
  if (followed == followed_.end()) {
    if (!Matches(*item.list)) {
      Ignore(item.hash);
      return false;
    }
    followed = followed_.emplace(item.hash, Followed()).first;
  }
  const std::int32_t next = followed->second.seq + 1;
  if (next > std::min(item.seq, item.list->last_seq())) return false;
  *update.mutable_event() = item.list->at(next);
  followed->second.seq = next;
  followed->second.ended = item.list->terminal && next == item.list->last_seq();
  return true;
}

bool ExecutionsProgress::Matches(const EventList& list) const {
  if (list.events.empty() || !list.at(1).has_accepted()) return false;
  const v1::Accepted& accepted = list.at(1).accepted();
  if (filter_.action && (*filter_.action == accepted.action()) == filter_.action_not) return false;
  if (filter_.parent && (*filter_.parent == accepted.parent().name()) == filter_.parent_not) {
    return false;
  }
  return std::all_of(filter_.labels.begin(), filter_.labels.end(), [&](const auto& label) {
    const auto it = accepted.labels().find(label.first);
    return it != accepted.labels().end() && it->second == label.second;
  });
}

}  // namespace capstan::server
