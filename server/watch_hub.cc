#include "server/watch_hub.h"

#include <algorithm>
#include <utility>

namespace capstan::server {

void WatchHub::Start() {
  tailer_.Start([this](const std::vector<storage::FeedRow>& rows) { OnRows(rows); });
  const storage::FeedPosition position = tailer_.position();
  absl::MutexLock lock(&mu_);
  if (!begin_) begin_ = position;
}

void WatchHub::Stop() { tailer_.Stop(); }

void WatchHub::Watch(const ExecutionId& id, std::weak_ptr<ExecutionWatcher> watcher) {
  const ExecutionWatcher* key = watcher.lock().get();
  absl::MutexLock lock(&mu_);
  executions_[id].push_back({key, std::move(watcher)});
}

void WatchHub::Unwatch(const ExecutionId& id, const ExecutionWatcher* watcher) {
  absl::MutexLock lock(&mu_);
  const auto it = executions_.find(id);
  if (it == executions_.end()) return;
  std::erase_if(it->second, [&](const auto& entry) { return entry.key == watcher; });
  if (it->second.empty()) executions_.erase(it);
}

void WatchHub::WatchFeed(std::weak_ptr<FeedWatcher> watcher) {
  const FeedWatcher* key = watcher.lock().get();
  absl::MutexLock lock(&mu_);
  feed_watchers_.push_back({key, std::move(watcher)});
}

void WatchHub::UnwatchFeed(const FeedWatcher* watcher) {
  absl::MutexLock lock(&mu_);
  std::erase_if(feed_watchers_, [&](const auto& entry) { return entry.key == watcher; });
}

void WatchHub::Submitted(const ExecutionId& id) {
  for (const std::shared_ptr<FeedWatcher>& watcher : FeedWatchers()) watcher->Submitted(id);
}

WatchHub::Rows WatchHub::RowsAfter(const storage::FeedPosition& from, std::size_t limit) const {
  Rows out;
  absl::MutexLock lock(&mu_);
  if (!begin_ || from < *begin_) {
    out.behind = true;
    return out;
  }
  auto it = std::upper_bound(
      rows_.begin(), rows_.end(), from,
      [](const storage::FeedPosition& value, const RowPtr& row) { return value < row->position; });
  for (; it != rows_.end() && out.rows.size() < limit; ++it) out.rows.push_back(*it);
  return out;
}

void WatchHub::OnRows(const std::vector<storage::FeedRow>& rows) {
  if (rows.empty()) return;
  {
    absl::MutexLock lock(&mu_);
    for (const storage::FeedRow& row : rows) Keep(row);
  }
  TellReached(rows);
  for (const std::shared_ptr<FeedWatcher>& watcher : FeedWatchers()) watcher->FeedMoved();
}

void WatchHub::Keep(const storage::FeedRow& row) {
  if (row.kind != storage::FeedKind::kEvents) return;
  // Rows before the first one seen were given to nobody here: only from it on is all known.
  if (!begin_) {
    begin_ = row.position;
    return;
  }
  rows_.push_back(std::make_shared<const storage::FeedRow>(row));
  row_executions_ += row.reached.size();
  while (rows_.size() > kMaxRows || (row_executions_ > kMaxRowExecutions && rows_.size() > 1)) {
    row_executions_ -= rows_.front()->reached.size();
    begin_ = rows_.front()->position;
    rows_.pop_front();
  }
}

void WatchHub::TellReached(const std::vector<storage::FeedRow>& rows) {
  std::vector<std::pair<std::shared_ptr<ExecutionWatcher>, std::int32_t>> told;
  {
    absl::MutexLock lock(&mu_);
    if (executions_.empty()) return;
    for (const storage::FeedRow& row : rows) {
      if (row.kind != storage::FeedKind::kEvents) continue;
      for (const auto& [id, seq] : row.reached) {
        const auto it = executions_.find(id);
        if (it == executions_.end()) continue;
        for (const auto& entry : it->second) {
          if (auto watcher = entry.watcher.lock()) told.emplace_back(std::move(watcher), seq);
        }
      }
    }
  }
  for (const auto& [watcher, seq] : told) watcher->Reached(seq);
}

std::vector<std::shared_ptr<FeedWatcher>> WatchHub::FeedWatchers() const {
  std::vector<std::shared_ptr<FeedWatcher>> out;
  absl::MutexLock lock(&mu_);
  for (const auto& entry : feed_watchers_) {
    if (auto watcher = entry.watcher.lock()) out.push_back(std::move(watcher));
  }
  return out;
}

}  // namespace capstan::server
