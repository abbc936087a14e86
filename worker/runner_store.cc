// What the runner stores, and what it asks the store: the commits of Runner (runner.h).
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "core/failpoint.h"
#include "core/status_macros.h"
#include "core/target_name.h"
#include "storage/parent_line.h"
#include "storage/stop_scope.h"
#include "worker/commit_and_wait.h"
#include "worker/commit_parts.h"
#include "worker/runner.h"

namespace capstan::worker {

using machine::Input;
using machine::Transition;
using storage::CommitResult;

Runner::Stored Runner::Store(const RunPtr& run, Transition& transition, Input& input,
                             std::optional<Validation>& validation) {
  if (!held_.MayAct(run)) {
    held_.LetGo(run);
    return Stored::kDropped;
  }
  const std::string step = engine::v1::ActionState::Step_Name(transition.data.step());
  absl::Status failpoint = HitFailpoint(absl::StrCat("runner.before_commit.", step));
  const absl::StatusOr<CommitResult> result =
      failpoint.ok() ? CommitAndWait(committer_, CommitOf(*run, transition, validation))
                     : failpoint;
  if (result.ok()) failpoint = HitFailpoint(absl::StrCat("runner.after_commit.", step));
  if (!result.ok() || !failpoint.ok()) return AskAnew(run, input);
  switch (*result) {
    case CommitResult::kCommitted:
      run->action.state = transition.state;
      run->action.seq += static_cast<int>(transition.events.size());
      run->action.data = transition.data;
      if (transition.store_artifacts && validation.has_value())
        run->rendered_job = validation->input.rendered_job;
      return Stored::kYes;
    case CommitResult::kFenced:
      metrics_.writes_fenced.Increment();
      held_.Drop(run);
      return Stored::kDropped;
    case CommitResult::kTargetRefused:
      return LookAtTarget(*run, input).ok() ? Stored::kAskAgain : AskAnew(run, input);
    case CommitResult::kParentRefused:
      return LookAtParent(*run, input).ok() ? Stored::kAskAgain : AskAnew(run, input);
    case CommitResult::kStopMoved:
      return LookAtStops(*run, transition, input).ok() ? Stored::kAskAgain : AskAnew(run, input);
    case CommitResult::kBudgetRefused:  // actions have none
      return AskAnew(run, input);
    case CommitResult::kSignalsMoved:
      break;
  }
  const absl::StatusOr<machine::Signalled> signals = ReadSignals(*run);
  if (!signals.ok()) return AskAnew(run, input);
  input = *signals;  // what was about to be stored is decided again after them
  return Stored::kAskAgain;
}

// After what tells nothing: decided again from what the store says now.
Runner::Stored Runner::AskAnew(const RunPtr& run, Input& input) {
  if (!Reload(run)) return Stored::kDropped;
  input = ResumedOf(*run);
  return Stored::kAskAgain;
}

Input Runner::ResumedOf(const Run& run) {
  return machine::Resumed{.takeovers = run.takeovers, .alone = run.alone};
}

// How the target stands goes into what is decided anew. (Only an answer to kValidate asks for it.)
absl::Status Runner::LookAtTarget(const Run& run, Input& input) {
  auto* const validated = std::get_if<machine::Validated>(&input);
  if (validated == nullptr) return absl::InternalError("a target was asked for out of turn");
  CAPSTAN_ASSIGN_OR_RETURN(const storage::TargetRow row, leases_.ReadTarget(validated->claim.key));
  validated->target_answer = TargetAnswerFor(row, validated->claim, run.id, leases_.DatabaseNow());
  return absl::OkStatus();
}

// So does how many of its parent are in flight.
absl::Status Runner::LookAtParent(const Run& run, Input& input) {
  auto* const validated = std::get_if<machine::Validated>(&input);
  if (validated == nullptr) return absl::InternalError("a place was asked for out of turn");
  const std::string& parent = run.action.request.parent().name();
  const int limit = run.action.parent_limit;
  CAPSTAN_ASSIGN_OR_RETURN(const storage::ParentLine line, leases_.ReadParent(parent, limit));
  validated->parent_full.reset();
  if (!storage::HasPlace(line, run.id, limit)) {
    validated->parent_full = absl::StrCat(
        line.in_flight.size(), " executions of ", parent, " are in flight",
        static_cast<int>(line.in_flight.size()) < limit ? " and others are first in line" : "",
        "; at most ", limit, " may be at once");
  }
  return absl::OkStatus();
}

// So do the stops in force.
absl::Status Runner::LookAtStops(const Run& run, const Transition& transition, Input& input) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::StopRow> stops, leases_.StopsInForce());
  const storage::StopRow* const stop = storage::FindCovering(stops, LaunchScopeOf(run));
  std::optional<machine::StoppedBy> by;
  if (stop != nullptr) by = {absl::StrCat("stops/", stop->id), stop->reason};
  if (auto* const validated = std::get_if<machine::Validated>(&input)) {
    validated->stopped = by;
  } else if (by.has_value()) {
    input = machine::Stopped{*by};
  } else if (transition.stopped) {  // lifted meanwhile: nothing to wait for
    input = ResumedOf(run);
  }
  return absl::OkStatus();
}

storage::LaunchScope Runner::LaunchScopeOf(const Run& run) const {
  return {run.action.request.target().namespace_(), run.action.request.action(),
          held_.worker().ToString()};
}

