#include "tests/support/kubesim/pod_control.h"

namespace capstan::kubesim {
namespace {

template <class T>
T LastMatch(const std::vector<std::pair<std::string, T>>& rules, const std::string& job,
            T fallback) {
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (job.starts_with(rule->first)) return rule->second;
  }
  return fallback;
}

}  // namespace

void PodControl::SetHeld(const std::string& job_prefix, bool held) {
  absl::MutexLock lock(&mu_);
  held_.emplace_back(job_prefix, held);
}

bool PodControl::Held(const std::string& job) const {
  absl::MutexLock lock(&mu_);
  return LastMatch(held_, job, false);
}

void PodControl::SetFate(const std::string& job_prefix, PodFate fate) {
  absl::MutexLock lock(&mu_);
  fates_.emplace_back(job_prefix, fate);
}

PodFate PodControl::FateOf(const std::string& job) const {
  absl::MutexLock lock(&mu_);
  return LastMatch(fates_, job, PodFate::kRun);
}

void PodControl::SetDeploymentFate(const std::string& namespace_name, const std::string& deployment,
                                   PodFate fate) {
  absl::MutexLock lock(&mu_);
  deployment_fates_[{namespace_name, deployment}] = fate;
}

PodFate PodControl::FateOfDeployment(const std::string& namespace_name,
                                     const std::string& deployment) const {
  absl::MutexLock lock(&mu_);
  auto fate = deployment_fates_.find({namespace_name, deployment});
  return fate == deployment_fates_.end() ? PodFate::kRun : fate->second;
}

void PodControl::AddFinish(FinishRequest request) {
  absl::MutexLock lock(&mu_);
  finishes_.push_back(std::move(request));
}

std::vector<FinishRequest> PodControl::TakeFinishes() {
  absl::MutexLock lock(&mu_);
  return std::exchange(finishes_, {});
}

void PodControl::SetTerminationHeld(bool held) {
  absl::MutexLock lock(&mu_);
  termination_held_ = held;
}

bool PodControl::TerminationHeld() const {
  absl::MutexLock lock(&mu_);
  return termination_held_;
}

void PodControl::SetRolloutHeld(const std::string& namespace_name, const std::string& deployment,
                                bool held) {
  absl::MutexLock lock(&mu_);
  if (held) {
    held_rollouts_.emplace(namespace_name, deployment);
  } else {
    held_rollouts_.erase({namespace_name, deployment});
  }
}

bool PodControl::RolloutHeld(const std::string& namespace_name,
                             const std::string& deployment) const {
  absl::MutexLock lock(&mu_);
  return held_rollouts_.contains({namespace_name, deployment});
}

}  // namespace capstan::kubesim
