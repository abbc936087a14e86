// The stream of ReadLog: pieces of a stored log, and with follow what is added to it, until the
// execution has ended and its log is complete. Every open stream that has caught up looks at the
// store once per pause; a pause grows while nothing comes.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "server/stream.h"
#include "storage/reader.h"

namespace capstan::server {

inline constexpr int kMaxLogPieceBytes = 64 << 10;

class LogStream final : public Stream<v1::ReadLogResponse> {
 public:
  LogStream(const Parts& parts, std::string_view method, grpc::CallbackServerContext* context)
      : Stream(parts, method, context), pause_(parts.options.log_poll) {}

  // Call once, after Open().
  void Read(const ExecutionId& id, std::int64_t offset, bool follow);

 private:
  std::shared_ptr<LogStream> Self() {
    return std::static_pointer_cast<LogStream>(shared_from_this());
  }
  Turn Next(v1::ReadLogResponse& response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HeartbeatDue() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {}  // it carries bytes only
  void Work() override;
  void Closed() override {}

  void ReadNow();  // on the pool
  void OnRead(absl::StatusOr<storage::Reader::Log> log);
  // Looks again after `pause`.
  void Pause(absl::Duration pause);

  ExecutionId id_;  // written before the first read, as is follow_
  bool follow_ = false;
  bool started_ ABSL_GUARDED_BY(mu_) = false;
  std::int64_t offset_ ABSL_GUARDED_BY(mu_) = 0;
  std::optional<storage::Reader::Log> piece_ ABSL_GUARDED_BY(mu_);  // read, not yet sent
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool pausing_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration pause_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Duration> failing_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::server
