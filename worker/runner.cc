#include "worker/runner.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/log.h"
#include "core/telemetry/span_names.h"
#include "worker/claim.h"
#include "worker/kubernetes/outcome.h"

namespace capstan::worker {
namespace {

using machine::Effect;
using machine::Input;
using machine::Transition;

std::string OutcomeLabel(const Transition& transition) {
  if (transition.state == v1::Execution::STATE_FAILED) {
    return absl::AsciiStrToLower(
        std::string(machine::FailureReasonName(transition.failure_reason)));
  }
  return absl::AsciiStrToLower(std::string(machine::StateName(transition.state)));
}

const char* StageOf(Effect effect) {
  switch (effect) {
    case Effect::kNone:
      return "none";
    case Effect::kValidate:
      return "validate";
    case Effect::kCreateJob:
      return "create";
    case Effect::kArmJob:
      return "arm";
    case Effect::kWatchJob:
      return "run";
    case Effect::kReadBack:
      return "verify";
    case Effect::kRemoveJob:
      return "remove";
    case Effect::kCleanUp:
      return "clean_up";
  }
  return "none";
}

}  // namespace

Runner::Runner(storage::Committer& committer, storage::LeaseStore& leases, ActionEffects& effects,
               kubernetes::JobWatch& watch, kubernetes::Client& client, HeldSet& held, Fence& fence,
               Clock& clock, const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
               RunnerOptions options)
    : committer_(committer),
      leases_(leases),
      effects_(effects),
      watch_(watch),
      client_(client),
      held_(held),
      fence_(fence),
      clock_(clock),
      tracer_(tracer),
      metrics_(metrics),
      options_(options) {}

// ---- what is held

void Runner::Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) {
  for (storage::HeldExecution& held : executions) {
    v1::ExecutionEvent first;
    auto run = std::make_shared<Run>(held, *this);
    if (!first.ParseFromString(held.accepted) || !run->action.data.ParseFromString(held.machine)) {
      Log(Level::kError, "stored execution cannot be read; it is left alone",
          {{"execution", held.id.ToString()}});
      continue;
    }
    run->takeovers = held.takeovers;
    run->alone = held.alone;
    run->signals = held.signals;
    run->create_time = held.create_time;
    run->action.request = first.accepted();
    run->action.correlation_id =
        first.correlation_id().empty() ? held.id.ToHex() : first.correlation_id();
    run->action.state = held.state;
    run->action.seq = held.last_seq;
    run->action.parent_limit = options_.per_parent_in_flight;
    run->span = StartClaim(tracer_, clock_, metrics_, held, first.accepted(), worker);
    if (held_.Add(worker, run)) Post(run, {Wake::kStart});
  }
}

int Runner::FreeSlots() const {
  return held_.frozen() ? 0 : std::max(0, options_.max_executions - held_.Size(queue()));
}

void Runner::OnSignal(const HeldPtr& held) {
  Post(std::static_pointer_cast<Run>(held), {Wake::kSignal});
}

void Runner::Post(const RunPtr& run, Task task) {
  held_.Post(run, [this, run, task] { Do(run, task); });
}

void Runner::PostAfter(absl::Duration delay, const RunPtr& run, Task task) {
  held_.PostAfter(delay, run, [this, run, task] { Do(run, task); });
}

void Runner::Do(const RunPtr& run, const Task& task) {
  switch (task.wake) {
    case Wake::kStart: {
      const bool taken_over = run->action.data.step() == machine::ActionState::STEP_WATCH;
      if (run->signals > run->action.data.signals_seen()) Do(run, {Wake::kSignal});
      Feed(run, ResumedOf(*run));
      // A Job that went away meanwhile is in no list and no event.
      if (taken_over) Post(run, {Wake::kObserve});
      return;
    }
    case Wake::kSignal: {
      if (const auto signals = ReadSignals(*run); signals.ok()) {
        Feed(run, *signals);
      } else {  // nothing else would look again while a Job runs
        PostAfter(options_.signal_retry, run, {Wake::kSignal});
      }
      return;
    }
    case Wake::kEffect: {
      std::optional<Validation> validation;
      if (std::optional<Input> input = Perform(run, task.effect, validation))
        Feed(run, *std::move(input), std::move(validation));
      return;
    }
    case Wake::kStartDeadline:
      run->start_overdue = true;
      [[fallthrough]];
    case Wake::kObserve:
      if (std::optional<Input> input = LookAtJob(run)) Feed(run, *std::move(input));
      return;
    case Wake::kCopyLog: {
      std::optional<kubernetes::JobObservation> seen;
      {
        absl::MutexLock lock(&mu_);
        seen = run->seen;
      }
      if (run->action.data.step() != machine::ActionState::STEP_WATCH) return;
      if (seen.has_value() && held_.MayAct(run)) {
        (void)CopyLog(run, *seen, /*ended=*/false);  // again in a moment; the last one counts
      }
      PostAfter(options_.log_interval, run, {Wake::kCopyLog});
      return;
    }
  }
}

