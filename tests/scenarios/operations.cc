#include "tests/scenarios/operations.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/ids.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

namespace fs = std::filesystem;
using v1::Execution;

void Call(grpc::ClientContext& context, const std::string& caller) {
  if (!caller.empty()) context.AddMetadata("capstan-caller", caller);
}

absl::Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

// ---- requests

v1::ExecuteActionRequest Request(const std::string& action,
                                 const std::map<std::string, Parameter>& parameters) {
  v1::ExecuteActionRequest request;
  request.set_request_id(RandomUuid());
  request.set_action(action);
  for (const auto& [name, value] : parameters) {
    auto& field = (*request.mutable_parameters()->mutable_fields())[name];
    if (const auto* text = std::get_if<const char*>(&value)) field.set_string_value(*text);
    if (const auto* text = std::get_if<std::string>(&value)) field.set_string_value(*text);
    if (const auto* number = std::get_if<int>(&value)) field.set_number_value(*number);
    if (const auto* truth = std::get_if<bool>(&value)) field.set_bool_value(*truth);
  }
  return request;
}

v1::ExecuteActionRequest DryRun(v1::ExecuteActionRequest request) {
  request.set_request_id(RandomUuid());
  request.set_dry_run(true);
  return request;
}

// ---- waiting

v1::StateChanged WaitBlocked(Server& server, const std::string& name,
                             Execution::BlockReason reason) {
  return WaitBlocked(server, name, reason, 1);
}

v1::StateChanged WaitBlocked(Server& server, const std::string& name, Execution::BlockReason reason,
                             int times) {
  v1::StateChanged found;
  WatchUntil(server, name, [&](const v1::ExecutionEvent& event) {
    const v1::StateChanged& changed = event.state_changed();
    if (changed.to() != Execution::STATE_BLOCKED || changed.block_reason() != reason) return false;
    if (--times > 0) return false;
    found = changed;
    return true;
  });
  return found;
}

v1::ApprovalSummary WaitApproval(Server& server, const std::string& name, int number) {
  WatchUntil(server, name, [&](const v1::ExecutionEvent& event) {
    return event.approval_requested().number() == number;
  });
  return Get(server, name).approval();
}

std::vector<Streamed> WatchAll(Server& server, const std::vector<std::string>& names) {
  std::vector<Streamed> all;
  for (const std::string& name : names) all.push_back(Watch(server, name));
  return all;
}

Execution Get(Server& server, const std::string& name) {
  grpc::ClientContext context;
  v1::GetExecutionRequest request;
  request.set_name(name);
  v1::GetExecutionResponse response;
  CAPSTAN_CHECK(server.executions->GetExecution(&context, request, &response).ok());
  return response.execution();
}

// ---- operators

absl::Status Decide(Server& server, const std::string& name, const std::string& plan_digest,
                    bool approve, const std::string& caller) {
  grpc::ClientContext context;
  Call(context, caller);
  v1::DecideApprovalRequest request;
  request.set_execution(name);
  request.set_plan_digest(plan_digest);
  request.set_decision(approve ? v1::DecideApprovalRequest::DECISION_APPROVE
                               : v1::DecideApprovalRequest::DECISION_REJECT);
  request.set_reason(approve ? "looks right" : "not now");
  v1::DecideApprovalResponse response;
  return ToStatus(server.approvals->DecideApproval(&context, request, &response));
}

absl::StatusOr<v1::ExplainExecutionResponse> Explain(Server& server, const std::string& name) {
  grpc::ClientContext context;
  v1::ExplainExecutionRequest request;
  request.set_name(name);
  v1::ExplainExecutionResponse response;
  CAPSTAN_RETURN_IF_ERROR(
      ToStatus(server.executions->ExplainExecution(&context, request, &response)));
  return response;
}

absl::StatusOr<std::string> Retry(Server& server, const std::string& name,
                                  bool accept_repeated_effect) {
  grpc::ClientContext context;
  v1::RetryExecutionRequest request;
  request.set_name(name);
  request.set_request_id(RandomUuid());
  request.set_accept_repeated_effect(accept_repeated_effect);
  v1::RetryExecutionResponse response;
  CAPSTAN_RETURN_IF_ERROR(
      ToStatus(server.executions->RetryExecution(&context, request, &response)));
  return response.execution().name();
}

absl::StatusOr<std::string> Rollback(Server& server, const std::string& name) {
  grpc::ClientContext context;
  v1::RollbackExecutionRequest request;
  request.set_name(name);
  request.set_request_id(RandomUuid());
  v1::RollbackExecutionResponse response;
  CAPSTAN_RETURN_IF_ERROR(
      ToStatus(server.executions->RollbackExecution(&context, request, &response)));
  return response.execution().name();
}

