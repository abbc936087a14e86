#include "worker/task/task_effects.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/telemetry/span_names.h"
#include "core/workflow/loader.h"
#include "worker/decision_proto.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using Json = nlohmann::json;

constexpr char kRunTask[] = "RunTask";

Json ListOf(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  return std::vector<std::string>(texts.begin(), texts.end());
}

Json MapOf(const google::protobuf::Map<std::string, std::string>& texts) {
  return std::map<std::string, std::string>(texts.begin(), texts.end());
}

Json CallOf(const v1::HttpStep& http) {
  return {{"method", http.method()},
          {"url", http.url()},
          {"headers", MapOf(http.headers())},
          {"secret_headers", MapOf(http.secret_headers())},
          {"body", http.body()}};
}

// Of those that run something.
Json VariablesOf(const v1::Workflow& workflow) {
  Json variables = Json::array();
  for (const v1::WorkflowVariable& variable : workflow.variables()) {
    if (variable.has_script()) {
      variables.push_back({{"name", variable.name()},
                           {"script", variable.script().name()},
                           {"arguments", ListOf(variable.script().arguments())}});
    }
    if (variable.has_http()) {
      variables.push_back(
          {{"name", variable.name()}, {"http", CallOf(workflow::CallOf(variable.http()))}});
    }
  }
  return variables;
}

Json TriggersOf(const v1::Workflow& workflow) {
  Json triggers = Json::array();
  for (const v1::WorkflowTrigger& trigger : workflow.triggers()) {
    Json one = {{"name", trigger.name()},
                {"when", v1::WorkflowTrigger::When_Name(trigger.when())},
                {"steps", ListOf(trigger.steps())}};
    if (trigger.has_command()) one["argv"] = ListOf(trigger.command().argv());
    if (trigger.has_http()) one["http"] = CallOf(trigger.http());
    triggers.push_back(std::move(one));
  }
  return triggers;
}

// What rules can look at: everything that decides what will be run.
Json ParametersOf(const task::Task& task) {
  const v1::TaskRequest& request = task.request.task();
  Json steps = Json::array();
  for (const v1::WorkflowStep& step : task.workflow->steps()) {
    Json one = {{"name", step.name()}, {"kind", KindName(step)}};
    if (step.has_command()) one["argv"] = ListOf(step.command().argv());
    if (step.has_http()) one["http"] = CallOf(step.http());
    if (step.has_llm()) {
      one["model"] = step.llm().model();
      one["engine"] = step.llm().engine();
      one["tools"] = ListOf(step.llm().tools());
    }
    steps.push_back(std::move(one));
  }
  Json commands = Json::object();
  for (const auto& [name, line] : request.commands()) commands[name] = ListOf(line.argv());
  return {{"workflow", request.workflow()},
          {"workflow_digest", request.workflow_digest()},
          {"category", request.description().category()},
          {"profile", v1::Profile_Name(request.profile())},
          {"repository", request.repository().path()},
          {"max_cost_microusd", request.max_cost_microusd()},
          {"commands", std::move(commands)},
          {"steps", std::move(steps)},
          {"variables", VariablesOf(*task.workflow)},
          {"triggers", TriggersOf(*task.workflow)}};
}

bool IsUnder(const std::string& path, const std::string& folder) {
  if (folder.empty() || path.rfind(folder, 0) != 0) return false;
  return path.size() == folder.size() || folder.back() == '/' || path[folder.size()] == '/';
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

git::Workspace RecordOf(const ExecutionId& id, const v1::Workspace& workspace) {
  return {.id = id.ToString(),
          .repository = workspace.repository(),
          .path = workspace.path(),
          .branch = workspace.branch(),
          .base_commit = workspace.base_commit()};
}

}  // namespace

TaskEffects::TaskEffects(policy::PolicyEngine& policy, git::Workspaces& workspaces,
                         const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
                         TaskEffectsOptions options)
    : policy_(policy),
      workspaces_(workspaces),
      tracer_(tracer),
      metrics_(metrics),
      options_(std::move(options)) {}