// ---- machine, commit, effect, and again

void Runner::Feed(const RunPtr& run, Input input, std::optional<Validation> validation) {
  while (true) {
    Transition transition = machine::Next(run->action, input, leases_.DatabaseNow());
    if (!transition.ignored) {
      switch (Store(run, transition, input, validation)) {
        case Stored::kDropped:
          return;
        case Stored::kAskAgain:
          continue;
        case Stored::kYes:
          break;
      }
      if (transition.park.has_value()) {
        if (transition.state == v1::Execution::STATE_BLOCKED) {
          CountBlocked(metrics_, transition.data.block_reason());
        }
        held_.Drop(run);
        return;
      }
      if (machine::IsTerminal(transition.state)) {
        Finished(run, transition);
        return;
      }
    }
    if (transition.effect == Effect::kNone) return;
    if (transition.delay > absl::ZeroDuration()) {
      PostAfter(transition.delay, run, {Wake::kEffect, transition.effect});
      return;
    }
    std::optional<Input> next = Perform(run, transition.effect, validation);
    if (!next.has_value()) return;
    input = *std::move(next);
  }
}

std::optional<Input> Runner::Perform(const RunPtr& run, Effect effect,
                                     std::optional<Validation>& validation) {
  if (!held_.MayAct(run)) {
    held_.LetGo(run);
    return std::nullopt;
  }
  const absl::Duration began = clock_.BootTime();
  const absl::Cleanup record = [&] { run->stages[StageOf(effect)] += clock_.BootTime() - began; };
  switch (effect) {
    case Effect::kNone:
      return std::nullopt;
    case Effect::kValidate:
      validation = effects_.validator().Validate(run->id, run->action, SurroundingsOf(*run),
                                                 leases_.DatabaseNow(), run->span.context());
      return validation->input;
    case Effect::kCreateJob: {
      if (run->rendered_job.empty()) {
        const absl::StatusOr<storage::NewArtifact> stored = leases_.ReadArtifact(run->id, "job");
        if (!stored.ok()) {
          return machine::JobCreateFailed{
              .message = absl::StrCat("reading the stored Job: ", stored.status().message())};
        }
        run->rendered_job = stored->body;
      }
      return effects_.CreateJob(run->id, run->action, run->rendered_job, run->span.context());
    }
    case Effect::kArmJob:
      return effects_.ArmJob(run->action, run->span.context());
    case Effect::kWatchJob:
      BeginWatch(run);
      return std::nullopt;
    case Effect::kReadBack:
      return effects_.validator().ReadBack(run->action, leases_.DatabaseNow());
    case Effect::kRemoveJob: {
      if (run->removing_since == absl::InfiniteDuration()) run->removing_since = began;
      Input input = effects_.RemoveJob(run->id, run->action);
      auto* removed = std::get_if<machine::Removed>(&input);
      if (removed != nullptr && removed->kind == machine::Removed::Kind::kTransientError &&
          clock_.BootTime() - run->removing_since > options_.give_up) {
        removed->kind = machine::Removed::Kind::kCannotBeShown;
      }
      return input;
    }
    case Effect::kCleanUp:  // after the end: Finished does it
      return std::nullopt;
  }
  return std::nullopt;
}

// ---- waiting for the Job

void Runner::BeginWatch(const RunPtr& run) {
  run->watching_since = clock_.BootTime();
  run->wait_span = tracer_.StartSpan(telemetry::kSpanJobWait, {.parent = run->span.context()});
  const std::uint64_t subscription = watch_.Subscribe(
      JobRefOf(run->action),
      [this, run](const kubernetes::JobObservation& seen) { OnObservation(run, seen); });
  {
    absl::MutexLock lock(&mu_);
    run->subscription = subscription;
    metrics_.jobs_in_flight.Set(++watched_);
  }
  if (held_.IsDropped(run)) return StopWatch(*run);
  PostAfter(options_.start_deadline, run, {Wake::kStartDeadline});
  PostAfter(options_.log_interval, run, {Wake::kCopyLog});
  const absl::Duration timeout = absl::Seconds(run->action.request.timeout().seconds());
  PostAfter(timeout + options_.start_deadline + options_.give_up, run, {Wake::kObserve});
}

