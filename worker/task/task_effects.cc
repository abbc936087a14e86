#include "worker/task/task_effects.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
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

// As in the workflow: texts are templates.
Json ParametersOf(const v1::ActionStep& action) {
  Json parameters = Json::object();
  for (const auto& [name, value] : action.parameters().fields()) {
    if (value.has_bool_value()) {
      parameters[name] = value.bool_value();
    } else if (value.has_number_value()) {
      parameters[name] = value.number_value();
    } else {
      parameters[name] = value.string_value();
    }
  }
  return parameters;
}

Json JudgeOf(const v1::ModelJudgement& judge) {
  return {{"model", judge.model()}, {"engine", judge.engine()}};
}

// "human"; "reaction".
std::string WordOf(const std::string& name, std::string_view prefix) {
  return absl::AsciiStrToLower(name.substr(prefix.size()));
}

Json GateOf(const v1::StepGate& gate) {
  Json out = {
      {"kind", WordOf(v1::StepGate::Kind_Name(gate.kind()), "KIND_")},
      {"mode", gate.mode() == v1::StepGate::MODE_REACTION ? "reaction" : "gate"},
      {"on_reject", gate.on_reject() == v1::StepGate::ON_REJECT_UNSPECIFIED
                        ? "fail"
                        : WordOf(v1::StepGate::OnReject_Name(gate.on_reject()), "ON_REJECT_")}};
  if (gate.has_judge()) out["judge"] = JudgeOf(gate.judge());
  if (gate.has_script()) out["script"] = ListOf(gate.script().argv());
  return out;
}

Json CheckOf(const v1::QualityCheck& check) {
  Json out = {{"name", check.name()}};
  if (check.argv_size() > 0) out["argv"] = ListOf(check.argv());
  if (!check.command().empty()) out["command"] = check.command();
  if (check.has_judge()) out["judge"] = JudgeOf(check.judge());
  return out;
}

Json StepOf(const v1::WorkflowStep& step) {
  Json one = {{"name", step.name()}, {"kind", KindName(step)}};
  if (step.has_command()) one["argv"] = ListOf(step.command().argv());
  if (step.has_http()) one["http"] = CallOf(step.http());
  if (step.has_llm()) {
    one["model"] = step.llm().model();
    one["engine"] = step.llm().engine();
    one["tools"] = ListOf(step.llm().tools());
  }
  if (step.has_action()) {
    one["action"] = step.action().action();
    one["parameters"] = ParametersOf(step.action());
  }
  if (step.has_gate()) one["gate"] = GateOf(step.gate());
  for (const v1::QualityCheck& check : step.checks()) one["checks"].push_back(CheckOf(check));
  return one;
}

// What rules can look at: everything that decides what will be run.
Json ParametersOf(const task::Task& task) {
  const v1::TaskRequest& request = task.request.task();
  Json steps = Json::array();
  for (const v1::WorkflowStep& step : task.workflow->steps()) steps.push_back(StepOf(step));
  Json commands = Json::object();
  for (const auto& [name, line] : request.commands()) commands[name] = ListOf(line.argv());
  return {{"workflow", request.workflow()},
          {"workflow_digest", request.workflow_digest()},
          {"category", request.description().category()},
          {"profile", v1::Profile_Name(request.profile())},
          {"context", v1::ContextKind_Name(request.context())},
          {"repository", request.repository().path()},
          {"base_ref", request.repository().base_ref()},
          {"max_cost_microusd", request.max_cost_microusd()},
          {"project", request.project()},
          {"budget_override", request.budget_override()},
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

v1::Execution::FailureReason LastingReasonOf(const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) return v1::Execution::FAILURE_REASON_PRECONDITION_FAILED;
  if (absl::IsResourceExhausted(status)) return v1::Execution::FAILURE_REASON_RESOURCE_EXHAUSTED;
  return v1::Execution::FAILURE_REASON_UNSPECIFIED;
}

absl::StatusOr<git::Workspace> TaskEffects::MakeWorkspace(const ExecutionId& id,
                                                          const v1::TaskRequest& request) {
  if (!request.has_repository()) return workspaces_.CreateEmpty(id.ToString());
  const v1::Repository& wanted = request.repository();
  const bool allowed =
      std::any_of(options_.repositories.begin(), options_.repositories.end(),
                  [&](const std::string& folder) { return IsUnder(wanted.path(), folder); });
  if (!allowed) {
    return absl::PermissionDeniedError(
        absl::StrCat("repository.path: got ", wanted.path(),
                     ", want a folder under one that this worker's configuration allows"));
  }
  if (request.context() == v1::CONTEXT_KIND_BRANCH)
    return workspaces_.CreateOnBranch(id.ToString(), wanted.path(), wanted.base_ref());
  return workspaces_.Create(id.ToString(), wanted.path(),
                            wanted.base_ref().empty() ? "HEAD" : wanted.base_ref());
}

task::Prepared TaskEffects::Prepare(const ExecutionId& id, const task::Task& task) {
  task::Prepared prepared;
  const absl::StatusOr<git::Workspace> made = MakeWorkspace(id, task.request.task());
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
  // Whoever was lost after putting it away, and before that was stored, has left no folder.
  if (succeeded && !std::filesystem::exists(workspace.path)) {
    const absl::Status opened = workspaces_.Open(workspace, task.data.kept_work());
    put.removed = !task.request.task().has_repository() && absl::IsNotFound(opened);
    if (put.removed) return put;
    if (!opened.ok()) {
      put.error = std::string(opened.message());
      put.reason = LastingReasonOf(opened);
      return put;
    }
  }
  // What a task that failed was doing is kept beside its branch, which has what was done.
  absl::StatusOr<std::string> commit =
      succeeded ? workspaces_.Checkpoint(workspace, "the end of the task") : std::string();
  if (!commit.ok()) {
    put.error = std::string(commit.status().message());
    put.reason = LastingReasonOf(commit.status());
    (void)workspaces_.Leave(workspace);  // what was wrong before is wrong still, and told
    return put;
  }
  put.commit = *std::move(commit);
  const v1::Workflow::Cleanup cleanup = task.workflow->cleanup();
  const bool remove = cleanup == v1::Workflow::CLEANUP_ALWAYS ||
                      (succeeded && cleanup != v1::Workflow::CLEANUP_NEVER);
  const absl::Status kept = remove ? workspaces_.Remove(workspace) : workspaces_.Leave(workspace);
  if (!kept.ok()) {
    put.error = std::string(kept.message());
    Log(Level::kWarning, "the work of a task could not be put away",
        {{"execution", id.ToString()}, {"error", put.error}});
  }
  put.removed = remove && kept.ok();
  return put;
}

}  // namespace capstan::worker
