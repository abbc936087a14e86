// The thread on which everything in the cluster happens that no client does.
#pragma once

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/kubesim/change_signal.h"
#include "tests/support/kubesim/deployment_controller.h"
#include "tests/support/kubesim/garbage_collector.h"
#include "tests/support/kubesim/job_controller.h"
#include "tests/support/kubesim/kubelet.h"
#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

// Changes in order, without loss. Thread-safe.
class ChangeQueue {
 public:
  void Push(const Change& change);
  std::vector<Change> Take();

 private:
  absl::Mutex mu_;
  std::vector<Change> changes_ ABSL_GUARDED_BY(mu_);
};

// Sleeps on the signal, takes the changes, lets the controllers and the kubelet react until nothing
// changes any more.
class ControllerThread {
 public:
  // Borrowed. The controllers and the kubelet are touched by this thread only, from Start() to
  // Stop().
  ControllerThread(ObjectStore& store, ChangeSignal& signal, ChangeQueue& queue, Timers& timers,
                   JobController& jobs, DeploymentController& deployments,
                   GarbageCollector& collector, Kubelet& kubelet);
  ~ControllerThread();

  void Start();
  void Stop();  // joins

  // While paused only the kubelet goes on; nothing is lost.
  void SetPaused(bool paused);

 private:
  void Run();
  void Sort(const std::vector<Change>& changes);
  void Reconcile();
  void UpdateQuotas(const std::string& namespace_name);

  ObjectStore& store_;
  ChangeSignal& signal_;
  ChangeQueue& queue_;
  Timers& timers_;
  JobController& jobs_;
  DeploymentController& deployments_;
  GarbageCollector& collector_;
  Kubelet& kubelet_;
  std::set<ObjectKey> dirty_;
  std::vector<Object> deleted_;
  std::atomic<bool> paused_ = false;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace capstan::kubesim
