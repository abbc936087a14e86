#include "worker/task/task_runner.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/task/step_values.h"
#include "core/telemetry/span_names.h"
#include "core/workflow/loader.h"
#include "core/workflow/templates.h"
#include "worker/claim.h"
#include "worker/task/triggers.h"

namespace capstan::worker {

using task::Input;
using task::Transition;

namespace {

// Its end could not be kept: where it may not be done again, nobody knows its outcome.
void NotTwice(const StepContext& context, task::IterationEnded& ended) {
  const bool again = ended.iteration == 0 || workflow::IsRepeatable(*context.definition);
  if (again || ended.fatal) return;
  ended.transient = false;
  ended.reason = v1::Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
  ended.message = absl::StrCat(
      "it was carried out, and may not be repeated, but its end could not "
      "be kept: ",
      ended.message);
}

}  // namespace

TaskRunner::TaskRunner(storage::Committer& committer, storage::LeaseStore& leases,
                       storage::TaskStore& store, TaskEffects& effects, StepTools tools,
                       HeldSet& held, ThreadPool& pool, Clock& clock,
                       const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                       TaskRunnerOptions options)
    : committer_(committer),
      leases_(leases),
      store_(store),
      effects_(effects),
      tools_(tools),
      held_(held),
      pool_(pool),
      clock_(clock),
      tracer_(tracer),
      metrics_(metrics),
      options_(std::move(options)),
      definitions_(store),
      variables_(tools_),
      kinds_(MakeStepKinds(tools_)),
      gate_(MakeGate(tools_)) {}

TaskRunner::~TaskRunner() { AwaitIdle(); }

void TaskRunner::AwaitIdle() {
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &TaskRunner::NoneWork));
}

int TaskRunner::FreeSlots() const {
  return leaving_ || held_.frozen() ? 0 : std::max(0, options_.max_tasks - held_.Size(queue()));
}

void TaskRunner::Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) {
  for (storage::HeldExecution& held : executions) {
    v1::ExecutionEvent first;
    auto run = std::make_shared<Run>(held, *this);
    if (!first.ParseFromString(held.accepted) || !first.accepted().has_task() ||
        !run->task.data.ParseFromString(held.machine)) {
      Log(Level::kError, "stored execution cannot be read; it is left alone",
          {{"execution", held.id.ToString()}});
      continue;
    }
    run->takeovers = held.takeovers;
    run->alone = held.alone;
    run->signals = held.signals;
    run->create_time = held.create_time;
    run->task.request = first.accepted();
    run->task.environment = options_.environment;
    run->task.correlation_id =
        first.correlation_id().empty() ? held.id.ToHex() : first.correlation_id();
    run->task.state = held.state;
    run->task.seq = held.last_seq;
    run->span = StartClaim(tracer_, clock_, metrics_, held, first.accepted(), worker);
    if (held_.Add(worker, run)) held_.Post(run, [this, run] { Start(run); });
  }
}

void TaskRunner::OnSignal(const HeldPtr& held) {
  const RunPtr run = std::static_pointer_cast<Run>(held);
  held_.Post(run, [this, run] {
    if (run->task.workflow != nullptr) FeedSignals(run);  // otherwise Start reads them
  });
}

// ---- taking up

bool TaskRunner::IsOnItsWayOut(const ExecutionId& id) const {
  absl::MutexLock lock(&mu_);
  return threads_.contains(id);
}

