// Checks a request to run a task. Pure; as validate.h.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "capstan/v1/admin_service.pb.h"
#include "capstan/v1/execution_service.pb.h"
#include "capstan/v1/workflow.pb.h"
#include "core/catalog/catalog.h"

namespace capstan::server {

inline constexpr std::size_t kMaxTaskIdBytes = 128;
inline constexpr std::size_t kMaxTaskTitleBytes = 512;
inline constexpr std::size_t kMaxTaskTextBytes = 64 * 1024;
inline constexpr std::size_t kMaxTaskSpecBytes = 128 * 1024;
inline constexpr int kMaxTaskInputs = 64;
inline constexpr int kMaxTaskCommands = 32;
inline constexpr int kMaxTaskCriteria = 64;
inline constexpr absl::Duration kMaxTaskTimeout = absl::Hours(7 * 24);

// Which definition a request names.
struct WorkflowName {
  std::string name;
  std::string digest;  // empty: the current one
};

// Everything that does not need the definition.
absl::StatusOr<WorkflowName> CheckRunTask(const v1::RunTaskRequest& request);

// What the definition asks of the request. FAILED_PRECONDITION (SPEC_REQUIRED).
absl::Status CheckAgainst(const v1::RunTaskRequest& request, const v1::Workflow& workflow);

// That the actions which its steps submit exist, and have the parameters that are given. (Values
// are known when a step begins.)
absl::Status CheckActions(const v1::Workflow& workflow, const catalog::Catalog& catalog);

// "workflows/{name}" or "workflows/{name}@{digest}".
absl::StatusOr<WorkflowName> CheckWorkflowName(std::string_view name);

absl::Status CheckPause(const std::string& reason);
absl::Status CheckReadTranscript(const v1::ReadTranscriptRequest& request);
absl::Status CheckSetProjectBudget(const v1::SetProjectBudgetRequest& request);
absl::Status CheckPutWorkflow(const std::string& yaml, const std::string& file);

}  // namespace capstan::server