TaskDecision TaskEffects::Decide(const ExecutionId& id, const task::Task& task, absl::Time now,
                                 const telemetry::TraceContext& trace) {
  policy::PolicyInput input;
  input.action = kRunTask;
  input.parameters = ParametersOf(task);
  input.caller = task.request.caller();
  input.dry_run = task.request.dry_run();
  input.evaluation_time = now;
  input.target_resource = {"Workflow", task.request.task().workflow(), "", {}};
  input.metadata = {ExecutionName(id), ""};
  if (!options_.environment.empty()) input.environment = options_.environment;
  const policy::Decision decision = EvaluatePolicy(policy_, input, tracer_, metrics_, trace);
  TaskDecision out;
  out.input.decision = ToProto(decision);
  if (decision.allow && decision.requires_approval) {
    // People are asked by the gates of the workflow, which say what they are asked about.
    out.input.decision.set_allow(false);
    v1::PolicyViolation& violation = *out.input.decision.add_violations();
    violation.set_id("capstan/task-approval");
    violation.set_message(
        "the rules ask for an approval of the whole task, which tasks do not "
        "have: put a human gate before its steps");
  }
  out.input_json = decision.input_json;
  out.result_json = policy::ResultJson(decision);
  return out;
}

task::Prepared TaskEffects::Prepare(const ExecutionId& id, const task::Task& task) {
  task::Prepared prepared;
  const v1::Repository& wanted = task.request.task().repository();
  absl::StatusOr<git::Workspace> made;
  if (task.request.task().has_repository()) {
    const bool allowed =
        std::any_of(options_.repositories.begin(), options_.repositories.end(),
                    [&](const std::string& folder) { return IsUnder(wanted.path(), folder); });
    made = allowed ? workspaces_.Create(id.ToString(), wanted.path(),
                                        wanted.base_ref().empty() ? "HEAD" : wanted.base_ref())
                   : absl::PermissionDeniedError(absl::StrCat(
                         "repository.path: got ", wanted.path(),
                         ", want a folder under one that this worker's configuration allows"));
  } else {
    made = workspaces_.CreateEmpty(id.ToString());
  }
  if (!made.ok()) {
    prepared.error = std::string(made.status().message());
    prepared.transient = IsTransient(made.status());
    return prepared;
  }
  prepared.workspace.set_path(made->path);
  prepared.workspace.set_branch(made->branch);
  prepared.workspace.set_base_commit(made->base_commit);
  prepared.workspace.set_repository(made->repository);
  return prepared;
}

absl::Status TaskEffects::Open(const ExecutionId& id, const v1::Workspace& workspace,
                               const std::string& kept) {
  return workspaces_.Open(RecordOf(id, workspace), kept);
}

absl::StatusOr<std::string> TaskEffects::Keep(const ExecutionId& id,
                                              const v1::Workspace& workspace) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<std::string> ref,
                           workspaces_.PreserveWork(RecordOf(id, workspace)));
  return ref.value_or("");
}

absl::StatusOr<std::string> TaskEffects::Checkpoint(const ExecutionId& id,
                                                    const v1::Workspace& workspace,
                                                    const std::string& message) {
  return workspaces_.Checkpoint(RecordOf(id, workspace), message);
}

std::string TaskEffects::Fingerprint(const ExecutionId& id, const v1::Workspace& workspace) {
  return workspaces_.Fingerprint(RecordOf(id, workspace)).value_or("");
}

task::PutAway TaskEffects::PutAway(const ExecutionId& id, const task::Task& task, bool succeeded) {
  task::PutAway put;
  if (task.data.workspace().path().empty()) return put;
  const git::Workspace workspace = RecordOf(id, task.data.workspace());
  // What a task that failed was doing is kept beside its branch, which has what was done.
  absl::StatusOr<std::string> commit =
      succeeded ? workspaces_.Checkpoint(workspace, "the end of the task") : std::string();
  if (!commit.ok()) {
    put.error = std::string(commit.status().message());
    return put;
  }
  put.commit = *std::move(commit);
  const v1::Workflow::Cleanup cleanup = task.workflow->cleanup();
  const bool remove = cleanup == v1::Workflow::CLEANUP_ALWAYS ||
                      (succeeded && cleanup != v1::Workflow::CLEANUP_NEVER);
  const absl::Status kept =
      remove ? workspaces_.Remove(workspace) : workspaces_.PreserveWork(workspace).status();
  if (!kept.ok()) {
    put.error = std::string(kept.message());
    Log(Level::kWarning, "the work of a task could not be put away",
        {{"execution", id.ToString()}, {"error", put.error}});
  }
  put.removed = remove && kept.ok();
  return put;
}

}  // namespace capstan::worker
