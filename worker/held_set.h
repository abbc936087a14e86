// What this worker holds: executions under leases. Each is advanced by one thread at a time; one
// that waits occupies none. Knows nothing of actions or tasks: whoever advances them derives from
// Held.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/ids.h"
#include "core/telemetry/worker_metrics.h"
#include "storage/types.h"
#include "worker/fence.h"
#include "worker/thread_pool.h"

namespace capstan::worker {

// One held execution. Shared with delayed work and callbacks, which may come after a drop.
class Held {
 public:
  Held(const ExecutionId& id, const storage::LeaseRef& lease, storage::Queue queue)
      : id(id), lease(lease), queue(queue) {}
  virtual ~Held() = default;

  // Let go of whatever it watches or runs: it is no longer this worker's. Called once, from any
  // thread, with no lock held.
  virtual void OnDrop() {}

  const ExecutionId id;
  const storage::LeaseRef lease;
  const storage::Queue queue;

 private:
  friend class HeldSet;
  std::deque<std::function<void()>> inbox_;
  bool busy_ = false;
  bool dropped_ = false;
};
using HeldPtr = std::shared_ptr<Held>;

// Thread-safe. Owned by main.cc; DropAll() before those who advance what it holds are destroyed.
class HeldSet {
 public:
  HeldSet(ThreadPool& pool, Fence& fence, telemetry::WorkerMetrics& metrics)
      : pool_(pool), fence_(fence), metrics_(metrics) {}

  // False: an execution of this id is held already, and stays.
  bool Add(const WorkerId& worker, const HeldPtr& held);
  // Null: it is not held.
  HeldPtr Find(const ExecutionId& id) const;

  // Does `work` on the pool, after what was posted for this execution before. Not when it was
  // dropped meanwhile, or the set is frozen.
  void Post(const HeldPtr& held, std::function<void()> work);
  void PostAfter(absl::Duration delay, const HeldPtr& held, std::function<void()> work);

  // Forgets it: it is no longer ours.
  void Drop(const HeldPtr& held);
  // Forgets what may still be ours: Reconcile tells of it.
  void LetGo(const HeldPtr& held);
  bool IsDropped(const HeldPtr& held) const;
  // By the lease, and not dropped.
  bool MayAct(const HeldPtr& held) const;

  // Compares with the leases that the store says this worker holds, and drops what is held under
  // others. Returns what is to be loaded and held: leases of which nothing is held here, and single
  // executions of leases still ours that were let go (each is told once).
  struct Missing {
    std::vector<storage::LeaseRef> leases;
    std::map<ExecutionId, storage::LeaseRef> executions;
  };
  Missing Reconcile(const std::vector<storage::LeaseRef>& stored);

  // Forgets everything without storing anything: the leases are lost, or may be.
  void DropAll();

  // From now on no new work begins; work in progress ends. For draining.
  void Freeze();
  bool frozen() const;
  // Executions with work in progress.
  int Busy() const;
  int Size() const;
  int Size(storage::Queue queue) const;
  // Under which the last one was taken.
  WorkerId worker() const;

 private:
  void Advance(const HeldPtr& held);

  ThreadPool& pool_;
  Fence& fence_;
  telemetry::WorkerMetrics& metrics_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<ExecutionId, HeldPtr> held_ ABSL_GUARDED_BY(mu_);
  std::map<ExecutionId, storage::LeaseRef> let_go_ ABSL_GUARDED_BY(mu_);
  WorkerId worker_ ABSL_GUARDED_BY(mu_);
  bool frozen_ ABSL_GUARDED_BY(mu_) = false;
};

// Advances the executions of one queue.
class Advancer {
 public:
  virtual ~Advancer() = default;

  virtual storage::Queue queue() const = 0;
  // How many more executions fit.
  virtual int FreeSlots() const = 0;
  // The worker is about to stop: what others can begin as well is left to them.
  virtual void Leave() {}
  // Whether something runs that must not be stopped half way.
  virtual bool MustEnd() const { return false; }
  // Returns when nothing is left that it runs for executions that were dropped: before their leases
  // are given back.
  virtual void AwaitIdle() {}
  // Takes over executions that were just claimed or adopted; those already held are left alone.
  virtual void Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) = 0;
  // Signals may have arrived for one that is held.
  virtual void OnSignal(const HeldPtr& held) = 0;
};

}  // namespace capstan::worker
