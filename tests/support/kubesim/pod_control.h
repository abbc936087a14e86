// What tests ask of pods. Read by the kubelet.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/kubesim.h"

namespace capstan::kubesim {

struct FinishRequest {
  std::string job_prefix;
  int exit_code = 0;
  std::string log;
  std::string termination_message;
};

// Thread-safe. Of several rules that fit a Job the last one made wins.
class PodControl {
 public:
  void SetHeld(const std::string& job_prefix, bool held);
  bool Held(const std::string& job) const;

  void SetFate(const std::string& job_prefix, PodFate fate);
  PodFate FateOf(const std::string& job) const;

  void SetDeploymentFate(const std::string& namespace_name, const std::string& deployment,
                         PodFate fate);
  PodFate FateOfDeployment(const std::string& namespace_name, const std::string& deployment) const;

  void AddFinish(FinishRequest request);
  std::vector<FinishRequest> TakeFinishes();

  void SetTerminationHeld(bool held);
  bool TerminationHeld() const;

  void SetRolloutHeld(const std::string& namespace_name, const std::string& deployment, bool held);
  bool RolloutHeld(const std::string& namespace_name, const std::string& deployment) const;

 private:
  mutable absl::Mutex mu_;
  std::vector<std::pair<std::string, bool>> held_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<std::string, PodFate>> fates_ ABSL_GUARDED_BY(mu_);
  std::map<std::pair<std::string, std::string>, PodFate> deployment_fates_ ABSL_GUARDED_BY(mu_);
  std::vector<FinishRequest> finishes_ ABSL_GUARDED_BY(mu_);
  bool termination_held_ ABSL_GUARDED_BY(mu_) = false;
  std::set<std::pair<std::string, std::string>> held_rollouts_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubesim
