// What a worker needs to run tasks, from its configuration.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "capstan/config/v1/worker_config.pb.h"
#include "core/catalog/catalog.h"
#include "core/redact.h"
#include "worker/git/workspaces.h"
#include "worker/phases/phase_engine.h"
#include "worker/process/process.h"
#include "worker/task/task_effects.h"
#include "worker/task/task_runner.h"

namespace capstan::worker {

// The worker's other parts; all of them outlive this.
struct TaskSurroundings {
  storage::Committer& committer;
  storage::LeaseStore& leases;
  storage::TaskStore& store;
  const catalog::Catalog& catalog;
  policy::PolicyEngine& policy;
  HeldSet& held;
  ThreadPool& pool;
  Clock& clock;
  const telemetry::Tracer& tracer;
  telemetry::WorkerMetrics& metrics;
};

class TaskParts {
 public:
  // Null: the configuration names no tasks.workspace_dir. Errors stop start-up and name the field.
  static absl::StatusOr<std::unique_ptr<TaskParts>> Make(const config::v1::WorkerConfig& config,
                                                         const TaskSurroundings& around);

  TaskRunner& runner() { return *runner_; }

 private:
  explicit TaskParts(Redactor redactor) : redactor_(std::move(redactor)) {}

  const Redactor redactor_;
  StepOptions steps_;
  std::unique_ptr<HttpCalls> http_;
  std::unique_ptr<process::Runner> processes_;
  std::vector<std::unique_ptr<phases::PhaseEngine>> engines_;
  phases::PhaseEngines by_name_;
  std::unique_ptr<git::Workspaces> workspaces_;
  std::unique_ptr<TaskEffects> effects_;
  std::unique_ptr<TaskRunner> runner_;
};

}  // namespace capstan::worker
