#include "worker/keeper.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/log.h"
#include "core/status_macros.h"

namespace capstan::worker {

Keeper::Keeper(storage::LeaseStore& leases, HeldSet& held, std::vector<Advancer*> advancers,
               ThreadPool& pool, Fence& fence, Clock& clock, telemetry::StoreMetrics& metrics,
               KeeperOptions options)
    : leases_(leases),
      held_(held),
      advancers_(std::move(advancers)),
      pool_(pool),
      fence_(fence),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)) {}

Keeper::~Keeper() { Stop(absl::ZeroDuration()); }

absl::Status Keeper::Start() {
  const absl::Duration sent = clock_.BootTime();
  absl::StatusOr<WorkerId> worker = leases_.Register(options_.info);
  if (!worker.ok()) return worker.status();
  fence_.Extend(sent);
  {
    absl::MutexLock lock(&mu_);
    worker_ = *worker;
  }
  Log(Level::kInfo, "worker registered", {{"worker", worker->ToString()}});
  beat_ = std::jthread([this](std::stop_token stop) { Beat(stop); });
  others_ = std::jthread([this](std::stop_token stop) { LookAfterOthers(stop); });
  return absl::OkStatus();
}

void Keeper::Stop(absl::Duration drain_timeout) {
  WorkerId worker;
  {
    absl::MutexLock lock(&mu_);
    if (std::exchange(stopped_, true) || worker_.IsNone()) return;
    worker = worker_;
  }
  (void)leases_.SetDraining(worker);  // only tells people; what counts is here
  std::stop_source never;
  const absl::Duration began = clock_.BootTime();
  for (Advancer* advancer : advancers_) advancer->Leave();
  const auto must_end = [](const Advancer* advancer) { return advancer->MustEnd(); };
  while (std::any_of(advancers_.begin(), advancers_.end(), must_end) &&
         clock_.BootTime() < began + drain_timeout * 3 / 4) {
    clock_.SleepFor(absl::Milliseconds(20), never.get_token());
  }
  held_.Freeze();
  const absl::Duration until = began + drain_timeout;
  while (held_.Busy() > 0 && clock_.BootTime() < until) {
    clock_.SleepFor(absl::Milliseconds(20), never.get_token());
  }
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  beat_.request_stop();
  others_.request_stop();
  if (beat_.joinable()) beat_.join();
  if (others_.joinable()) others_.join();
  fence_.Close();
  const int given_back = held_.Size();
  held_.DropAll();
  for (Advancer* advancer : advancers_) advancer->AwaitIdle();
  const absl::Status gone = leases_.Deregister(worker);
  Log(gone.ok() ? Level::kInfo : Level::kWarning, "worker stopped",
      {{"worker", worker.ToString()}, {"given_back", given_back}, {"status", gone.ToString()}});
}

void Keeper::OnFeed(const std::vector<storage::FeedRow>& rows) {
  std::vector<ExecutionId> signalled;
  for (const storage::FeedRow& row : rows) {
    if (row.kind != storage::FeedKind::kSignal) continue;
    for (const auto& [id, number] : row.reached) signalled.push_back(id);
  }
  for (const ExecutionId& id : signalled) {
    const HeldPtr held = held_.Find(id);
    if (held != nullptr) AdvancerOf(held->queue)->OnSignal(held);
  }
  absl::MutexLock lock(&mu_);
  work_ = true;
}

absl::Status Keeper::CheckReady() const {
  if (fence_.MayAct()) return absl::OkStatus();
  return absl::UnavailableError("no heartbeat has arrived for most of the lease time");
}

void Keeper::Beat(std::stop_token stop) {
  absl::Duration next_beat = clock_.BootTime() + options_.heartbeat;
  while (!stop.stop_requested()) {
    if (clock_.BootTime() >= next_beat) {
      const bool stuck = pool_.LongestRunning() > options_.stuck_after;
      if (stuck) {
        Log(Level::kError,
            "a step has been running for too long; heartbeats stop so that others take over",
            {{"limit", absl::FormatDuration(options_.stuck_after)}});
      }
      const bool alive = !stuck && Heartbeat();
      if (!alive && !fence_.MayAct()) held_.DropAll();
      next_beat = clock_.BootTime() + options_.heartbeat;
    }
    {
      absl::MutexLock lock(&mu_);
      work_ = false;
    }
    Claim();
    const absl::Duration wait = std::min(options_.poll, next_beat - clock_.BootTime());
    absl::MutexLock lock(&mu_);
    mu_.AwaitWithTimeout(absl::Condition(this, &Keeper::Woken),
                         std::max(wait, absl::ZeroDuration()));
  }
}