storage::Commit Runner::CommitOf(const Run& run, const Transition& transition,
                                 const std::optional<Validation>& validation) const {
  storage::Commit commit;
  commit.id = run.id;
  commit.lease = run.lease;
  commit.expected_seq = run.action.seq;
  if (transition.guard_signals) commit.expected_signals = transition.data.signals_seen();
  commit.state = transition.state;
  commit.failure_reason = transition.failure_reason;
  commit.machine = transition.data.SerializeAsString();
  for (const v1::ExecutionEvent& event : transition.events)
    commit.events.push_back(event.SerializeAsString());
  if (transition.park.has_value())
    commit.park = storage::Park{ParkReasonOf(transition.state, transition.data.block_reason()),
                                *transition.park};
  commit.target = transition.target;
  if (transition.parent.has_value()) {
    commit.parent = storage::ParentStep{*transition.parent, run.action.request.parent().name(),
                                        run.action.parent_limit};
  }
  for (const Transition::Approval& approval : transition.approvals) {
    commit.approvals.push_back({approval.number,
                                static_cast<storage::ApprovalState>(approval.state),
                                approval.expires, approval.plan_digest});
  }
  if (transition.launches || transition.stopped) {
    commit.stop_test = transition.launches ? storage::Commit::StopTest::kNotStopped
                                           : storage::Commit::StopTest::kStopped;
  }
  commit.counts_as_launch = transition.store_artifacts;
  if (commit.stop_test != storage::Commit::StopTest::kNone || commit.counts_as_launch)
    commit.launch = LaunchScopeOf(run);
  if (machine::IsTerminal(transition.state)) {
    const v1::Outcome& outcome = transition.events.back().state_changed().outcome();
    if (outcome.dry_run()) commit.dry_run_key = RequestKey(run.action.request);
    commit.audit = AuditOf(run.id, run.action, transition);
    if (const auto told = TellParent(run.id, run.action.request, transition))
      commit.tells.push_back(*told);
  }
  if (transition.store_decision && validation.has_value()) {
    commit.decision =
        storage::NewDecision{.number = transition.data.decisions(),
                             .allow = validation->input.decision.allow(),
                             .bundle_digest = validation->input.decision.bundle_digest(),
                             .input_json = validation->decision_input_json,
                             .result_json = validation->decision_result_json};
  }
  if (transition.store_artifacts && validation.has_value()) {
    commit.artifacts.push_back({"job", "application/json", validation->input.rendered_job});
    if (validation->input.rollback.has_value()) {
      commit.artifacts.push_back(
          {"rollback", "application/x-protobuf", validation->input.rollback->SerializeAsString()});
    }
  }
  return commit;
}

// After an answer that tells nothing: whatever the store says now is the truth.
bool Runner::Reload(const RunPtr& run) {
  const absl::StatusOr<std::vector<storage::HeldExecution>> read = leases_.Load(
      held_.worker(), absl::MakeConstSpan(&run->lease, 1), absl::MakeConstSpan(&run->id, 1));
  if (!read.ok()) {
    held_.LetGo(run);
    return false;
  }
  if (read->empty() || !run->action.data.ParseFromString(read->front().machine)) {
    held_.Drop(run);  // no longer ours, or not to be read by anyone
    return false;
  }
  const storage::HeldExecution& held = read->front();
  run->action.state = held.state;
  run->action.seq = held.last_seq;
  run->signals = held.signals;
  run->rendered_job.clear();
  // What was about to be stored may have been the answer to a signal.
  if (run->signals > run->action.data.signals_seen()) Post(run, {Wake::kSignal});
  return true;
}

absl::StatusOr<machine::Signalled> Runner::ReadSignals(const Run& run) {
  CAPSTAN_RETURN_IF_ERROR(HitFailpoint("signals.read"));
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::Signal> signals,
                           leases_.ReadSignals(run.id, run.action.data.signals_seen()));
  machine::Signalled out;
  for (const storage::Signal& signal : signals) {
    if (signal.kind == storage::SignalKind::kCancel) {
      out.cancels.push_back(CancelOf(signal));
    } else {  // nothing else is asked of actions
      out.votes.push_back(VoteOf(signal));
    }
  }
  return out;
}

// What the store knows of others, for policies that ask. What cannot be read counts as too much.
Surroundings Runner::SurroundingsOf(const Run& run) {
  Surroundings around;
  if (!effects_.validator().asks_for_surroundings()) return around;
  const v1::Accepted& request = run.action.request;
  const auto row = leases_.ReadSurroundings(
      request.target().namespace_(), effects_.options().rate_window, RequestKey(request), run.id);
  around.launches = row.ok() ? row->launches : std::numeric_limits<std::int32_t>::max();
  around.prior_dry_run = row.ok() && row->prior_dry_run;
  around.changing = row.ok() ? row->changing : std::numeric_limits<std::int32_t>::max();
  if (request.on_conflict() != v1::Execution::ON_CONFLICT_REJECT) return around;  // it waits
  const auto target = leases_.ReadTarget(TargetKey(request.target()));
  if (!target.ok() || (!target->holder.IsNone() && target->holder != run.id)) {
    around.running.push_back(
        {"", target.ok() ? ExecutionName(target->holder) : "executions/unknown"});
  }
  return around;
}

}  // namespace capstan::worker
