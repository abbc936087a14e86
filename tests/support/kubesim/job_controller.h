// The Job controller: pods from Jobs, conditions from pods.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

// Used by the controller thread only. What differs from the real one: a failed pod is replaced
// without back-off, pods are never restarted in place, completionMode Indexed and successPolicy are
// ignored.
class JobController {
 public:
  // Borrowed. With `require_service_accounts` a pod whose account does not exist is not made.
  JobController(ObjectStore& store, Clock& clock, Timers& timers, bool require_service_accounts);

  // Brings the Job's pods and status one step closer to its spec. Nothing when the Job is gone.
  void Reconcile(const ObjectKey& key);

 private:
  struct Pods {
    std::vector<std::pair<ObjectKey, Object>> active;       // neither finished nor being deleted
    std::vector<std::pair<ObjectKey, Object>> terminating;  // being deleted, not finished
    std::vector<std::pair<ObjectKey, Object>> uncounted;  // finished, still carrying our finalizer
    int ready = 0;
  };
  struct Verdict {
    std::string reason;  // "" while the Job goes on
    std::string message;
    bool success = false;
  };

  Pods Sort(const std::string& uid) const;
  void Count(const Json& job, const Pods& pods, Json& status);
  Verdict Judge(const ObjectKey& key, const Json& job, const Pods& pods, const Json& status);
  void Conclude(const Verdict& verdict, const Pods& pods, Json& status);
  void Suspend(const Pods& pods, Json& status);
  int Run(const ObjectKey& key, const Json& job, const Pods& pods, Json& status);
  bool CreatePod(const ObjectKey& key, const Json& job);
  void ExpireFinished(const ObjectKey& key, const Json& job);
  absl::Duration StartedAt(const std::string& uid);

  ObjectStore& store_;
  Clock& clock_;
  Timers& timers_;
  const bool require_service_accounts_;
  std::map<std::string, absl::Duration> started_;   // by uid: boot time of the start or last resume
  std::map<std::string, absl::Duration> finished_;  // by uid
  std::mt19937 random_;
};

}  // namespace capstan::kubesim
