// The Deployment controller: pods for replicas, and the status that `kubectl rollout status` reads.
#pragma once

#include <map>
#include <random>
#include <string>
#include <utility>

#include "core/clock.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

// Used by the controller thread only. What differs from the real one: pods belong to the Deployment
// itself (there are no ReplicaSets), and a rollout makes all new pods at once and removes the old
// ones as the new become ready.
class DeploymentController {
 public:
  DeploymentController(ObjectStore& store, Clock& clock, Timers& timers);

  void Reconcile(const ObjectKey& key);

 private:
  void CreatePod(const ObjectKey& key, const Json& deployment, const std::string& hash);

  ObjectStore& store_;
  Clock& clock_;
  Timers& timers_;
  std::map<std::string, absl::Duration> progressed_;  // by uid: when the rollout last moved
  std::map<std::string, std::string> last_seen_;      // by uid: what it looked like then
  std::map<std::string, std::pair<std::string, int>> revisions_;  // by uid: template hash, number
  std::mt19937 random_;
};

}  // namespace capstan::kubesim
