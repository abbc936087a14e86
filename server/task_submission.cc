#include "server/task_submission.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/status_macros.h"
#include "core/telemetry/span_names.h"
#include "core/text.h"
#include "server/audit_text.h"
#include "server/errors.h"
#include "server/filter.h"
#include "server/proto_time.h"
#include "server/successors.h"
#include "server/validate_task.h"
#include "server/workflow_calls.h"

namespace capstan::server {
namespace {

// What is stored as event 1, but for who asked.
struct NewTask {
  v1::Accepted accepted;
  std::string request_id;
  std::string request_hash;
};

v1::ContextKind ResolvedContext(v1::ContextKind context, bool has_repository) {
  if (context != v1::CONTEXT_KIND_UNSPECIFIED) return context;
  return has_repository ? v1::CONTEXT_KIND_TASK : v1::CONTEXT_KIND_STANDALONE;
}

void FillTask(const v1::RunTaskRequest& request, const v1::Workflow& workflow,
              const std::string& digest, v1::Accepted& accepted) {
  accepted.set_dry_run(request.dry_run());
  *accepted.mutable_timeout() = request.has_timeout() && request.timeout().seconds() > 0
                                    ? request.timeout()
                                    : workflow.timeout();
  accepted.set_priority(request.priority() == 0 ? kDefaultPriority : request.priority());
  *accepted.mutable_labels() = request.labels();
  if (request.has_parent()) *accepted.mutable_parent() = request.parent();
  v1::TaskRequest& task = *accepted.mutable_task();
  task.set_workflow(workflow.name());
  task.set_workflow_digest(digest);
  *task.mutable_description() = request.task();
  *task.mutable_inputs() = request.inputs();
  *task.mutable_commands() = request.commands();
  if (request.has_repository()) *task.mutable_repository() = request.repository();
  task.set_max_cost_microusd(request.max_cost_microusd() > 0 ? request.max_cost_microusd()
                                                             : workflow.max_cost_microusd());
  task.set_context(ResolvedContext(request.context(), request.has_repository()));
  task.set_profile(request.profile() == v1::PROFILE_UNSPECIFIED ? v1::PROFILE_SAFE
                                                                : request.profile());
  task.set_project(request.project());
  task.set_budget_override(request.budget_override());
  for (const v1::WorkflowStep& step : workflow.steps()) task.add_steps(step.name());
}

absl::StatusOr<NewTask> MakeTask(const Parts& parts, const v1::RunTaskRequest& request) {
  CAPSTAN_ASSIGN_OR_RETURN(const WorkflowName name, CheckRunTask(request));
  CAPSTAN_ASSIGN_OR_RETURN(const v1::WorkflowVersion version,
                           FindWorkflow(parts, name.name, name.digest));
  CAPSTAN_RETURN_IF_ERROR(CheckAgainst(request, version.workflow()));
  CAPSTAN_RETURN_IF_ERROR(CheckActions(version.workflow(), parts.catalog));
  NewTask task;
  FillTask(request, version.workflow(), version.digest(), task.accepted);
  v1::RunTaskRequest body = request;
  body.clear_request_id();
  body.clear_wait_until();
  task.request_hash = MessageHash(body);
  CAPSTAN_ASSIGN_OR_RETURN(task.request_id, CheckRequestId(request.request_id()));
  return task;
}

void Submit(const Parts& parts, Rpc& rpc, NewTask task, SubmitDone done) {
  auto span = std::make_shared<telemetry::Span>(parts.tracer.StartSpan(
      telemetry::kSpanSubmit,
      {.parent = rpc.span().context(),
       .attributes = {{telemetry::kAttributeWorkflow, task.accepted.task().workflow()}}}));
  v1::ExecutionEvent event;
  event.set_causation_id("request");
  if (rpc.caller_trace().IsValid()) event.set_correlation_id(rpc.caller_trace().TraceIdHex());
  task.accepted.set_caller(rpc.caller());
  task.accepted.set_request_id(task.request_id);
  task.accepted.set_traceparent(telemetry::FormatTraceparent(rpc.span().context()));
  task.accepted.set_tracestate(rpc.span().context().tracestate);
  *event.mutable_accepted() = task.accepted;

  storage::NewExecution execution;
  execution.caller = rpc.caller();
  execution.request_id = task.request_id;
  execution.request_hash = task.request_hash;
  execution.queue = storage::Queue::kTask;
  execution.priority = static_cast<std::int16_t>(task.accepted.priority());
  execution.action = TaskActionName(task.accepted.task().workflow());
  execution.parent_name = task.accepted.parent().name();
  execution.parent_step = task.accepted.parent().step();
  execution.labels = {task.accepted.labels().begin(), task.accepted.labels().end()};
  execution.accepted = event.SerializeAsString();
  execution.audit = AuditText({{"kind", "submit"},
                               {"caller", execution.caller},
                               {"workflow", task.accepted.task().workflow()},
                               {"workflow_digest", task.accepted.task().workflow_digest()},
                               {"project", task.accepted.task().project()},
                               {"budget_override", task.accepted.task().budget_override()},
                               {"event_sha256", Sha256Hex(execution.accepted)}});
  Store(parts, std::move(span), std::move(execution), std::move(done));
}

// Makes a task on the pool and stores it.
template <class Make>
void SubmitOnPool(const Parts& parts, const std::shared_ptr<Rpc>& rpc, Make make, SubmitDone done) {
  const bool queued = parts.pool.TrySubmit([&parts, rpc, make = std::move(make), done] {
    absl::StatusOr<NewTask> task = make();
    if (!task.ok()) {
      CountSubmit(parts.metrics, task.status());
      return done(task.status());
    }
    Submit(parts, *rpc, *std::move(task), done);
  });
  if (!queued)
    done(Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
}

// All that depend on `step`, directly or not, with it.
std::set<std::string> AgainFrom(const v1::Workflow& workflow, const std::string& step) {
  std::set<std::string> again = {step};
  for (bool grew = true; grew;) {
    grew = false;
    for (const v1::WorkflowStep& one : workflow.steps()) {
      for (const std::string& name : one.depends_on())
        grew = (again.contains(name) && again.insert(one.name()).second) || grew;
    }
  }
  return again;
}

// What the steps of an ended task left, by step: names as its events have them.
struct Left {
  v1::StepStatus::State state = v1::StepStatus::STATE_PENDING;
  std::string execution, answer, text;
  bool passed = false;  // the last decision about its gate
};

std::map<std::string, Left> LeftBy(const EventList& original, const std::string& name) {
  std::map<std::string, Left> left;
  for (const v1::CarriedStep& carried : original.at(1).accepted().task().carried()) {
    left[carried.step()] = {carried.state(), carried.execution(), carried.answer_artifact(),
                            carried.text_artifact(), /*passed=*/true};
  }
  for (const v1::ExecutionEvent& event : original.events) {
    if (event.has_step_finished()) {
      left[event.step_finished().step()].state = event.step_finished().state();
    } else if (event.has_gate_decided()) {
      left[event.gate_decided().step()].passed = event.gate_decided().passed();
    } else if (event.has_steps_reset()) {
      for (const std::string& step : event.steps_reset().steps()) {
        left[step].state = v1::StepStatus::STATE_PENDING;
        left[step].passed = false;
      }
    } else if (event.has_artifact_stored() && !event.artifact_stored().step().empty()) {
      Left& one = left[event.artifact_stored().step()];
      const std::string& artifact = event.artifact_stored().artifact();
      const bool answer =
          artifact.size() > 7 && artifact.compare(artifact.size() - 7, 7, "/answer") == 0;
      (answer ? one.answer : one.text) = artifact;
      one.execution = name;
    }
  }
  return left;
}

absl::Status NotDone(const std::string& step, std::string_view what, const std::string& name) {
  return Error(absl::StatusCode::kFailedPrecondition, "STEP_NOT_DONE",
               Cat("from_step: the step ", step, " that it does not run again was not ", what, " ",
                   name, "; begin with it or an earlier one"),
               {{"step", step}});
}

// Its step is done, and the decision beside it was not yes.
bool IsOpenBeside(const v1::WorkflowStep& step, const Left& left) {
  return step.gate().mode() == v1::StepGate::MODE_REACTION &&
         left.state == v1::StepStatus::STATE_SUCCEEDED && !left.passed;
}

// Takes over what is not run again.
absl::Status Carry(const v1::Workflow& workflow, const EventList& original, const std::string& from,
                   v1::TaskRequest& task) {
  const std::string name = original.at(1).execution();
  const std::set<std::string> again = AgainFrom(workflow, from);
  const std::map<std::string, Left> left = LeftBy(original, name);
  task.set_from_step(from);
  for (const v1::WorkflowStep& step : workflow.steps()) {
    if (again.contains(step.name())) continue;
    const auto found = left.find(step.name());
    if (found == left.end() || (found->second.state != v1::StepStatus::STATE_SUCCEEDED &&
                                found->second.state != v1::StepStatus::STATE_SKIPPED)) {
      return NotDone(step.name(), "done by", name);
    }
    if (IsOpenBeside(step, found->second))
      return NotDone(step.name(), "passed by its gate in", name);
    v1::CarriedStep& carried = *task.add_carried();
    carried.set_step(step.name());
    carried.set_state(found->second.state);
    carried.set_execution(found->second.execution.empty() ? name : found->second.execution);
    carried.set_answer_artifact(found->second.answer);
    carried.set_text_artifact(found->second.text);
  }
  return absl::OkStatus();
}

absl::StatusOr<NewTask> MakeRetryTask(const Parts& parts, const v1::RetryExecutionRequest& request,
                                      const EventList& original) {
  const v1::Execution execution = original.Snapshot();
  CAPSTAN_RETURN_IF_ERROR(CheckEnded(execution));
  if (execution.state() == v1::Execution::STATE_SUCCEEDED && request.from_step().empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "ALREADY_SUCCEEDED",
                 Cat(execution.name(), " has succeeded: name the step to begin with again"));
  }
  const bool unknown = execution.failure_reason() == v1::Execution::FAILURE_REASON_OUTCOME_UNKNOWN;
  if (unknown && !request.accept_repeated_effect()) {
    return Error(absl::StatusCode::kFailedPrecondition, "EFFECT_POSSIBLE",
                 Cat(execution.name(),
                     ": something of its may have run that is not repeatable; "
                     "look at what it changes, then set accept_repeated_effect"));
  }
  NewTask next;
  next.accepted = original.at(1).accepted();
  next.accepted.set_retry_of(execution.name());
  next.accepted.clear_queue_deadline();
  v1::TaskRequest& task = *next.accepted.mutable_task();
  task.clear_from_step();
  task.clear_carried();
  if (!request.from_step().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(const v1::WorkflowVersion version,
                             FindWorkflow(parts, task.workflow(), task.workflow_digest()));
    const auto& steps = task.steps();
    if (std::find(steps.begin(), steps.end(), request.from_step()) == steps.end()) {
      std::string known;
      for (const std::string& step : steps) Append(&known, known.empty() ? "" : ", ", step);
      return InvalidField("from_step",
                          Cat("got \"", request.from_step(), "\", want one of: ", known));
    }
    CAPSTAN_RETURN_IF_ERROR(Carry(version.workflow(), original, request.from_step(), task));
  }
  task.set_context(ResolvedContext(task.context(), task.has_repository()));
  // Work goes on where the last one left it; a branch of the repository is there itself.
  if (!execution.workspace().head_commit().empty() && task.has_repository() &&
      task.context() != v1::CONTEXT_KIND_BRANCH)
    task.mutable_repository()->set_base_ref(execution.workspace().head_commit());
  v1::RetryExecutionRequest body = request;
  body.clear_request_id();
  next.request_hash = MessageHash(body);
  CAPSTAN_ASSIGN_OR_RETURN(next.request_id, CheckRequestId(request.request_id()));
  return next;
}

}  // namespace

void CheckAndSubmitTask(const Parts& parts, const std::shared_ptr<Rpc>& rpc,
                        const v1::RunTaskRequest& request, SubmitDone done) {
  SubmitOnPool(parts, rpc, [&parts, request] { return MakeTask(parts, request); }, std::move(done));
}

void RetryTask(const Parts& parts, const std::shared_ptr<Rpc>& rpc,
               const v1::RetryExecutionRequest& request, const EventList& original,
               SubmitDone done) {
  SubmitOnPool(
      parts, rpc, [&parts, request, original] { return MakeRetryTask(parts, request, original); },
      std::move(done));
}

}  // namespace capstan::server