bool Keeper::Heartbeat() {
  WorkerId worker;
  {
    absl::MutexLock lock(&mu_);
    worker = worker_;
  }
  const absl::Duration sent = clock_.BootTime();
  const absl::StatusOr<std::vector<storage::LeaseRef>> held = leases_.Heartbeat(worker);
  if (held.ok()) {
    fence_.Extend(sent);
    Adopt(worker, held_.Reconcile(*held));
    return true;
  }
  if (!absl::IsFailedPrecondition(held.status())) return false;
  Log(Level::kWarning, "this worker was declared dead; it begins anew under another id",
      {{"worker", worker.ToString()}});
  fence_.Close();
  held_.DropAll();
  absl::StatusOr<WorkerId> again = leases_.Register(options_.info);
  if (!again.ok()) return false;
  fence_.Extend(sent);
  absl::MutexLock lock(&mu_);
  worker_ = *again;
  return true;
}

// Leases of ours of which nothing is known here: the answer to a claim was lost, or they were
// dropped when this worker could not be sure of them. Single executions were let go for that
// reason.
void Keeper::Adopt(const WorkerId& worker, HeldSet::Missing missing) {
  for (const auto& [id, lease] : missing.executions) missing_.insert_or_assign(id, lease);
  if (!missing.leases.empty()) {
    absl::StatusOr<std::vector<storage::HeldExecution>> found =
        leases_.Load(worker, missing.leases, {});
    if (found.ok()) Hold(worker, *std::move(found));
  }
  if (missing_.empty()) return;
  std::set<storage::LeaseRef> leases;
  std::vector<ExecutionId> ids;
  for (const auto& [id, lease] : missing_) {
    ids.push_back(id);
    leases.insert(lease);
  }
  absl::StatusOr<std::vector<storage::HeldExecution>> found =
      leases_.Load(worker, std::vector(leases.begin(), leases.end()), ids);
  if (!found.ok()) return;  // with the next heartbeat
  missing_.clear();
  Hold(worker, *std::move(found));
}

void Keeper::Claim() {
  WorkerId worker;
  {
    absl::MutexLock lock(&mu_);
    if (stopped_) return;
    worker = worker_;
  }
  for (Advancer* advancer : advancers_) {
    while (fence_.MayAct()) {
      const int slots = advancer->FreeSlots();
      if (slots == 0) break;
      absl::StatusOr<std::vector<storage::HeldExecution>> claimed =
          leases_.Claim(worker, advancer->queue(), slots);
      // A lost answer is found by the next heartbeat, a dead worker too.
      if (!claimed.ok() || claimed->empty()) break;
      advancer->Hold(worker, *std::move(claimed));
    }
  }
}

Advancer* Keeper::AdvancerOf(storage::Queue queue) const {
  const auto found = std::find_if(advancers_.begin(), advancers_.end(),
                                  [&](const Advancer* one) { return one->queue() == queue; });
  CAPSTAN_CHECK(found != advancers_.end());  // it takes from no other queue
  return *found;
}

void Keeper::Hold(const WorkerId& worker, std::vector<storage::HeldExecution> executions) {
  std::map<storage::Queue, std::vector<storage::HeldExecution>> by_queue;
  for (storage::HeldExecution& one : executions) by_queue[one.queue].push_back(std::move(one));
  for (auto& [queue, some] : by_queue) AdvancerOf(queue)->Hold(worker, std::move(some));
}

void Keeper::LookAfterOthers(std::stop_token stop) {
  while (!stop.stop_requested()) {
    WorkerId worker;
    {
      absl::MutexLock lock(&mu_);
      worker = worker_;
    }
    // The store trusts a heartbeat's standing still only as far as it has looked without a gap.
    const absl::Duration longest = std::min(options_.poll, options_.lease_ttl / 6);
    absl::Duration wait = longest;
    if (const auto woken = leases_.WakeDue(options_.wake_limit); woken.ok()) {
      wait = std::clamp(woken->next_due, absl::Milliseconds(10), longest);
      if (woken->count > 0) {
        absl::MutexLock lock(&mu_);
        work_ = true;
      }
    }
    if (const auto woken = leases_.WakeUnstopped(options_.unstopped_slice);
        woken.ok() && *woken > 0) {
      absl::MutexLock lock(&mu_);
      work_ = true;
    }
    if (const auto taken = leases_.ReapLostWorkers(worker, options_.lease_ttl);
        taken.ok() && *taken > 0) {
      metrics_.lease_takeovers.Increment(*taken);
      Log(Level::kWarning, "leases taken over from lost workers", {{"leases", *taken}});
      absl::MutexLock lock(&mu_);
      work_ = true;
    }
    if (const auto swept = leases_.Sweep(options_.sweep_slice); swept.ok() && *swept > 0) {
      metrics_.executions_swept.Increment(*swept);
      Log(Level::kError,
          "executions had neither a lease nor a reason to wait and were leased again",
          {{"executions", *swept}});
    }
    clock_.SleepFor(wait, stop);
  }
}

}  // namespace capstan::worker
