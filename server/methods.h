// The full names of all methods, for spans and metrics.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace capstan::server {

inline constexpr std::string_view kExecuteAction = "capstan.v1.ExecutionService/ExecuteAction";
inline constexpr std::string_view kBatchExecuteActions =
    "capstan.v1.ExecutionService/BatchExecuteActions";
inline constexpr std::string_view kWatchExecution = "capstan.v1.ExecutionService/WatchExecution";
inline constexpr std::string_view kWatchExecutions = "capstan.v1.ExecutionService/WatchExecutions";
inline constexpr std::string_view kGetExecution = "capstan.v1.ExecutionService/GetExecution";
inline constexpr std::string_view kListExecutions = "capstan.v1.ExecutionService/ListExecutions";
inline constexpr std::string_view kListEvents = "capstan.v1.ExecutionService/ListEvents";
inline constexpr std::string_view kCancelExecution = "capstan.v1.ExecutionService/CancelExecution";
inline constexpr std::string_view kCancelExecutions =
    "capstan.v1.ExecutionService/CancelExecutions";
inline constexpr std::string_view kReadLog = "capstan.v1.ExecutionService/ReadLog";
inline constexpr std::string_view kListActions = "capstan.v1.CatalogService/ListActions";
inline constexpr std::string_view kGetAction = "capstan.v1.CatalogService/GetAction";
inline constexpr std::string_view kListWorkers = "capstan.v1.AdminService/ListWorkers";
inline constexpr std::string_view kRetryExecution = "capstan.v1.ExecutionService/RetryExecution";
inline constexpr std::string_view kRollbackExecution =
    "capstan.v1.ExecutionService/RollbackExecution";
inline constexpr std::string_view kExplainExecution =
    "capstan.v1.ExecutionService/ExplainExecution";
inline constexpr std::string_view kListApprovals = "capstan.v1.ApprovalService/ListApprovals";
inline constexpr std::string_view kDecideApproval = "capstan.v1.ApprovalService/DecideApproval";
inline constexpr std::string_view kEmergencyStop = "capstan.v1.AdminService/EmergencyStop";
inline constexpr std::string_view kListEmergencyStops =
    "capstan.v1.AdminService/ListEmergencyStops";
inline constexpr std::string_view kLiftEmergencyStop = "capstan.v1.AdminService/LiftEmergencyStop";
inline constexpr std::string_view kListTargets = "capstan.v1.AdminService/ListTargets";
inline constexpr std::string_view kClearTargetBlock = "capstan.v1.AdminService/ClearTargetBlock";
inline constexpr std::string_view kListPolicyDecisions =
    "capstan.v1.AdminService/ListPolicyDecisions";
inline constexpr std::string_view kSetProjectBudget = "capstan.v1.AdminService/SetProjectBudget";
inline constexpr std::string_view kListProjectBudgets =
    "capstan.v1.AdminService/ListProjectBudgets";
inline constexpr std::string_view kVerifyAudit = "capstan.v1.AdminService/VerifyAudit";
inline constexpr std::string_view kRunTask = "capstan.v1.ExecutionService/RunTask";
inline constexpr std::string_view kPauseExecution = "capstan.v1.ExecutionService/PauseExecution";
inline constexpr std::string_view kResumeExecution = "capstan.v1.ExecutionService/ResumeExecution";
inline constexpr std::string_view kReadTranscript = "capstan.v1.ExecutionService/ReadTranscript";
inline constexpr std::string_view kListWorkflows = "capstan.v1.CatalogService/ListWorkflows";
inline constexpr std::string_view kGetWorkflow = "capstan.v1.CatalogService/GetWorkflow";
inline constexpr std::string_view kPutWorkflow = "capstan.v1.CatalogService/PutWorkflow";
inline constexpr std::string_view kHealthCheck = "grpc.health.v1.Health/Check";
inline constexpr std::string_view kHealthWatch = "grpc.health.v1.Health/Watch";

inline std::vector<std::string> AllMethods() {
  std::vector<std::string> all;
  for (std::string_view method : {kExecuteAction,      kBatchExecuteActions, kWatchExecution,
                                  kWatchExecutions,    kGetExecution,        kListExecutions,
                                  kListEvents,         kCancelExecution,     kReadLog,
                                  kListActions,        kGetAction,           kListWorkers,
                                  kRetryExecution,     kRollbackExecution,   kExplainExecution,
                                  kListApprovals,      kDecideApproval,      kEmergencyStop,
                                  kListEmergencyStops, kLiftEmergencyStop,   kListTargets,
                                  kClearTargetBlock,   kListPolicyDecisions, kVerifyAudit,
                                  kSetProjectBudget,   kListProjectBudgets,  kRunTask,
                                  kPauseExecution,     kResumeExecution,     kReadTranscript,
                                  kListWorkflows,      kGetWorkflow,         kPutWorkflow,
                                  kHealthCheck,        kHealthWatch}) {
    all.emplace_back(method);
  }
  return all;
}

}  // namespace capstan::server