void Runner::StopWatch(Run& run) {
  std::uint64_t subscription = 0;
  {
    absl::MutexLock lock(&mu_);
    subscription = std::exchange(run.subscription, 0);
    if (subscription != 0) metrics_.jobs_in_flight.Set(--watched_);
  }
  if (subscription != 0) watch_.Unsubscribe(subscription);
}

// On the watch's thread: keep the news, and wake the execution only when they may be an end.
void Runner::OnObservation(const RunPtr& run, const kubernetes::JobObservation& seen) {
  const bool may_be_end =
      !seen.found || (seen.armed && seen.suspended) || kubernetes::OutcomeOf(seen).finished;
  {
    absl::MutexLock lock(&mu_);
    run->seen = seen;
    if (!seen.pods.empty()) run->pods_seen = seen.pods;
  }
  if (may_be_end) Post(run, {Wake::kObserve});
}

std::optional<Input> Runner::LookAtJob(const RunPtr& run) {
  if (run->action.data.step() != machine::ActionState::STEP_WATCH) return std::nullopt;
  if (!held_.MayAct(run)) {  // the watch has told its news, and will not tell them again
    held_.LetGo(run);
    return std::nullopt;
  }
  std::vector<nlohmann::json> pods_seen;
  {
    absl::MutexLock lock(&mu_);
    pods_seen = run->pods_seen;
  }
  absl::StatusOr<ActionEffects::Look> look =
      effects_.Observe(run->action, run->start_overdue, pods_seen);
  const absl::Duration waited = clock_.BootTime() - run->watching_since;
  const absl::Duration timeout = absl::Seconds(run->action.request.timeout().seconds());
  const bool given_up = waited >= timeout + options_.start_deadline + options_.give_up;
  if (!look.ok() && !given_up) {
    PostAfter(absl::Seconds(1), run, {Wake::kObserve});
    return std::nullopt;
  }
  std::optional<Input> input = look.ok() ? look->input : std::nullopt;
  if (!input.has_value()) {
    if (!given_up) return std::nullopt;
    input = machine::JobLost{
        absl::StrCat("the Job's end was not seen long after its deadline",
                     look.ok() ? "" : absl::StrCat(": ", look.status().message()))};
  }
  if (std::holds_alternative<machine::JobEnded>(*input)) {
    // The pods of the consistent read: the watch may not have told of them yet.
    const absl::Status copied = CopyLog(run, look->job, /*ended=*/true);
    if (!copied.ok()) metrics_.log_copy_failures.Increment();  // never changes the outcome
  }
  run->stages["run"] += waited;
  metrics_.job_completion_duration.Observe(waited);
  run->wait_span.End();
  return input;
}

absl::Status Runner::CopyLog(const RunPtr& run, const kubernetes::JobObservation& job, bool ended) {
  return run->log.Copy(client_, job, ended, [&](std::int64_t offset, std::string_view bytes) {
    return committer_.AppendLog(run->id, run->lease, offset, bytes);
  });
}

// One line a run, with the duration of every stage.
void Runner::Finished(const RunPtr& run, const Transition& transition) {
  const std::string outcome = OutcomeLabel(transition);
  metrics_.executions.With({run->action.request.action(), outcome}).Increment();
  const absl::Duration total = leases_.DatabaseNow() - run->create_time;
  metrics_.execution_duration.With({run->action.request.action()}).Observe(total);
  run->span.SetAttribute(telemetry::kAttributeOutcome, outcome);
  run->span.End();
  std::string stages;
  for (const auto& [stage, took] : run->stages) {
    absl::StrAppend(&stages, stages.empty() ? "" : " ", stage, "=",
                    absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))));
  }
  Log(Level::kInfo, "execution ended",
      {{"execution", run->id.ToString()},
       {"trace", run->action.correlation_id},
       {"action", run->action.request.action()},
       {"outcome", outcome},
       {"total", absl::FormatDuration(absl::Trunc(total, absl::Milliseconds(1)))},
       {"stages", stages}});
  // The lease may be gone with the end; the Job is deleted by uid, and nobody else has to.
  const bool keep =
      transition.state == v1::Execution::STATE_FAILED && effects_.options().keep_failed_jobs;
  if (transition.effect == Effect::kCleanUp && !keep && fence_.MayAct())
    effects_.CleanUp(run->action);
  held_.Drop(run);
}

}  // namespace capstan::worker
