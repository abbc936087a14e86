// Wakes the streams of this server when what they follow has moved. One listener on the feed and
// one index by execution, whatever the number of streams; the hub itself reads nothing.
//
// A stream registers first, then reads its snapshot, then delivers what is above it: whatever
// happens in between is told to it and is not lost. Calls arrive on the tailer's thread (or a
// submitting one) and must not block.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "storage/feed.h"

namespace capstan::server {

// Follows one execution.
class ExecutionWatcher {
 public:
  virtual ~ExecutionWatcher() = default;
  // Events up to `seq` at least are stored. Not in order, and the same may be said again.
  virtual void Reached(std::int32_t seq) = 0;
};

// Follows the whole feed.
class FeedWatcher {
 public:
  virtual ~FeedWatcher() = default;
  // RowsAfter() has more.
  virtual void FeedMoved() = 0;
  // This server has just stored it; its feed row comes later, or much later when some transaction
  // holds the feed back.
  virtual void Submitted(const ExecutionId& id) = 0;
};

// Thread-safe. Watchers are held weakly: shared ownership stays with their streams.
class WatchHub {
 public:
  // Rows kept in memory for streams that follow the whole feed; those further behind read the
  // store.
  static constexpr std::size_t kMaxRows = 1024;
  static constexpr std::size_t kMaxRowExecutions = 65'536;  // in all of them

  explicit WatchHub(storage::FeedTailer& tailer) : tailer_(tailer) {}
  ~WatchHub() { Stop(); }

  void Start();
  void Stop();  // idempotent

  void Watch(const ExecutionId& id, std::weak_ptr<ExecutionWatcher> watcher);
  void Unwatch(const ExecutionId& id, const ExecutionWatcher* watcher);
  void WatchFeed(std::weak_ptr<FeedWatcher> watcher);
  void UnwatchFeed(const FeedWatcher* watcher);

  // Tells the watchers of an execution that this server has just stored.
  void Submitted(const ExecutionId& id);

  using RowPtr = std::shared_ptr<const storage::FeedRow>;  // shared by all that follow the feed
  struct Rows {
    std::vector<RowPtr> rows;
    bool behind = false;  // `from` is older than what is kept here: FeedTailer::ReadFrom
  };
  Rows RowsAfter(const storage::FeedPosition& from, std::size_t limit) const;

 private:
  void OnRows(const std::vector<storage::FeedRow>& rows);
  void Keep(const storage::FeedRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellReached(const std::vector<storage::FeedRow>& rows);
  std::vector<std::shared_ptr<FeedWatcher>> FeedWatchers() const;

  template <class Watcher>
  struct Entry {
    const Watcher* key;
    std::weak_ptr<Watcher> watcher;
  };

  storage::FeedTailer& tailer_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<ExecutionId, std::vector<Entry<ExecutionWatcher>>> executions_
      ABSL_GUARDED_BY(mu_);
  std::vector<Entry<FeedWatcher>> feed_watchers_ ABSL_GUARDED_BY(mu_);
  std::deque<RowPtr> rows_ ABSL_GUARDED_BY(mu_);
  std::size_t row_executions_ ABSL_GUARDED_BY(mu_) = 0;
  // rows_ holds everything above this; nullopt until known.
  std::optional<storage::FeedPosition> begin_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::server
