#include "worker/commit_parts.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "capstan/engine/v1/task_state.pb.h"
#include "core/machine/states.h"
#include "core/target_name.h"
#include "storage/target_queue.h"

namespace capstan::worker {
namespace {

using machine::TargetStanding;
using v1::Execution;

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace

storage::ParkReason ParkReasonOf(Execution::State state, Execution::BlockReason reason) {
  if (state != Execution::STATE_BLOCKED) return storage::ParkReason::kRetry;
  switch (reason) {
    case Execution::BLOCK_REASON_APPROVAL:
      return storage::ParkReason::kApproval;
    case Execution::BLOCK_REASON_TARGET_LOCK:
      return storage::ParkReason::kTargetLock;
    case Execution::BLOCK_REASON_COOLDOWN:
      return storage::ParkReason::kCooldown;
    case Execution::BLOCK_REASON_BACKOFF:
      return storage::ParkReason::kBackoff;
    case Execution::BLOCK_REASON_PREVIOUS_FAILURE:
      return storage::ParkReason::kPreviousFailure;
    case Execution::BLOCK_REASON_STOPPED:
      return storage::ParkReason::kStopped;
    case Execution::BLOCK_REASON_PARENT_LIMIT:
      return storage::ParkReason::kParentLimit;
    case Execution::BLOCK_REASON_PAUSED:
      return storage::ParkReason::kPaused;
    case Execution::BLOCK_REASON_USER_INPUT:
      return storage::ParkReason::kUserInput;
    case Execution::BLOCK_REASON_BUDGET:
      return storage::ParkReason::kBudget;
    case Execution::BLOCK_REASON_CHILD:
      return storage::ParkReason::kChild;
    default:
      return storage::ParkReason::kRetry;
  }
}

std::optional<machine::TargetAnswer> TargetAnswerFor(const storage::TargetRow& target,
                                                     const machine::TargetClaim& claim,
                                                     const ExecutionId& id, absl::Time now) {
  machine::TargetAnswer answer;
  answer.standing = storage::StandingOf(target, claim, id, now);
  answer.until = storage::StandsUntil(target, claim, now);
  switch (answer.standing) {
    case TargetStanding::kFree:
      return std::nullopt;
    case TargetStanding::kBusy:
      answer.until = absl::InfiniteFuture();
      answer.message = target.holder.IsNone()
                           ? absl::StrCat(target.key, ": others are first in line")
                           : absl::StrCat(target.key, " is held by ", ExecutionName(target.holder));
      break;
    case TargetStanding::kCooldown:
      answer.message = absl::StrCat(claim.action, " succeeded on ", target.key, " at ",
                                    TimeText(target.last_success_at), "; it cools down until ",
                                    TimeText(answer.until));
      break;
    case TargetStanding::kBackoff:
      answer.message = absl::StrCat(target.failures, " failures to start in a row on ", target.key,
                                    "; paused until ", TimeText(answer.until));
      break;
    case TargetStanding::kBlocked:
      answer.message = absl::StrCat(target.key, " is blocked after ",
                                    ExecutionName(target.blocked_by), ": ", target.block_message);
      break;
    case TargetStanding::kSuperseded:
      answer.message =
          absl::StrCat("superseded by ", ExecutionName(storage::SupersededBy(target, claim, id)),
                       ", a later ", claim.action, " that waits for ", target.key);
      break;
  }
  return answer;
}

machine::Signalled::Cancel CancelOf(const storage::Signal& signal) {
  return {.number = signal.number, .caller = signal.caller, .reason = signal.reason};
}

machine::Signalled::Vote VoteOf(const storage::Signal& signal) {
  engine::v1::ApprovalVote vote;
  (void)vote.ParseFromString(signal.detail);
  return {.number = signal.number,
          .caller = signal.caller,
          .reason = signal.reason,
          .approve = signal.kind == storage::SignalKind::kApprove,
          .plan_digest = vote.plan_digest(),
          .groups = {vote.groups().begin(), vote.groups().end()},
          .time = signal.time};
}

std::optional<storage::Tell> TellParent(const ExecutionId& id, const v1::Accepted& request,
                                        const machine::Transition& end) {
  const std::optional<ExecutionId> parent = ParseExecutionName(request.parent().name());
  if (!request.child() || !parent.has_value()) return std::nullopt;
  const v1::StateChanged& change = end.events.back().state_changed();
  engine::v1::ChildEnd said;
  said.set_child(ExecutionName(id));
  said.set_state(end.state);
  said.set_failure_reason(end.failure_reason);
  said.set_effect(change.outcome().effect());
  said.set_message(change.message());
  return storage::Tell{*parent,
                       {.kind = storage::SignalKind::kChildEnded,
                        .caller = said.child(),
                        .detail = said.SerializeAsString()}};
}

std::string AuditOf(const ExecutionId& id, const machine::Action& action,
                    const machine::Transition& end) {
  const v1::Accepted& request = action.request;
  const v1::StateChanged& change = end.events.back().state_changed();
  const nlohmann::json entry = {
      {"kind", "end"},
      {"execution", ExecutionName(id)},
      {"action", request.action()},
      {"caller", request.caller()},
      {"parent", request.parent().name()},
      {"step", request.parent().step()},
      {"parameters_sha256", Sha256Hex(request.parameters().SerializeAsString())},
      {"target", TargetKey(request.target())},
      {"dry_run", request.dry_run()},
      {"state", std::string(machine::StateName(end.state))},
      {"failure_reason", end.failure_reason == Execution::FAILURE_REASON_UNSPECIFIED
                             ? ""
                             : std::string(machine::FailureReasonName(end.failure_reason))},
      {"effect", Execution::Effect_Name(change.outcome().effect())},
      {"exit_code", change.outcome().exit_code()},
      {"message", change.message()},
      {"job", end.data.job_name()},
      {"job_uid", end.data.job_uid()},
      {"retries", end.data.transient_errors() + end.data.infrastructure_errors()}};
  return entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace capstan::worker
