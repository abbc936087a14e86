// What the task machine asks for beside the steps, done: the decision of policy, and the workspace.
// Nothing here decides, and nothing here writes to the store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/ids.h"
#include "core/task/task_machine.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "worker/git/workspaces.h"
#include "worker/policy/policy_engine.h"

namespace capstan::worker {

struct TaskEffectsOptions {
  // Folders under which repositories of tasks may lie. Empty: none may be named.
  std::vector<std::string> repositories;
  std::string environment;  // for policy
};

// A decision with what is stored beside it.
struct TaskDecision {
  task::Decided input;
  std::string input_json;
  std::string result_json;
};

// Of an error of a workspace that the next try would meet again; unspecified: it may not.
v1::Execution::FailureReason LastingReasonOf(const absl::Status& status);

// Thread-safe; every call blocks.
class TaskEffects {
 public:
  TaskEffects(policy::PolicyEngine& policy, git::Workspaces& workspaces,
              const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
              TaskEffectsOptions options);

  TaskDecision Decide(const ExecutionId& id, const task::Task& task, absl::Time now,
                      const telemetry::TraceContext& trace);

  // Makes the workspace of a task that has none yet.
  task::Prepared Prepare(const ExecutionId& id, const task::Task& task);
  // The recorded workspace is there, as its branch has it; made again where it is not.
  // `kept`: work of iterations that ended, which the branch does not have; empty: none.
  absl::Status Open(const ExecutionId& id, const v1::Workspace& workspace, const std::string& kept);
  // Commits what was done; empty: nothing was.
  absl::StatusOr<std::string> Checkpoint(const ExecutionId& id, const v1::Workspace& workspace,
                                         const std::string& message);
  // Keeps what was done beside the branch; the name to give to Open, empty when nothing was done.
  absl::StatusOr<std::string> Keep(const ExecutionId& id, const v1::Workspace& workspace);
  // Names the state of the work: the same for the same files. Empty: not known.
  std::string Fingerprint(const ExecutionId& id, const v1::Workspace& workspace);
  // Keeps the work, and removes the folder if the workflow wants that for this end.
  task::PutAway PutAway(const ExecutionId& id, const task::Task& task, bool succeeded);

 private:
  absl::StatusOr<git::Workspace> MakeWorkspace(const ExecutionId& id,
                                               const v1::TaskRequest& request);

  policy::PolicyEngine& policy_;
  git::Workspaces& workspaces_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  const TaskEffectsOptions options_;
};

}  // namespace capstan::worker