void TaskRunner::Start(const RunPtr& run) {
  if (IsOnItsWayOut(run->id))  // it was let go and taken up again; two must not be in one workspace
    return held_.PostAfter(options_.start_retry, run, [this, run] { Start(run); });
  const absl::Status loaded = Load(*run);
  if (absl::IsNotFound(loaded) || absl::IsDataLoss(loaded)) {
    static const v1::Workflow* const kNone = new v1::Workflow();
    run->task.workflow = kNone;
    return Feed(run, {.input = task::Unusable{std::string(loaded.message())}});
  }
  if (!loaded.ok()) return held_.LetGo(run);  // with the next heartbeat
  bool signalled = run->signals > run->task.data.signals_seen();
  if (signalled && Waits(*run)) {  // perhaps for one of them
    FeedSignals(run);
    if (held_.IsDropped(run) || !Waits(*run)) return;
    signalled = false;
  }
  Feed(run, {.input = task::Resumed{.takeovers = run->takeovers, .alone = run->alone}});
  if (signalled && !held_.IsDropped(run)) FeedSignals(run);
}

bool TaskRunner::Waits(const Run& run) {
  return run.task.state == v1::Execution::STATE_BLOCKED ||
         run.task.state == v1::Execution::STATE_PENDING;
}

void TaskRunner::FeedSignals(const RunPtr& run) {
  absl::StatusOr<task::Signalled> signals = ReadSignals(*run);
  if (signals.ok()) return Feed(run, {.input = *std::move(signals)});
  held_.PostAfter(options_.signal_retry, run, [this, run] { FeedSignals(run); });
}

absl::Status TaskRunner::Load(Run& run) {
  const v1::TaskRequest& request = run.task.request.task();
  CAPSTAN_ASSIGN_OR_RETURN(run.workflow,
                           definitions_.Find(request.workflow(), request.workflow_digest()));
  CAPSTAN_RETURN_IF_ERROR(LoadAnswers(run));
  CAPSTAN_ASSIGN_OR_RETURN(const storage::TranscriptEnd end, store_.ReadTranscriptEnd(run.id));
  run.transcript = std::make_shared<Transcript>(
      end.number + 1,
      [this, id = run.id, lease = run.lease](
          std::int64_t first, absl::Span<const storage::NewTranscriptEntry> entries) {
        return store_.AppendTranscript(id, lease, first, entries);
      },
      [this](absl::Duration delay, std::function<void()> flush) {
        pool_.AddAfter(delay, std::move(flush));
      });
  run.task.workflow = run.workflow.get();
  return absl::OkStatus();
}

// What steps have left for later ones.
absl::Status TaskRunner::LoadAnswers(Run& run) {
  struct Left {
    std::string step;
    v1::StepStatus::State state;
    std::string execution;  // that has the artifacts; empty: this one
    std::string answer, text;
  };
  std::vector<Left> all;
  for (const auto& step : run.task.data.steps()) {
    all.push_back({step.name(), step.state(), step.artifact_execution(), step.answer_artifact(),
                   step.text_artifact()});
  }
  if (run.task.data.decisions() == 0) {  // taken over when policy has decided
    for (const v1::CarriedStep& step : run.task.request.task().carried()) {
      all.push_back({step.step(), v1::StepStatus::STATE_PENDING, step.execution(),
                     step.answer_artifact(), step.text_artifact()});
    }
  }
  std::map<ExecutionId, std::vector<std::string>> names;
  const auto owner = [&](const Left& left) {
    return ParseExecutionName(left.execution).value_or(run.id);
  };
  for (const Left& left : all) {
    for (const std::string& name : {left.answer, left.text}) {
      if (!name.empty()) names[owner(left)].push_back(name);
    }
  }
  std::map<std::pair<ExecutionId, std::string>, std::string> bodies;
  for (const auto& [owner, wanted] : names) {
    CAPSTAN_ASSIGN_OR_RETURN(std::vector<storage::NewArtifact> found,
                             store_.ReadArtifacts(owner, wanted));
    for (storage::NewArtifact& one : found) bodies[{owner, one.name}] = std::move(one.body);
  }
  run.task.steps = nlohmann::json::object();
  for (const Left& left : all) {
    nlohmann::json& known = run.task.steps[left.step];
    known["state"] = task::StepStateName(left.state);
    if (const auto answer = bodies.find({owner(left), left.answer}); answer != bodies.end())
      known["output"] = nlohmann::json::parse(answer->second, nullptr, /*allow_exceptions=*/false);
    if (const auto text = bodies.find({owner(left), left.text}); text != bodies.end())
      known["artifact"] = text->second;
  }
  return absl::OkStatus();
}

// ---- machine, commit, effects, and again

void TaskRunner::Feed(const RunPtr& run, Fed fed) {
  std::deque<Fed> todo;
  todo.push_back(std::move(fed));
  run->task.stopped.reset();          // until storing something says otherwise
  LookAtProject(*run).IgnoreError();  // where it is not known, storing refuses what goes too far
  while (!todo.empty()) {
    run->task.leaving = leaving_;
    const Transition transition = task::Next(run->task, todo.front().input, leases_.DatabaseNow());
    if (!transition.ignored) {
      switch (Store(run, transition, todo)) {
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
    todo.pop_front();
    std::optional<Fed> next = Perform(run, transition);
    if (held_.IsDropped(run)) return;
    if (next.has_value()) todo.push_front(*std::move(next));
  }
}

std::optional<TaskRunner::Fed> TaskRunner::Perform(const RunPtr& run,
                                                   const Transition& transition) {
  if (!held_.MayAct(run)) {
    held_.LetGo(run);
    return std::nullopt;
  }
  for (const task::StepRun& step : transition.run) StartIteration(run, step);
  for (const std::string& step : transition.stop) StopIteration(run, {step, false});
  for (const std::string& step : transition.stop_gates) StopIteration(run, {step, true});
  if (transition.look_again.has_value()) {
    const absl::Duration wait = *transition.look_again - leases_.DatabaseNow();
    held_.PostAfter(std::max(wait, absl::ZeroDuration()), run,
                    [this, run] { Feed(run, {.input = task::Tick{}}); });
  }
  if (transition.decide) {
    TaskDecision decision =
        effects_.Decide(run->id, run->task, leases_.DatabaseNow(), run->span.context());
    Fed fed{.input = decision.input};
    fed.decision = std::move(decision);
    return fed;
  }
  if (transition.prepare) return Fed{.input = effects_.Prepare(run->id, run->task)};
  if (transition.put_away) return StartPutAway(run);
  if (transition.triggers) StartTriggers(run);
  return std::nullopt;
}

// ---- iterations

void TaskRunner::Launch(const RunPtr& run, const WorkName& name, int attempt, int iteration,
                        const std::function<Job()>& prepare, std::shared_ptr<int> must_end) {
  std::stop_token stop;
  {
    absl::MutexLock lock(&mu_);
    auto [place, added] = run->working.try_emplace(name);
    Working& working = place->second;
    if (!added && working.attempt == attempt && working.iteration == iteration) return;
    if (!added) working.stop.request_stop();  // of an attempt that does not count any more
    working = {attempt, iteration, std::stop_source()};
    stop = working.stop.get_token();
    ++threads_[run->id];
  }
  if (held_.IsDropped(run)) StopAll(*run);  // dropped while it was about to begin
  std::thread([this, run, name, attempt, iteration, job = prepare(), stop,
               must_end = std::move(must_end)] {
    Fed fed = job(stop);
    held_.Post(run,
               [this, run, name, attempt, iteration, must_end, fed = std::move(fed)]() mutable {
                 {
                   absl::MutexLock lock(&mu_);
                   const auto found = run->working.find(name);
                   if (found != run->working.end() && found->second.attempt == attempt &&
                       found->second.iteration == iteration) {
                     run->working.erase(found);
                   }
                 }
                 Feed(run, std::move(fed));
               });
    absl::MutexLock lock(&mu_);
    if (--threads_[run->id] == 0) threads_.erase(run->id);
  }).detach();  // AwaitIdle waits for it
}

void TaskRunner::StartIteration(const RunPtr& run, const task::StepRun& step) {
  const bool is_gate = step.iteration == 0;
  StepContext context = ContextOf(*run, step);
  const bool once = !is_gate && !workflow::IsRepeatable(*context.definition);
  Launch(
      run, {step.step, is_gate}, step.attempt, step.iteration,
      [&] {
        return [this, run, context = std::move(context)](std::stop_token stop) {
          return Work(run, context, stop);
        };
      },
      once ? unrepeatable_ : nullptr);
}

void TaskRunner::StopIteration(const RunPtr& run, const WorkName& name) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = run->working.find(name);
    if (found != run->working.end()) {
      found->second.stop.request_stop();
      return;
    }
  }
  // Nothing of it runs here: it is answered for.
  for (const auto& state : run->task.data.steps()) {
    if (state.name() != name.first) continue;
    task::IterationEnded ended{.step = state.name(),
                               .attempt = name.second ? state.gate().number() : state.attempt(),
                               .iteration = name.second ? 0 : state.iteration()};
    ended.status = v1::IterationFinished::STATUS_STOPPED;
    held_.Post(run, [this, run, ended] { Feed(run, {.input = ended}); });
  }
}

void TaskRunner::StopAll(Run& run) {
  absl::MutexLock lock(&mu_);
  for (auto& [step, working] : run.working) working.stop.request_stop();
}

StepContext TaskRunner::ContextOf(const Run& run) const {
  StepContext context;
  context.id = run.id;
  context.request = run.task.request;
  context.workflow = run.workflow;
  context.workspace = run.task.data.workspace();
  context.kept_work = run.task.data.kept_work();
  return context;
}

StepContext TaskRunner::ContextOf(const Run& run, const task::StepRun& step) const {
  StepContext context = ContextOf(run);
  for (const v1::WorkflowStep& one : run.workflow->steps()) {
    if (one.name() == step.step) context.definition = &one;
  }
  context.run = step;
  for (const auto& state : run.task.data.steps()) {
    if (state.name() == step.step) context.state = state;
  }
  const bool shared = step.iteration != 0 &&
                      run.workflow->session() == v1::Workflow::SESSION_PER_TASK &&
                      !context.definition->llm().fresh_session() && context.state.retries() == 0;
  if (step.iteration != 0) {
    context.session = context.state.session();
    context.session_artifact = context.state.session_artifact();
  }
  if (context.session.empty() && shared) {
    context.session = run.task.data.session();
    context.session_artifact = run.task.data.session_artifact();
  }
  AddValues(run, /*end=*/false, context);
  return context;
}

// On a thread of its own.
TaskRunner::Fed TaskRunner::Work(const RunPtr& run, StepContext context, std::stop_token stop) {
  const absl::Duration began = clock_.BootTime();
  telemetry::Span span = tracer_.StartSpan(
      telemetry::kSpanStep,
      {.parent = run->span.context(),
       .attributes = {{telemetry::kAttributeStep, context.run.step},
                      {telemetry::kAttributeIteration, absl::StrCat(context.run.iteration)}}});
  context.traceparent = telemetry::FormatTraceparent(span.context());
  context.until = began + context.run.left;
  StepResult result = WorkInWorkspace(run, context, stop);
  result.ended.took = clock_.BootTime() - began;
  span.End();
  for (storage::NewArtifact& one : result.artifacts) {
    one.body = tools_.redactor.Redact(one.body);
    if (one.name == result.ended.answer_artifact) result.ended.answer_digest = Sha256Hex(one.body);
    if (one.name == result.ended.text_artifact) result.ended.text_digest = Sha256Hex(one.body);
  }
  return {.input = std::move(result.ended),
          .artifacts = std::move(result.artifacts),
          .child = std::move(result.child)};
}

namespace {

// What went wrong with a workspace: the next try may find it better, or never.
void TakeError(const absl::Status& status, task::IterationEnded& ended) {
  ended.reason = LastingReasonOf(status);
  ended.fatal = ended.reason != v1::Execution::FAILURE_REASON_UNSPECIFIED;
  ended.transient = !ended.fatal;
  if (!ended.fatal) ended.reason = v1::Execution::FAILURE_REASON_INTERNAL;
}

}  // namespace

StepResult TaskRunner::WorkInWorkspace(const RunPtr& run, StepContext& context,
                                       std::stop_token stop) {
  const auto transient = [&](const char* error, const absl::Status& status) {
    StepResult failed = Failure(context, v1::Execution::FAILURE_REASON_INTERNAL, error,
                                std::string(status.message()));
    failed.ended.transient = true;
    return failed;
  };
  const bool in_workspace = !context.workspace.path().empty();
  const absl::Status opened = in_workspace ? OpenWorkspace(*run, context) : absl::OkStatus();
  if (!opened.ok()) {
    StepResult failed = transient("WORKSPACE", opened);
    TakeError(opened, failed.ended);
    return failed;
  }
  if (!context.session_artifact.empty()) {
    const auto state = store_.ReadArtifacts(run->id, {context.session_artifact});
    if (!state.ok()) return transient("SESSION", state.status());
    if (!state->empty()) context.session_state = state->front().body;
  }
  IterationTranscript transcript(*run->transcript, tools_.redactor, context.run.step,
                                 context.run.attempt, context.run.iteration);
  StepResult result = WorkOn(context, transcript, stop);
  const absl::Status stored = transcript.End();
  if (absl::IsFailedPrecondition(stored)) {
    held_.Drop(run);  // somebody else owns it now
    return result;
  }
  if (!stored.ok() && result.ended.status != v1::IterationFinished::STATUS_ERROR) {
    StepResult failed = transient("TRANSCRIPT", stored);
    failed.ended.usage = std::move(result.ended.usage);
    failed.ended.triggers = std::move(result.ended.triggers);
    NotTwice(context, failed.ended);
    return failed;
  }
  // What an action does is not in the workspace.
  const bool works_in_it = context.run.iteration == 0 || !context.definition->has_action();
  if (in_workspace && works_in_it) Checkpoint(*run, context, result);
  return result;
}

// What comes before an iteration's own work, and that.
StepResult TaskRunner::WorkOn(StepContext& context, IterationTranscript& transcript,
                              std::stop_token stop) {
  std::vector<v1::TriggerRan> triggers;
  if (context.run.iteration == 1) {
    triggers = RunTriggers(tools_, variables_, context, v1::WorkflowTrigger::WHEN_BEFORE_STEP,
                           transcript, stop);
  }
  std::vector<std::string> warnings;
  StepResult result = WorkUnless(task::NoOf(triggers), context, warnings, transcript, stop);
  result.ended.triggers = std::move(triggers);
  result.ended.warnings.insert(result.ended.warnings.begin(), warnings.begin(), warnings.end());
  return result;
}

StepResult TaskRunner::WorkUnless(const std::optional<std::string>& no, StepContext& context,
                                  std::vector<std::string>& warnings,
                                  IterationTranscript& transcript, std::stop_token stop) {
  StepResult result;
  result.ended = EndOf(context);
  if (no.has_value()) {
    result.ended.status = v1::IterationFinished::STATUS_FAILED;
    result.ended.reason = v1::Execution::FAILURE_REASON_PRECONDITION_FAILED;
    result.ended.message = *no;
    return result;
  }
  const bool is_gate = context.run.iteration == 0;
  const std::vector<const v1::WorkflowVariable*> wanted =
      is_gate ? workflow::FetchedFor(*context.workflow, context.definition->gate())
              : workflow::FetchedFor(*context.workflow, *context.definition);
  const std::optional<VariableProblem> problem =
      variables_.Fetch(wanted, context, transcript, stop, warnings);
  if (stop.stop_requested()) {
    result.ended.status = v1::IterationFinished::STATUS_STOPPED;
    result.ended.message = "stopped";
    return result;
  }
  if (problem.has_value()) {
    result =
        Failure(context, v1::Execution::FAILURE_REASON_CONFIGURATION, "VARIABLE", problem->message);
    result.ended.transient = problem->transient;
    return result;
  }
  StepKind& kind = is_gate ? *gate_ : *kinds_.at(context.definition->kind_case());
  return kind.Work(context, transcript, stop);
}

