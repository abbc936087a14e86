// Keeps this worker alive in the store and gives it work: one thread that sends heartbeats, adopts
// or drops what the store says it holds, and claims ready leases; another that looks after the
// others (lost workers, parked executions that are due or no longer stopped, the sweep). Registers
// again under a new id when it was declared dead.
#pragma once

#include <map>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "core/telemetry/store_metrics.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/feed.h"
#include "storage/lease_store.h"
#include "worker/fence.h"
#include "worker/held_set.h"
#include "worker/thread_pool.h"

namespace capstan::worker {

struct KeeperOptions {
  storage::WorkerInfo info;
  absl::Duration lease_ttl = absl::Seconds(15);
  absl::Duration heartbeat = absl::Seconds(3);
  // Longest wait between two looks for work; the feed wakes it earlier.
  absl::Duration poll = absl::Seconds(1);
  // A step of the pool that runs longer than this stops the heartbeat, so that others take the work
  // over.
  absl::Duration stuck_after = absl::Minutes(2);
  int wake_limit = 1000;
  int sweep_slice = 1000;
  int unstopped_slice = 200;
};

// Thread-safe. Owned by main.cc.
class Keeper {
 public:
  // `advancers`: one for each queue that this worker takes work from.
  Keeper(storage::LeaseStore& leases, HeldSet& held, std::vector<Advancer*> advancers,
         ThreadPool& pool, Fence& fence, Clock& clock, telemetry::StoreMetrics& metrics,
         KeeperOptions options);
  ~Keeper();  // as Stop(0)

  // Registers (UNAVAILABLE: the database is away; try again) and starts the threads.
  absl::Status Start();

  // Takes nothing new, waits until steps in progress have ended (at most `drain_timeout`; three
  // quarters of it for what must not be stopped half way, while all else goes on), gives back what
  // is held without counting a takeover, and says good-bye. Idempotent.
  void Stop(absl::Duration drain_timeout);

  // From the feed: there may be work, or signals for what is held.
  void OnFeed(const std::vector<storage::FeedRow>& rows);

  // OK while heartbeats arrive: for /readyz.
  absl::Status CheckReady() const;

 private:
  void Beat(std::stop_token stop);
  bool Heartbeat();
  void Adopt(const WorkerId& worker, HeldSet::Missing missing);
  void Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions);
  Advancer* AdvancerOf(storage::Queue queue) const;
  void Claim();
  void LookAfterOthers(std::stop_token stop);
  bool Woken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return work_ || stopping_; }

  storage::LeaseStore& leases_;
  HeldSet& held_;
  const std::vector<Advancer*> advancers_;
  ThreadPool& pool_;
  Fence& fence_;
  Clock& clock_;
  telemetry::StoreMetrics& metrics_;
  const KeeperOptions options_;

  mutable absl::Mutex mu_;
  WorkerId worker_ ABSL_GUARDED_BY(mu_);
  bool work_ ABSL_GUARDED_BY(mu_) = true;  // there may be something to claim
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::map<ExecutionId, storage::LeaseRef> missing_;  // let go and to be loaded; of beat_'s thread
  std::jthread beat_;
  std::jthread others_;
};

}  // namespace capstan::worker
