// The stream of WatchExecutions: drives ExecutionsProgress with the hub and the store.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/executions_progress.h"
#include "server/stream.h"
#include "server/watch_hub.h"

namespace capstan::server {

class ExecutionsStream final : public Stream<v1::WatchExecutionsResponse>, public FeedWatcher {
 public:
  using Stream::Stream;

  // Checks the request and begins. Call once, after Open().
  void Follow(const v1::WatchExecutionsRequest& request);

  void FeedMoved() override;
  void Submitted(const ExecutionId& id) override;

 private:
  struct EventReads;  // a batch of reads in progress

  std::shared_ptr<ExecutionsStream> Self() {
    return std::static_pointer_cast<ExecutionsStream>(shared_from_this());
  }
  Turn Next(v1::WatchExecutionsResponse& response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HeartbeatDue() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Work() override;
  void Closed() override;

  // Each ends with Done() or Failed(), on any thread.
  void ReadLivePage();
  void ReadRows();
  void ReadEvents();
  void ReadRowsFromStore(const storage::FeedPosition& from);
  void OnPool(void (ExecutionsStream::*read)());
  void OnEvents(std::vector<absl::StatusOr<EventListPtr>> lists);
  void Done();
  // Tries the same again after a pause, or ends the stream.
  void Failed(const absl::Status& status);

  std::string filter_text_;  // written before the first read, as is filter_
  storage::ExecutionFilter filter_;
  std::optional<ExecutionsProgress> progress_ ABSL_GUARDED_BY(mu_);
  ExecutionsProgress::Need failed_ ABSL_GUARDED_BY(mu_) = ExecutionsProgress::Need::kNothing;
  ExecutionsProgress::Need need_ ABSL_GUARDED_BY(mu_) = ExecutionsProgress::Need::kNothing;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool pausing_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Duration> failing_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::server
