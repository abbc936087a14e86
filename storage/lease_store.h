// What a worker does with leases: register, heartbeat, claim, take over, give back. Blocking calls,
// each with the statement timeout; thread-safe (calls are serialised per connection; heartbeats
// have their own connection).
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/types.h"

namespace capstan::storage {

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;

  virtual absl::StatusOr<WorkerId> Register(const WorkerInfo& info) = 0;

  // Proves that the worker lives, and returns all leases held in its name (adopt unknown ones by
  // Load, drop missing ones). FAILED_PRECONDITION: marked dead; stop everything and register again.
  // UNAVAILABLE: not known to have arrived.
  virtual absl::StatusOr<std::vector<LeaseRef>> Heartbeat(const WorkerId& worker) = 0;

  // Takes whole ready leases in order (priority, then age) while their executions fit into
  // `free_slots` (the first always fits when free_slots > 0), then loads their executions in a
  // second statement. Empty when there is nothing to do.
  virtual absl::StatusOr<std::vector<HeldExecution>> Claim(const WorkerId& worker, Queue queue,
                                                           int free_slots) = 0;

  // Reads the executions of leases held by `worker` again; those that no longer name their lease
  // are missing in the answer. `only` limits it to some executions; empty means all.
  virtual absl::StatusOr<std::vector<HeldExecution>> Load(const WorkerId& worker,
                                                          absl::Span<const LeaseRef> leases,
                                                          absl::Span<const ExecutionId> only) = 0;

  // Says that the worker takes nothing new; its leases stay.
  virtual absl::Status SetDraining(const WorkerId& worker) = 0;

  // Gives leases back unowned without counting a takeover (drain), for what was not finished.
  virtual absl::Status Release(const WorkerId& worker, absl::Span<const LeaseRef> leases) = 0;

  // Good-bye: marks the worker dead at once and gives back what it still holds, without counting a
  // takeover.
  virtual absl::Status Deregister(const WorkerId& worker) = 0;

  // One round of watching the others: marks workers dead whose heartbeat_at this object has itself
  // seen unchanged for `ttl` (boot clock) while at least the database answered, then in another
  // transaction makes their leases unowned with epoch + 1 and takeovers + 1, splitting leases that
  // were taken over three times. Returns how many leases were freed.
  virtual absl::StatusOr<int> ReapLostWorkers(const WorkerId& self, absl::Duration ttl) = 0;

  // Wakes parked executions that are due, at most `limit`. Returns how many, and when the next one
  // is due (infinite if none).
  struct Woken {
    int count = 0;
    absl::Duration next_due = absl::InfiniteDuration();
  };
  virtual absl::StatusOr<Woken> WakeDue(int limit) = 0;

  // Looks at the next `slice` of what waits for an emergency stop, and wakes what none in force
  // covers: whoever lifted the stop did not get to that. Returns how many. While a stop of a worker
  // is in force all of it is left alone, since nobody knows what that one holds.
  virtual absl::StatusOr<int> WakeUnstopped(int slice) = 0;

  // Looks at the next slice of executions for any that is not terminal and has neither lease nor
  // parked row; leases it again and returns how many. 0 in a correct system.
  virtual absl::StatusOr<int> Sweep(int slice) = 0;

  // Signals of one execution above `after`, in order.
  virtual absl::StatusOr<std::vector<Signal>> ReadSignals(const ExecutionId& id,
                                                          std::int32_t after) = 0;

  // The database's clock as known here (offset measured with each heartbeat and claim): what
  // deadlines are compared with.
  virtual absl::Time DatabaseNow() = 0;

  // Where a target stands; one without a row when nothing was ever known of it.
  virtual absl::StatusOr<TargetRow> ReadTarget(const std::string& key) = 0;

  // The executions of a parent that are in flight, and the first `limit` of those in line.
  virtual absl::StatusOr<ParentLine> ReadParent(const std::string& parent, int limit) = 0;

  // Launches in a namespace within `window`, whether a request succeeded as a dry run, and how many
  // executions other than the one that asks hold a target.
  virtual absl::StatusOr<SurroundingsRow> ReadSurroundings(const std::string& name_space,
                                                           absl::Duration window,
                                                           const std::string& dry_run_key,
                                                           const ExecutionId& asking) = 0;

  // Emergency stops in force, newest first.
  virtual absl::StatusOr<std::vector<StopRow>> StopsInForce() = 0;

  // Stored artifact; NOT_FOUND.
  virtual absl::StatusOr<NewArtifact> ReadArtifact(const ExecutionId& id,
                                                   std::string_view name) = 0;
};

}  // namespace capstan::storage