// Once for each holder: what an earlier one left is kept, and the work is as its branch has it.
absl::Status TaskRunner::OpenWorkspace(Run& run, const StepContext& context) {
  absl::MutexLock lock(&run.workspace_mu);
  if (run.workspace_open) return absl::OkStatus();
  CAPSTAN_RETURN_IF_ERROR(effects_.Open(run.id, context.workspace, context.kept_work));
  run.workspace_open = true;
  return absl::OkStatus();
}

bool TaskRunner::RunsScript(const StepContext& context) {
  return context.state.gate().stage() == engine::v1::TaskState::Gate::STAGE_SCRIPT;
}

// What an iteration has done is kept before its end is stored: on the branch or beside it, as the
// workflow says. Whoever goes on after a loss begins from there.
void TaskRunner::Checkpoint(Run& run, const StepContext& context, StepResult& result) {
  task::IterationEnded& ended = result.ended;
  if (ended.status == v1::IterationFinished::STATUS_STOPPED) return;
  if (context.run.iteration == 0 && !RunsScript(context)) return;  // nothing was touched
  absl::MutexLock lock(&run.workspace_mu);  // steps side by side end at the same time
  if (!ended.digest.empty())
    absl::StrAppend(&ended.digest, " ", effects_.Fingerprint(context.id, context.workspace));
  const v1::Workflow::Checkpoint when = context.workflow->checkpoint();
  const bool complete =
      ended.status == v1::IterationFinished::STATUS_COMPLETE && !ended.checks_block;
  const bool commit = when == v1::Workflow::CHECKPOINT_EVERY_ITERATION ||
                      (complete && when != v1::Workflow::CHECKPOINT_NONE);
  const absl::StatusOr<std::string> kept =
      commit ? effects_.Checkpoint(context.id, context.workspace,
                                   absl::StrCat(context.run.step, ", attempt ", context.run.attempt,
                                                ", iteration ", context.run.iteration))
             : effects_.Keep(context.id, context.workspace);
  if (kept.ok()) {
    if (commit) {
      ended.commit = *kept;
    } else {
      ended.kept = *kept;
    }
    return;
  }
  // An iteration has ended when its work is kept.
  ended.status = v1::IterationFinished::STATUS_ERROR;
  ended.error = "CHECKPOINT";
  ended.message = std::string(kept.status().message());
  TakeError(kept.status(), ended);
  NotTwice(context, ended);
}

// One line a task.
void TaskRunner::Finished(const RunPtr& run, const Transition& transition) {
  const std::string outcome =
      absl::AsciiStrToLower(std::string(transition.state == v1::Execution::STATE_FAILED
                                            ? machine::FailureReasonName(transition.failure_reason)
                                            : machine::StateName(transition.state)));
  metrics_.tasks.With({run->task.request.task().workflow(), outcome}).Increment();
  run->span.SetAttribute(telemetry::kAttributeOutcome, outcome);
  run->span.End();
  Log(Level::kInfo, "execution ended",
      {{"execution", run->id.ToString()},
       {"trace", run->task.correlation_id},
       {"workflow", run->task.request.task().workflow()},
       {"outcome", outcome},
       {"cost_microusd", absl::StrCat(transition.data.usage().cost_microusd())},
       {"total", absl::FormatDuration(absl::Trunc(leases_.DatabaseNow() - run->create_time,
                                                  absl::Milliseconds(1)))}});
  held_.Drop(run);
}

}  // namespace capstan::worker
