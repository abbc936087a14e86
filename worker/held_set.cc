#include "worker/held_set.h"

#include <algorithm>
#include <set>
#include <utility>

namespace capstan::worker {

bool HeldSet::Add(const WorkerId& worker, const HeldPtr& held) {
  absl::MutexLock lock(&mu_);
  worker_ = worker;
  const bool added = held_.try_emplace(held->id, held).second;
  metrics_.executions_held.Set(static_cast<double>(held_.size()));
  return added;
}

HeldPtr HeldSet::Find(const ExecutionId& id) const {
  absl::MutexLock lock(&mu_);
  const auto found = held_.find(id);
  return found == held_.end() ? nullptr : found->second;
}

void HeldSet::Post(const HeldPtr& held, std::function<void()> work) {
  {
    absl::MutexLock lock(&mu_);
    if (held->dropped_ || frozen_) return;
    held->inbox_.push_back(std::move(work));
    if (held->busy_) return;
    held->busy_ = true;
  }
  pool_.Add([this, held] { Advance(held); });
}

void HeldSet::PostAfter(absl::Duration delay, const HeldPtr& held, std::function<void()> work) {
  pool_.AddAfter(delay, [this, held, work = std::move(work)] { Post(held, work); });
}

void HeldSet::Advance(const HeldPtr& held) {
  while (true) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mu_);
      if (held->dropped_ || frozen_ || held->inbox_.empty()) {
        held->busy_ = false;
        return;
      }
      work = std::move(held->inbox_.front());
      held->inbox_.pop_front();
    }
    work();
  }
}

void HeldSet::Drop(const HeldPtr& held) {
  {
    absl::MutexLock lock(&mu_);
    if (held->dropped_) return;
    held->dropped_ = true;
    held->inbox_.clear();
    const auto found = held_.find(held->id);
    if (found != held_.end() && found->second == held) held_.erase(found);
    metrics_.executions_held.Set(static_cast<double>(held_.size()));
  }
  held->OnDrop();
}

void HeldSet::LetGo(const HeldPtr& held) {
  {
    absl::MutexLock lock(&mu_);
    if (held->dropped_) return;
    let_go_.insert_or_assign(held->id, held->lease);
  }
  Drop(held);
}

bool HeldSet::IsDropped(const HeldPtr& held) const {
  absl::MutexLock lock(&mu_);
  return held->dropped_;
}

bool HeldSet::MayAct(const HeldPtr& held) const { return fence_.MayAct() && !IsDropped(held); }

HeldSet::Missing HeldSet::Reconcile(const std::vector<storage::LeaseRef>& stored) {
  const std::set<storage::LeaseRef> all(stored.begin(), stored.end());
  std::set<storage::LeaseRef> unknown = all;
  std::vector<HeldPtr> lost;
  Missing missing;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, held] : held_) {
      unknown.erase(held->lease);
      if (!all.contains(held->lease)) lost.push_back(held);
    }
    std::swap(missing.executions, let_go_);
  }
  for (const HeldPtr& held : lost) {
    metrics_.leases_lost.Increment();
    Drop(held);
  }
  metrics_.leases_held.Set(static_cast<double>(all.size()));
  missing.leases.assign(unknown.begin(), unknown.end());
  std::erase_if(missing.executions, [&](const auto& one) {
    return !all.contains(one.second) || unknown.contains(one.second);
  });
  return missing;
}

void HeldSet::DropAll() {
  std::vector<HeldPtr> all;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, held] : held_) all.push_back(held);
  }
  for (const HeldPtr& held : all) Drop(held);
}

void HeldSet::Freeze() {
  absl::MutexLock lock(&mu_);
  frozen_ = true;
}

bool HeldSet::frozen() const {
  absl::MutexLock lock(&mu_);
  return frozen_;
}

int HeldSet::Busy() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(std::count_if(held_.begin(), held_.end(),
                                        [](const auto& item) { return item.second->busy_; }));
}

int HeldSet::Size() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(held_.size());
}

int HeldSet::Size(storage::Queue queue) const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(std::count_if(
      held_.begin(), held_.end(), [&](const auto& item) { return item.second->queue == queue; }));
}

WorkerId HeldSet::worker() const {
  absl::MutexLock lock(&mu_);
  return worker_;
}

}  // namespace capstan::worker
