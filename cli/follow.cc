#include "cli/follow.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>

#include "cli/rpc_error.h"
#include "core/projection.h"

namespace capstan::cli {

using How = FollowResult::How;

Follower::Follower(v1::ExecutionService::StubInterface& stub, Clock& clock, std::stop_token stop,
                   FollowOptions options, OnUpdate on_update, OnRetry on_retry)
    : stub_(stub),
      clock_(clock),
      stop_(std::move(stop)),
      options_(options),
      on_update_(std::move(on_update)),
      on_retry_(std::move(on_retry)),
      give_up_at_(clock.BootTime() + options.wait_timeout) {}

template <class Request>
FollowResult Follower::SubmitAny(const Request& request) {
  accepted_only_ = request.wait_until() == v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED;
  return Loop([&] { return name_.empty() ? SubmitOnce(request) : WatchOnce(); });
}

FollowResult Follower::Submit(const v1::ExecuteActionRequest& request) {
  return SubmitAny(request);
}

FollowResult Follower::Submit(const v1::RunTaskRequest& request) { return SubmitAny(request); }

FollowResult Follower::Start(const Begin& begin, bool accepted_only) {
  accepted_only_ = accepted_only;
  return Loop([&] { return name_.empty() ? StartOnce(begin) : WatchOnce(); });
}

FollowResult Follower::Watch(const std::string& name) {
  name_ = name;
  return Loop([&] { return WatchOnce(); });
}

FollowResult Follower::Loop(const std::function<std::optional<FollowResult>()>& once) {
  while (true) {
    if (std::optional<FollowResult> result = once()) return *std::move(result);
    if (!Retry(last_status_)) {
      if (stop_.stop_requested()) return Result(How::kInterrupted);
      if (clock_.BootTime() >= give_up_at_) return Result(How::kTimedOut);
      return Result(How::kFailed, last_status_);
    }
  }
}

std::optional<FollowResult> Follower::SubmitOnce(const v1::ExecuteActionRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  auto reader = stub_.ExecuteAction(&context, request);
  return Read<v1::ExecuteActionResponse>(context, *reader);
}

std::optional<FollowResult> Follower::SubmitOnce(const v1::RunTaskRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context);
  auto reader = stub_.RunTask(&context, request);
  return Read<v1::RunTaskResponse>(context, *reader);
}

std::optional<FollowResult> Follower::StartOnce(const Begin& begin) {
  grpc::ClientContext context;
  SetDeadline(context, kBeginTimeout);
  std::stop_callback cancel(stop_, [&] { context.TryCancel(); });
  v1::ExecutionUpdate update;
  bool deduplicated = false;
  last_status_ = begin(context, update.mutable_snapshot(), &deduplicated);
  if (!last_status_.ok()) return Broken();
  // Of a call made again it only says that the first one had arrived.
  if (attempts_ == 0) deduplicated_ = deduplicated;
  attempts_ = 0;
  Deliver(update);
  if (accepted_only_) return Result(How::kAccepted);
  return WatchOnce();
}

std::optional<FollowResult> Follower::WatchOnce() {
  v1::WatchExecutionRequest request;
  request.set_name(name_);
  request.set_after_seq(seq_);
  grpc::ClientContext context;
  SetDeadline(context);
  auto reader = stub_.WatchExecution(&context, request);
  return Read<v1::WatchExecutionResponse>(context, *reader);
}

template <class Response>
std::optional<FollowResult> Follower::Read(grpc::ClientContext& context,
                                           grpc::ClientReaderInterface<Response>& reader) {
  std::stop_callback cancel(stop_, [&] { context.TryCancel(); });
  Response response;
  while (reader.Read(&response)) {
    if constexpr (!std::is_same_v<Response, v1::WatchExecutionResponse>) {
      // Of a submit sent again it only says that the first one had arrived.
      if (!snapshot_delivered_ && attempts_ == 0) deduplicated_ = response.deduplicated();
    }
    Deliver(response.update());
  }
  last_status_ = reader.Finish();
  if (ended_) return Result(How::kEnded);
  if (accepted_only_ && snapshot_delivered_) return Result(How::kAccepted);
  return Broken();
}

std::optional<FollowResult> Follower::Broken() const {
  if (stop_.stop_requested()) return Result(How::kInterrupted);
  if (last_status_.ok()) return std::nullopt;  // ended early: go on from the last event
  const bool deadline_passed = last_status_.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
                               give_up_at_ != absl::InfiniteDuration();
  if (deadline_passed || clock_.BootTime() >= give_up_at_) return Result(How::kTimedOut);
  if (last_status_.error_code() == grpc::StatusCode::UNAVAILABLE) return std::nullopt;
  return Result(How::kFailed, last_status_);
}

void Follower::Deliver(const v1::ExecutionUpdate& update) {
  if (update.has_snapshot()) {
    // A resumed stream begins with a snapshot too; what was delivered already makes it superfluous.
    if (snapshot_delivered_) return;
    snapshot_delivered_ = true;
    name_ = update.snapshot().name();
  } else if (update.has_event()) {
    if (update.event().seq() <= seq_) return;
    seq_ = update.event().seq();
    ended_ = IsTerminal(StateAfter(update.event()));
    attempts_ = 0;
  } else {
    attempts_ = 0;
  }
  on_update_(update);
}

bool Follower::Retry(const grpc::Status& status) {
  ++attempts_;
  const int limit = snapshot_delivered_ ? kMaxResumeAttempts : kMaxFirstAttempts;
  if (attempts_ >= limit || stop_.stop_requested()) return false;
  absl::Duration delay = options_.first_retry_delay;
  for (int i = 1; i < attempts_; ++i) delay = std::min(delay * 2, kMaxRetryDelay);
  delay = std::max(delay,
                   std::min(RetryDelayOf(status).value_or(absl::ZeroDuration()), kMaxRetryDelay));
  const absl::Duration left = give_up_at_ - clock_.BootTime();
  on_retry_(status, delay);
  return clock_.SleepFor(std::min(delay, std::max(left, absl::ZeroDuration())), stop_) &&
         clock_.BootTime() < give_up_at_;
}

void Follower::SetDeadline(grpc::ClientContext& context, absl::Duration limit) const {
  const absl::Duration left =
      std::min(limit, std::max(give_up_at_ - clock_.BootTime(), absl::ZeroDuration()));
  if (left == absl::InfiniteDuration()) return;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(left));
}

FollowResult Follower::Result(How how, grpc::Status status) const {
  return {.how = how, .status = std::move(status), .name = name_, .deduplicated = deduplicated_};
}

}  // namespace capstan::cli
