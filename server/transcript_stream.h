// The stream of ReadTranscript: stored entries, and with follow those that are added, until the
// execution has ended. As LogStream, an open stream that has caught up looks at the store once per
// pause; a pause grows while nothing comes.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/stream.h"
#include "storage/task_store.h"

namespace capstan::server {

class TranscriptStream final : public Stream<v1::ReadTranscriptResponse> {
 public:
  TranscriptStream(const Parts& parts, std::string_view method,
                   grpc::CallbackServerContext* context)
      : Stream(parts, method, context), pause_(parts.options.log_poll) {}

  // Call once, after Open().
  void Read(const ExecutionId& id, const v1::ReadTranscriptRequest& request);

 private:
  struct Page {
    std::vector<storage::TranscriptRow> rows;
    storage::TranscriptEnd end;  // as of before the rows were read
    bool full = false;           // there may be more
  };

  std::shared_ptr<TranscriptStream> Self() {
    return std::static_pointer_cast<TranscriptStream>(shared_from_this());
  }
  Turn Next(v1::ReadTranscriptResponse& response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HeartbeatDue() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {}
  void Work() override;
  void Closed() override {}

  absl::StatusOr<Page> ReadPage(std::int64_t after);  // on the pool
  void OnRead(absl::StatusOr<Page> page);
  void Pause(absl::Duration pause);

  ExecutionId id_;  // written before the first read, as are the next two
  bool follow_ = false;
  std::string step_;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  std::int64_t after_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<storage::TranscriptRow> waiting_ ABSL_GUARDED_BY(mu_);  // read, not yet sent
  bool first_ ABSL_GUARDED_BY(mu_) = true;
  bool at_end_ ABSL_GUARDED_BY(mu_) = false;    // nothing follows what waits
  bool complete_ ABSL_GUARDED_BY(mu_) = false;  // because the execution has ended
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool pausing_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration pause_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> failing_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::server