v1::StopScope StopAll() {
  v1::StopScope scope;
  scope.set_all(true);
  return scope;
}

v1::StopScope StopNamespace(const std::string& name) {
  v1::StopScope scope;
  scope.set_namespace_(name);
  return scope;
}

v1::StopScope StopAction(const std::string& action) {
  v1::StopScope scope;
  scope.set_action(action);
  return scope;
}

v1::StopScope StopWorker(const std::string& worker) {
  v1::StopScope scope;
  scope.set_worker(worker);
  return scope;
}

absl::StatusOr<v1::EmergencyStopResponse> Stop(Server& server, const v1::StopScope& scope,
                                               bool cancel_running) {
  grpc::ClientContext context;
  v1::EmergencyStopRequest request;
  request.set_request_id(RandomUuid());
  *request.mutable_scope() = scope;
  request.set_reason("something is on fire");
  request.set_cancel_running(cancel_running);
  v1::EmergencyStopResponse response;
  CAPSTAN_RETURN_IF_ERROR(ToStatus(server.admin->EmergencyStop(&context, request, &response)));
  return response;
}

absl::StatusOr<v1::LiftEmergencyStopResponse> Lift(Server& server, const std::string& stop,
                                                   bool validate_only) {
  grpc::ClientContext context;
  v1::LiftEmergencyStopRequest request;
  request.set_name(stop);
  request.set_reason("the fire is out");
  request.set_validate_only(validate_only);
  v1::LiftEmergencyStopResponse response;
  CAPSTAN_RETURN_IF_ERROR(ToStatus(server.admin->LiftEmergencyStop(&context, request, &response)));
  return response;
}

absl::Status ClearBlock(Server& server, const std::string& target, const std::string& reason,
                        const std::string& caller) {
  grpc::ClientContext context;
  Call(context, caller);
  v1::ClearTargetBlockRequest request;
  request.set_name(target);
  request.set_reason(reason);
  v1::ClearTargetBlockResponse response;
  return ToStatus(server.admin->ClearTargetBlock(&context, request, &response));
}

std::map<std::string, v1::TargetStatus> Targets(Server& server) {
  std::map<std::string, v1::TargetStatus> all;
  v1::ListTargetsRequest request;
  do {
    grpc::ClientContext context;
    v1::ListTargetsResponse response;
    CAPSTAN_CHECK(server.admin->ListTargets(&context, request, &response).ok());
    for (const v1::TargetStatus& target : response.targets()) all[target.name()] = target;
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

std::vector<v1::Worker> Workers(Server& server) {
  grpc::ClientContext context;
  v1::ListWorkersResponse response;
  CAPSTAN_CHECK(server.admin->ListWorkers(&context, {}, &response).ok());
  return {response.workers().begin(), response.workers().end()};
}

std::vector<std::string> AuditProblems(Server& server) {
  grpc::ClientContext context;
  v1::VerifyAuditResponse response;
  const grpc::Status status = server.admin->VerifyAudit(&context, {}, &response);
  std::vector<std::string> problems;
  if (!status.ok()) problems.push_back(status.error_message());
  if (response.chains().empty()) problems.push_back("nothing was audited");
  for (const auto& problem : response.problems()) problems.push_back(problem.message());
  return problems;
}

// ---- files

void WriteFile(const std::string& file, const std::string& text) {
  fs::create_directories(fs::path(file).parent_path());
  std::ofstream stream(file);
  stream << text;
  stream.close();
  CAPSTAN_CHECK(stream.good());
}

void Replace(const std::string& file, const std::string& from, const std::string& to) {
  std::ifstream stream(file);
  std::stringstream text;
  text << stream.rdbuf();
  CAPSTAN_CHECK(text.str().find(from) != std::string::npos);
  WriteFile(file, absl::StrReplaceAll(text.str(), {{from, to}}));
}

void WriteBundle(System& system, const std::string& name, const std::string& rules) {
  const std::string package = absl::StrReplaceAll(name, {{"-", "_"}});
  const std::string folder = absl::StrCat(system.policies(), "/", name, "/");
  WriteFile(
      absl::StrCat(folder, package, ".rego"),
      absl::StrCat("package capstan.safety.rules.", package, "\n\nimport rego.v1\n\n", rules));
}

std::string DumpDatabase(const System& system) {
  std::string dump;
  for (const auto& table :
       MustRunSql(system.dsn(),
                  "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
                  "'public'::regnamespace AND NOT relispartition ORDER BY 1")) {
    // Bytes as text too: what is stored as bytes is looked into.
    for (const auto& row :
         MustRunSql(system.dsn(), absl::StrCat("SELECT t::text FROM ", table[0], " AS t"))) {
      absl::StrAppend(&dump, table[0], ": ", row[0], "\n");
    }
  }
  return dump;
}

}  // namespace capstan::testing
