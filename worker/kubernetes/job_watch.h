// Follows every Job of this installation, and their pods, with one watch each for the whole
// cluster, however many executions wait. Level-triggered: a subscriber gets the latest state
// whenever it has changed, never a history.
//
// What it delivers may be old: read the Job again (JobLauncher::Observe) before acting on an end or
// on "gone".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/clock.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_observation.h"
#include "worker/kubernetes/reflector.h"

namespace capstan::kubernetes {

struct JobWatchOptions {
  std::string name_space;    // where actions run
  std::string installation;  // value of the installation label
  ReflectorOptions reflector;
};

struct JobWatchStats {
  uint64_t lists = 0;       // full lists that succeeded, of Jobs and of pods
  uint64_t events = 0;      // watch events taken in
  uint64_t deliveries = 0;  // callbacks made
  size_t jobs = 0;          // Jobs known now
  size_t subscriptions = 0;
};

// Thread-safe. Owned by main.cc. Has three threads between Start and Stop: Jobs, pods, deliveries.
class JobWatch {
 public:
  // Runs on the delivery thread, one at a time, holding no lock; it must only hand the news on.
  // `found` false: the Job with this uid is gone.
  using Callback = std::function<void(const JobObservation&)>;

  JobWatch(Client& client, Clock& clock, JobWatchOptions options);
  ~JobWatch();  // as Stop
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(const JobWatch&) = delete;

  void Start() ABSL_LOCKS_EXCLUDED(mu_);  // again: no effect
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);   // joins; again: no effect. It cannot be started again.

  // From now on `callback` hears of `ref`, first of what is known already. A Job that was never
  // seen is reported gone only after a full list that began later than this call. Never blocks; may
  // be called before Start and from a callback. Returns the id for Unsubscribe, never 0.
  uint64_t Subscribe(JobRef ref, Callback callback) ABSL_LOCKS_EXCLUDED(mu_);

  // After it returns the callback does not run any more, unless it is the callback that calls.
  // Unknown ids are fine.
  void Unsubscribe(uint64_t id) ABSL_LOCKS_EXCLUDED(mu_);

  JobWatchStats Stats() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Key = std::string;  // namespace/name of a Job
  struct Subscriber {
    JobRef ref;
    Callback callback;
    uint64_t lists_begun = 0;  // when it subscribed
    bool seen = false;         // its Job has been known since
    std::string delivered;     // fingerprint of what was delivered last
  };

  void ReplaceJobs(std::vector<Json> jobs) ABSL_LOCKS_EXCLUDED(mu_);
  void UpsertJob(Json job) ABSL_LOCKS_EXCLUDED(mu_);
  void DeleteJob(const Json& job) ABSL_LOCKS_EXCLUDED(mu_);
  void ReplacePods(std::vector<Json> pods) ABSL_LOCKS_EXCLUDED(mu_);
  void UpsertPod(Json pod) ABSL_LOCKS_EXCLUDED(mu_);
  void DeletePod(const Json& pod) ABSL_LOCKS_EXCLUDED(mu_);
  void MarkKey(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkUid(const std::string& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void MarkAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Deliver() ABSL_LOCKS_EXCLUDED(mu_);
  bool NextDelivery(uint64_t id, Callback* callback, JobObservation* observation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Client& client_;
  Clock& clock_;
  const JobWatchOptions options_;

  absl::Mutex mu_;
  std::map<Key, Json> jobs_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::map<std::string, Json>> pods_
      ABSL_GUARDED_BY(mu_);  // Job uid, pod name
  std::map<uint64_t, Subscriber> subscribers_ ABSL_GUARDED_BY(mu_);
  std::multimap<Key, uint64_t> by_key_ ABSL_GUARDED_BY(mu_);
  std::multimap<std::string, uint64_t> by_uid_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> dirty_ ABSL_GUARDED_BY(mu_);
  uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t delivering_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t lists_begun_ ABSL_GUARDED_BY(mu_) = 0;  // of Jobs
  uint64_t lists_completed_ ABSL_GUARDED_BY(mu_) =
      0;  // the number lists_begun_ had when the last one began
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  JobWatchStats stats_ ABSL_GUARDED_BY(mu_);
  std::thread::id delivery_thread_ ABSL_GUARDED_BY(mu_);

  std::vector<std::jthread> threads_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubernetes
