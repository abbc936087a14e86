// What the task runner stores, and what it asks the store: the commits of TaskRunner.
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "core/failpoint.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/task/step_values.h"
#include "core/task/task_budget.h"
#include "storage/stop_scope.h"
#include "worker/commit_and_wait.h"
#include "worker/commit_parts.h"
#include "worker/task/task_runner.h"

namespace capstan::worker {

using storage::CommitResult;
using task::Transition;

namespace {

storage::NewUsage UsageOf(const v1::UsageRecorded& event, const std::string& caller) {
  return {.step = event.step(),
          .attempt = event.attempt(),
          .iteration = event.iteration(),
          .model = event.model(),
          .input_tokens = event.input_tokens(),
          .output_tokens = event.output_tokens(),
          .cache_creation_tokens = event.cache_creation_tokens(),
          .cache_read_tokens = event.cache_read_tokens(),
          .cost_microusd = event.cost_microusd(),
          .is_upper_bound = event.is_upper_bound(),
          .caller = caller};
}

std::string AuditOf(const ExecutionId& id, const task::Task& task, const Transition& end) {
  const v1::Accepted& request = task.request;
  const v1::StateChanged& change = end.events.back().state_changed();
  const nlohmann::json entry = {
      {"kind", "end"},
      {"execution", ExecutionName(id)},
      {"workflow", request.task().workflow()},
      {"workflow_digest", request.task().workflow_digest()},
      {"caller", request.caller()},
      {"parent", request.parent().name()},
      {"step", request.parent().step()},
      {"dry_run", request.dry_run()},
      {"state", std::string(machine::StateName(end.state))},
      {"failure_reason", end.failure_reason == v1::Execution::FAILURE_REASON_UNSPECIFIED
                             ? ""
                             : std::string(machine::FailureReasonName(end.failure_reason))},
      {"effect", v1::Execution::Effect_Name(change.outcome().effect())},
      {"message", change.message()},
      {"cost_microusd", end.data.usage().cost_microusd()}};
  return entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// What the transition does with the budget of the task's project.
std::optional<storage::BudgetStep> BudgetOf(const task::Task& task, const Transition& transition) {
  storage::BudgetStep step;
  for (const task::ProjectMonth& one : task::ProjectMonths(task, transition.data, transition.events,
                                                           machine::IsTerminal(transition.state))) {
    step.months.push_back({.month = one.month,
                           .reserved_before = one.reserved_before,
                           .reserved = one.reserved,
                           .billed = one.billed,
                           .is_upper_bound = one.is_upper_bound,
                           .begins = one.begins,
                           .unbounded = one.unbounded});
  }
  if (transition.waits_for_project.has_value()) {
    step.wait = {*transition.waits_for_project, transition.data.project().needs_microusd()};
  }
  if (step.months.empty() && !step.wait.has_value()) return std::nullopt;
  step.project = task.request.task().project();
  step.goes_beyond = !task.request.task().budget_override().empty();
  return step;
}

std::string KindOf(const v1::Workflow& workflow, const std::string& name) {
  for (const v1::WorkflowStep& step : workflow.steps()) {
    if (step.name() == name) return KindName(step);
  }
  return "";
}

// "complete".
std::string StatusName(v1::IterationFinished::Status status) {
  return absl::AsciiStrToLower(v1::IterationFinished::Status_Name(status))
      .substr(sizeof("status_") - 1);
}

}  // namespace

TaskRunner::Stored TaskRunner::Store(const RunPtr& run, const Transition& transition,
                                     std::deque<Fed>& todo) {
  if (!held_.MayAct(run)) {
    held_.LetGo(run);
    return Stored::kDropped;
  }
  const std::string place = std::string(machine::StateName(transition.state));
  absl::Status failpoint = HitFailpoint(absl::StrCat("task.before_commit.", place));
  const absl::StatusOr<CommitResult> result =
      failpoint.ok() ? CommitAndWait(committer_, CommitOf(*run, transition, todo.front()))
                     : failpoint;
  if (result.ok()) failpoint = HitFailpoint(absl::StrCat("task.after_commit.", place));
  if (result.ok() && failpoint.ok()) {
    switch (*result) {
      case CommitResult::kCommitted:
        Took(*run, transition, todo.front());
        return Stored::kYes;
      case CommitResult::kStopMoved:
        if (LookAtStops(*run).ok()) return Stored::kAskAgain;
        break;
      case CommitResult::kBudgetRefused:
        if (LookAtProject(*run).ok()) return Stored::kAskAgain;
        break;
      case CommitResult::kSignalsMoved:
        if (absl::StatusOr<task::Signalled> signals = ReadSignals(*run); signals.ok()) {
          // What was about to be stored is decided again after them.
          todo.push_front({.input = *std::move(signals)});
          return Stored::kAskAgain;
        }
        break;
      default:
        metrics_.writes_fenced.Increment();
        held_.Drop(run);
        return Stored::kDropped;
    }
  }
  // It tells nothing: whatever the store says now is the truth. What was fed is decided again, and
  // means nothing if it was stored after all; then all that should be running is started.
  if (!Reload(run)) return Stored::kDropped;
  if (std::holds_alternative<task::Resumed>(todo.front().input)) todo.pop_front();
  todo.push_back(
      {.input = task::Resumed{.takeovers = run->takeovers, .alone = run->alone, .anew = false}});
  return Stored::kAskAgain;
}

// What was about to be stored is decided again knowing of the stops in force.
absl::Status TaskRunner::LookAtStops(Run& run) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::StopRow> stops, leases_.StopsInForce());
  const storage::StopRow* const stop = storage::FindCovering(stops, LaunchScopeOf());
  run.task.stopped.reset();
  if (stop != nullptr) run.task.stopped = {absl::StrCat("stops/", stop->id), stop->reason};
  return absl::OkStatus();
}

// Of the budget of its project, for the machine to decide with; storing tests it.
absl::Status TaskRunner::LookAtProject(Run& run) {
  run.task.project.reset();
  const std::string& project = run.task.request.task().project();
  if (project.empty()) return absl::OkStatus();
  CAPSTAN_ASSIGN_OR_RETURN(const storage::ProjectRow row, store_.ReadProject(project));
  run.task.project = task::ProjectStanding{
      .month = row.month, .limit = row.limit, .spent = row.spent, .reserved = row.reserved};
  return absl::OkStatus();
}

storage::LaunchScope TaskRunner::LaunchScopeOf() const {
  return {"", "RunTask", held_.worker().ToString()};
}

storage::Commit TaskRunner::CommitOf(const Run& run, const Transition& transition,
                                     const Fed& fed) const {
  storage::Commit commit;
  commit.id = run.id;
  commit.lease = run.lease;
  commit.expected_seq = run.task.seq;
  if (transition.guard_signals) commit.expected_signals = transition.data.signals_seen();
  commit.state = transition.state;
  commit.failure_reason = transition.failure_reason;
  commit.machine = transition.data.SerializeAsString();
  for (const v1::ExecutionEvent& event : transition.events) {
    commit.events.push_back(event.SerializeAsString());
    if (event.has_usage_recorded())
      commit.usage.push_back(UsageOf(event.usage_recorded(), run.task.request.caller()));
  }
  if (transition.park.has_value()) {
    commit.park = storage::Park{ParkReasonOf(transition.state, transition.data.block_reason()),
                                *transition.park};
  }
  commit.budget = BudgetOf(run.task, transition);
  if (!transition.run.empty() || transition.triggers || transition.stopped) {
    commit.stop_test = transition.stopped ? storage::Commit::StopTest::kStopped
                                          : storage::Commit::StopTest::kNotStopped;
    commit.launch = LaunchScopeOf();
  }
  for (const machine::Transition::Approval& approval : transition.approvals) {
    commit.approvals.push_back({approval.number,
                                static_cast<storage::ApprovalState>(approval.state),
                                approval.expires, approval.plan_digest});
  }
  if (transition.store_decision && fed.decision.has_value()) {
    const v1::PolicyDecision& decision = fed.decision->input.decision;
    commit.decision = storage::NewDecision{.number = transition.data.decisions(),
                                           .allow = decision.allow(),
                                           .bundle_digest = decision.bundle_digest(),
                                           .input_json = fed.decision->input_json,
                                           .result_json = fed.decision->result_json};
  }
  if (transition.store_result) commit.artifacts = fed.artifacts;
  for (const task::StepAnswer& answer : transition.answers)
    commit.artifacts.push_back({answer.artifact, "application/json", answer.body});
  if (transition.store_child && fed.child.has_value()) commit.children.push_back(*fed.child);
  for (const task::ChildCancel& cancel : transition.cancel_children) {
    const std::optional<ExecutionId> child = ParseExecutionName(cancel.child);
    CAPSTAN_CHECK(child.has_value());
    commit.tells.push_back({*child,
                            {.kind = storage::SignalKind::kCancel,
                             .caller = ExecutionName(run.id),
                             .reason = cancel.reason}});
  }
  if (machine::IsTerminal(transition.state)) commit.audit = AuditOf(run.id, run.task, transition);
  return commit;
}

// Of a project: for whoever looks after its money.
void TaskRunner::WarnOf(const Run& run, const v1::BudgetWarning& warning) const {
  if (warning.project().empty()) return;
  metrics_.budget_warnings.Increment();
  Log(Level::kWarning,
      warning.overridden() ? "a task goes beyond the budget of its project"
                           : "most of the budget of a project is spent",
      {{"project", warning.project()},
       {"execution", run.id.ToString()},
       {"spent_microusd", absl::StrCat(warning.spent_microusd())},
       {"limit_microusd", absl::StrCat(warning.max_cost_microusd())}});
}

void TaskRunner::Count(const Run& run, const Transition& transition) {
  for (const v1::ExecutionEvent& event : transition.events) {
    if (event.has_iteration_finished()) {
      const v1::IterationFinished& one = event.iteration_finished();
      const std::string kind = one.iteration() == 0 ? "gate" : KindOf(*run.workflow, one.step());
      metrics_.iterations.With({kind, StatusName(one.status())}).Increment();
    }
    if (event.has_budget_warning()) WarnOf(run, event.budget_warning());
    if (!event.has_usage_recorded()) continue;
    const v1::UsageRecorded& usage = event.usage_recorded();
    const auto tokens = [&](const char* kind, std::int64_t count) {
      metrics_.model_tokens.With({usage.model(), kind}).Increment(static_cast<double>(count));
    };
    tokens("input", usage.input_tokens());
    tokens("output", usage.output_tokens());
    tokens("cache_creation", usage.cache_creation_tokens());
    tokens("cache_read", usage.cache_read_tokens());
    metrics_.model_cost.With({usage.model()})
        .Increment(static_cast<double>(usage.cost_microusd()) / 1e6);
  }
}

// What was stored is what is known.
void TaskRunner::Took(Run& run, const Transition& transition, const Fed& fed) {
  Count(run, transition);
  run.task.state = transition.state;
  run.task.seq += static_cast<int>(transition.events.size());
  run.task.data = transition.data;
  if (const auto* ended = std::get_if<task::IterationEnded>(&fed.input);
      ended != nullptr && transition.store_result) {
    nlohmann::json& known = run.task.steps[ended->step];
    if (!ended->answer.is_null()) known["output"] = ended->answer;
    if (!ended->text_artifact.empty()) known["artifact"] = ended->text;
  }
  for (const task::StepAnswer& answer : transition.answers)
    run.task.steps[answer.step]["output"] = answer.answer;
  if (const auto* prepared = std::get_if<task::Prepared>(&fed.input);
      prepared != nullptr && prepared->error.empty()) {
    run.workspace_open = true;
  }
  for (const auto& step : run.task.data.steps())
    run.task.steps[step.name()]["state"] = task::StepStateName(step.state());
}

bool TaskRunner::Reload(const RunPtr& run) {
  const absl::StatusOr<std::vector<storage::HeldExecution>> read = leases_.Load(
      held_.worker(), absl::MakeConstSpan(&run->lease, 1), absl::MakeConstSpan(&run->id, 1));
  if (!read.ok()) {
    held_.LetGo(run);
    return false;
  }
  if (read->empty() || !run->task.data.ParseFromString(read->front().machine)) {
    held_.Drop(run);  // no longer ours, or not to be read by anyone
    return false;
  }
  const storage::HeldExecution& held = read->front();
  run->task.state = held.state;
  run->task.seq = held.last_seq;
  run->signals = held.signals;
  if (!LoadAnswers(*run).ok()) {
    held_.LetGo(run);
    return false;
  }
  if (run->signals > run->task.data.signals_seen()) OnSignal(run);
  return true;
}

absl::StatusOr<task::Signalled> TaskRunner::ReadSignals(const Run& run) {
  CAPSTAN_RETURN_IF_ERROR(HitFailpoint("signals.read"));
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::Signal> signals,
                           leases_.ReadSignals(run.id, run.task.data.signals_seen()));
  task::Signalled out;
  for (const storage::Signal& signal : signals) {
    switch (signal.kind) {
      case storage::SignalKind::kCancel:
        out.cancels.push_back(CancelOf(signal));
        break;
      case storage::SignalKind::kApprove:
      case storage::SignalKind::kReject:
        out.votes.push_back(VoteOf(signal));
        break;
      case storage::SignalKind::kPause:
      case storage::SignalKind::kResume:
        out.pauses.push_back({.number = signal.number,
                              .caller = signal.caller,
                              .reason = signal.reason,
                              .resume = signal.kind == storage::SignalKind::kResume});
        break;
      case storage::SignalKind::kChildEnded: {
        engine::v1::ChildEnd end;
        (void)end.ParseFromString(signal.detail);
        end.set_message(tools_.redactor.Redact(end.message()));
        out.child_ends.push_back({.number = signal.number, .end = std::move(end)});
        break;
      }
    }
  }
  return out;
}

}  // namespace capstan::worker
