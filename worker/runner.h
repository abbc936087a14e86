// Advances the actions this worker holds. For each: ask the machine, store its transition in one
// fenced commit, do the effect, feed the result back. One execution is advanced by one thread at a
// time; one that waits for its Job, a timer or a signal occupies no thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "core/machine/action_machine.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/committer.h"
#include "storage/lease_store.h"
#include "worker/action_effects.h"
#include "worker/fence.h"
#include "worker/held_set.h"
#include "worker/kubernetes/job_watch.h"
#include "worker/log_copier.h"

namespace capstan::worker {

struct RunnerOptions {
  int max_executions = 256;
  // Executions of one parent that are in flight at once, over all workers; 0: any number.
  int per_parent_in_flight = 5;
  absl::Duration start_deadline = absl::Seconds(120);
  absl::Duration log_interval = absl::Seconds(2);
  // After a read of signals (a cancel) that failed.
  absl::Duration signal_retry = absl::Seconds(1);
  // How long after its own deadline a Job that cannot be observed is given up, and how long
  // removing one may take.
  absl::Duration give_up = absl::Minutes(10);
};

// Thread-safe. Owned by main.cc. Everything it borrows must outlive it.
class Runner final : public Advancer {
 public:
  Runner(storage::Committer& committer, storage::LeaseStore& leases, ActionEffects& effects,
         kubernetes::JobWatch& watch, kubernetes::Client& client, HeldSet& held, Fence& fence,
         Clock& clock, const telemetry::Tracer& tracer, telemetry::WorkerMetrics& metrics,
         RunnerOptions options);

  storage::Queue queue() const override { return storage::Queue::kAction; }
  int FreeSlots() const override;
  void Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) override;
  void OnSignal(const HeldPtr& held) override;

 private:
  enum class Wake { kStart, kSignal, kEffect, kObserve, kStartDeadline, kCopyLog };
  struct Task {
    Wake wake = Wake::kStart;
    machine::Effect effect = machine::Effect::kNone;
  };
  // One held action. `seen`, `pods_seen` and `subscription` belong to the runner's mutex;
  // everything else to whoever advances it.
  struct Run final : Held {
    Run(const storage::HeldExecution& held, Runner& runner)
        : Held(held.id, held.lease, held.queue), runner(runner) {}
    void OnDrop() override { runner.StopWatch(*this); }

    Runner& runner;
    int takeovers = 0;
    bool alone = false;
    int signals = 0;
    absl::Time create_time;
    machine::Action action;
    std::string rendered_job;
    std::uint64_t subscription = 0;
    std::optional<kubernetes::JobObservation> seen;  // latest from the watch
    std::vector<nlohmann::json> pods_seen;           // latest from the watch that were there
    absl::Duration watching_since;
    absl::Duration removing_since = absl::InfiniteDuration();
    bool start_overdue = false;
    LogCopier log;
    telemetry::Span span;                          // claim until let go
    telemetry::Span wait_span;                     // armed until finished
    std::map<std::string, absl::Duration> stages;  // for the summary line
  };
  using RunPtr = std::shared_ptr<Run>;

  void Post(const RunPtr& run, Task task);
  void PostAfter(absl::Duration delay, const RunPtr& run, Task task);
  void Do(const RunPtr& run, const Task& task);
  // `validation`: what a Validated input came with.
  void Feed(const RunPtr& run, machine::Input input,
            std::optional<Validation> validation = std::nullopt);
  // Stores the transition. kAskAgain: `input` was replaced by what has to be decided first.
  // kDropped: the execution is no longer ours.
  enum class Stored { kYes, kAskAgain, kDropped };
  Stored Store(const RunPtr& run, machine::Transition& transition, machine::Input& input,
               std::optional<Validation>& validation);
  storage::Commit CommitOf(const Run& run, const machine::Transition& transition,
                           const std::optional<Validation>& validation) const;
  Stored AskAnew(const RunPtr& run, machine::Input& input);
  static machine::Input ResumedOf(const Run& run);
  // Why a step was not stored, put into the input that it is decided from again.
  absl::Status LookAtTarget(const Run& run, machine::Input& input);
  absl::Status LookAtParent(const Run& run, machine::Input& input);
  absl::Status LookAtStops(const Run& run, const machine::Transition& transition,
                           machine::Input& input);
  storage::LaunchScope LaunchScopeOf(const Run& run) const;
  Surroundings SurroundingsOf(const Run& run);
  bool Reload(const RunPtr& run);
  absl::StatusOr<machine::Signalled> ReadSignals(const Run& run);
  std::optional<machine::Input> Perform(const RunPtr& run, machine::Effect effect,
                                        std::optional<Validation>& validation);
  void BeginWatch(const RunPtr& run);
  void StopWatch(Run& run);
  void OnObservation(const RunPtr& run, const kubernetes::JobObservation& seen);
  std::optional<machine::Input> LookAtJob(const RunPtr& run);
  absl::Status CopyLog(const RunPtr& run, const kubernetes::JobObservation& job, bool ended);
  void Finished(const RunPtr& run, const machine::Transition& transition);

  storage::Committer& committer_;
  storage::LeaseStore& leases_;
  ActionEffects& effects_;
  kubernetes::JobWatch& watch_;
  kubernetes::Client& client_;
  HeldSet& held_;
  Fence& fence_;
  Clock& clock_;
  const telemetry::Tracer& tracer_;
  telemetry::WorkerMetrics& metrics_;
  const RunnerOptions options_;

  mutable absl::Mutex mu_;
  int watched_ ABSL_GUARDED_BY(mu_) = 0;  // Jobs
};

}  // namespace capstan::worker
