// Advances the tasks this worker holds: asks the task machine, stores its transition in one fenced
// commit, starts the iterations it wants, and feeds what comes of them back in. Each iteration that
// runs has a thread of its own; a task that waits has none, and no lease.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "core/task/task_machine.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/committer.h"
#include "storage/lease_store.h"
#include "storage/task_store.h"
#include "worker/fence.h"
#include "worker/held_set.h"
#include "worker/task/definitions.h"
#include "worker/task/step_kind.h"
#include "worker/task/task_effects.h"
#include "worker/task/transcript.h"
#include "worker/task/variables.h"

namespace capstan::worker {

struct TaskRunnerOptions {
  int max_tasks = 8;
  // After a read of signals that failed.
  absl::Duration signal_retry = absl::Seconds(1);
  // While iterations of an earlier hold of the same task are on their way out.
  absl::Duration start_retry = absl::Milliseconds(100);
  // Names of environment variables that workflows may read, with their values.
  std::map<std::string, std::string> environment;
};

// Thread-safe. Owned by main.cc. Everything it borrows must outlive it.
class TaskRunner final : public Advancer {
 public:
  TaskRunner(storage::Committer& committer, storage::LeaseStore& leases, storage::TaskStore& store,
             TaskEffects& effects, StepTools tools, HeldSet& held, ThreadPool& pool, Clock& clock,
             const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
             TaskRunnerOptions options);
  // Stops and waits for what runs.
  ~TaskRunner() override;

  storage::Queue queue() const override { return storage::Queue::kTask; }
  int FreeSlots() const override;
  void Leave() override { leaving_ = true; }
  // A program that may not be run again runs, or how it ended is not stored yet.
  bool MustEnd() const override { return unrepeatable_.use_count() > 1; }
  void AwaitIdle() override;
  void Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) override;
  void OnSignal(const HeldPtr& held) override;

 private:
  // The step, and whether it is its gate that is worked on: both can be at the same time.
  using WorkName = std::pair<std::string, bool>;
  // An iteration that is being worked on, or what is run beside them.
  struct Working {
    int attempt = 0;
    int iteration = 0;
    std::stop_source stop;
  };
  // One held task. `working` belongs to the runner's mutex; everything else to whoever advances it.
  struct Run final : Held {
    Run(const storage::HeldExecution& held, TaskRunner& runner)
        : Held(held.id, held.lease, held.queue), runner(runner) {}
    void OnDrop() override { runner.StopAll(*this); }

    TaskRunner& runner;
    int takeovers = 0;
    bool alone = false;
    int signals = 0;
    absl::Time create_time;
    task::Task task;
    std::shared_ptr<const v1::Workflow> workflow;
    std::shared_ptr<Transcript> transcript;
    absl::Mutex workspace_mu;  // held while it is opened, and while work in it is kept
    bool workspace_open = false;
    telemetry::Span span;  // claim until let go
    std::map<WorkName, Working> working;
  };
  using RunPtr = std::shared_ptr<Run>;

  // An input with what is stored with it.
  struct Fed {
    task::Input input;
    std::optional<TaskDecision> decision = std::nullopt;
    std::vector<storage::NewArtifact> artifacts = {};
    std::optional<storage::NewChild> child = std::nullopt;
  };

  void Start(const RunPtr& run);
  bool IsOnItsWayOut(const ExecutionId& id) const;
  static bool Waits(const Run& run);
  void FeedSignals(const RunPtr& run);
  absl::Status Load(Run& run);
  absl::Status LoadAnswers(Run& run);
  void Feed(const RunPtr& run, Fed fed);
  enum class Stored { kYes, kAskAgain, kDropped };
  // kAskAgain: `todo` begins with what has to be decided first.
  Stored Store(const RunPtr& run, const task::Transition& transition, std::deque<Fed>& todo);
  storage::Commit CommitOf(const Run& run, const task::Transition& transition,
                           const Fed& fed) const;
  absl::Status LookAtStops(Run& run);
  absl::Status LookAtProject(Run& run);
  storage::LaunchScope LaunchScopeOf() const;
  bool Reload(const RunPtr& run);
  absl::StatusOr<task::Signalled> ReadSignals(const Run& run);
  void Took(Run& run, const task::Transition& transition, const Fed& fed);
  void Count(const Run& run, const task::Transition& transition);
  void WarnOf(const Run& run, const v1::BudgetWarning& warning) const;
  // Does what a transition asks for; what has come of it at once.
  std::optional<Fed> Perform(const RunPtr& run, const task::Transition& transition);
  void Finished(const RunPtr& run, const task::Transition& transition);

  // A thread for work of a name, unless the very same is being done already. `prepare` is called at
  // once, what it gives on the thread; what comes of that is fed in. `must_end`: held until it is
  // stored.
  using Job = std::function<Fed(std::stop_token stop)>;
  void Launch(const RunPtr& run, const WorkName& name, int attempt, int iteration,
              const std::function<Job()>& prepare, std::shared_ptr<int> must_end = nullptr);
  void StartIteration(const RunPtr& run, const task::StepRun& step);
  void StartTriggers(const RunPtr& run);
  std::optional<Fed> StartPutAway(const RunPtr& run);
  std::vector<v1::TriggerRan> RunTriggersOf(const RunPtr& run, StepContext context,
                                            v1::WorkflowTrigger::When when, std::stop_token stop);
  void StopIteration(const RunPtr& run, const WorkName& name);
  void StopAll(Run& run);
  StepContext ContextOf(const Run& run) const;
  // What is known for a step, with its values; `end`: also how the task ends.
  static void AddValues(const Run& run, bool end, StepContext& context);
  StepContext ContextOf(const Run& run, const task::StepRun& step) const;
  Fed Work(const RunPtr& run, StepContext context, std::stop_token stop);
  StepResult WorkInWorkspace(const RunPtr& run, StepContext& context, std::stop_token stop);
  StepResult WorkOn(StepContext& context, IterationTranscript& transcript, std::stop_token stop);
  StepResult WorkUnless(const std::optional<std::string>& no, StepContext& context,
                        std::vector<std::string>& warnings, IterationTranscript& transcript,
                        std::stop_token stop);
  absl::Status OpenWorkspace(Run& run, const StepContext& context);
  static bool RunsScript(const StepContext& context);
  void Checkpoint(Run& run, const StepContext& context, StepResult& result);
  bool NoneWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return threads_.empty(); }

  storage::Committer& committer_;
  storage::LeaseStore& leases_;
  storage::TaskStore& store_;
  TaskEffects& effects_;
  const StepTools tools_;
  HeldSet& held_;
  ThreadPool& pool_;
  Clock& clock_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  const TaskRunnerOptions options_;
  Definitions definitions_;
  VariableSources variables_;
  const StepKinds kinds_;
  const std::unique_ptr<StepKind> gate_;

  std::atomic<bool> leaving_ = false;
  // Shared with the programs that may not be run again, as long as they must not be stopped.
  const std::shared_ptr<int> unrepeatable_ = std::make_shared<int>();

  mutable absl::Mutex mu_;
  // Iterations that run, also those that were stopped and are on their way out.
  std::map<ExecutionId, int> threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::worker
