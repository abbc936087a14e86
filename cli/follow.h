// Follows one execution to its end across broken connections.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/time/time.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "core/clock.h"

namespace capstan::cli {

struct FollowOptions {
  // Gives up waiting after this long; the execution goes on. Infinite by default.
  absl::Duration wait_timeout = absl::InfiniteDuration();
  absl::Duration first_retry_delay = absl::Milliseconds(250);
};

inline constexpr absl::Duration kMaxRetryDelay = absl::Seconds(5);
inline constexpr absl::Duration kBeginTimeout = absl::Seconds(30);  // of a unary call that begins
inline constexpr int kMaxFirstAttempts =
    3;  // before anything was received: is there a server at all?
inline constexpr int kMaxResumeAttempts = 12;  // in a row without anything new, about 45 s

struct FollowResult {
  enum class How {
    kEnded,        // the terminal event was received
    kAccepted,     // stored, as asked for with WAIT_UNTIL_ACCEPTED or accepted_only
    kInterrupted,  // the stop token
    kTimedOut,     // wait_timeout
    kFailed,       // `status` says why
  };
  How how = How::kFailed;
  grpc::Status status;
  std::string name;           // of the execution; empty when the server never answered
  bool deduplicated = false;  // the request_id had been used before this call
};

// One use, one thread. Updates are delivered on it: the first snapshot, then every event once and
// in order, and heartbeats. When a stream breaks with UNAVAILABLE or ends early, it is resumed
// after the last event; a submit that was not answered is sent again with its request_id, which
// gives the same execution.
class Follower {
 public:
  using OnUpdate = std::function<void(const v1::ExecutionUpdate&)>;
  // Called before each new attempt with why the last one ended.
  using OnRetry = std::function<void(const grpc::Status& status, absl::Duration delay)>;

  Follower(v1::ExecutionService::StubInterface& stub, Clock& clock, std::stop_token stop,
           FollowOptions options, OnUpdate on_update, OnRetry on_retry);

  // Makes an execution with one unary call, which must be idempotent by a request_id: it is made
  // again when it was not answered.
  using Begin = std::function<grpc::Status(grpc::ClientContext& context, v1::Execution* execution,
                                           bool* deduplicated)>;

  FollowResult Submit(const v1::ExecuteActionRequest& request);
  FollowResult Submit(const v1::RunTaskRequest& request);
  FollowResult Start(const Begin& begin, bool accepted_only);
  FollowResult Watch(const std::string& name);

 private:
  template <class Request>
  FollowResult SubmitAny(const Request& request);
  // One stream. nullopt: it broke, try again.
  std::optional<FollowResult> SubmitOnce(const v1::ExecuteActionRequest& request);
  std::optional<FollowResult> SubmitOnce(const v1::RunTaskRequest& request);
  std::optional<FollowResult> StartOnce(const Begin& begin);
  std::optional<FollowResult> WatchOnce();
  template <class Response>
  std::optional<FollowResult> Read(grpc::ClientContext& context,
                                   grpc::ClientReaderInterface<Response>& reader);
  // What a stream or call that ended with `last_status_`, without what it was for, leads to.
  std::optional<FollowResult> Broken() const;
  FollowResult Loop(const std::function<std::optional<FollowResult>()>& once);

  void Deliver(const v1::ExecutionUpdate& update);
  // When waiting is given up, and for unary calls at the latest `limit` from now.
  void SetDeadline(grpc::ClientContext& context,
                   absl::Duration limit = absl::InfiniteDuration()) const;
  FollowResult Result(FollowResult::How how, grpc::Status status = grpc::Status::OK) const;
  // Waits before the next attempt; false when there shall be none.
  bool Retry(const grpc::Status& status);

  v1::ExecutionService::StubInterface& stub_;
  Clock& clock_;
  const std::stop_token stop_;
  const FollowOptions options_;
  const OnUpdate on_update_;
  const OnRetry on_retry_;
  const absl::Duration give_up_at_;  // boot time

  std::string name_;
  int64_t seq_ = 0;     // of the last event delivered
  bool ended_ = false;  // the terminal event was delivered
  bool accepted_only_ = false;
  bool snapshot_delivered_ = false;
  bool deduplicated_ = false;
  int attempts_ = 0;  // in a row without anything new
  grpc::Status last_status_;
};

}  // namespace capstan::cli
