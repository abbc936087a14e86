// The simulated nodes: starts pods, runs their programs, kills and removes them.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tests/support/kubesim/audit_log.h"
#include "tests/support/kubesim/container_run.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/pod_control.h"
#include "tests/support/kubesim/pod_logs.h"
#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

// Used by the controller thread only.
class Kubelet {
 public:
  // All borrowed. `find` gives the program of an argv or null, `call` makes API calls for programs.
  Kubelet(ObjectStore& store, Clock& clock, PodLogs& logs, AuditLog& audit, PodControl& control,
          Timers& timers, std::function<Program(const std::vector<std::string>&)> find,
          ContainerRun::ApiCaller call);

  // A pod was added, changed or deleted.
  void OnPodChange(const Change& change);
  // Lets every running program go on, applies finish requests and held terminations.
  void Step();

 private:
  struct RunningPod {
    ObjectKey key;
    std::string uid;
    Object pod;  // as it was when it started
    std::string job;
    std::string job_uid;
    std::string deployment;
    std::string node;
    PodFate fate = PodFate::kRun;
    size_t next_init = 0;  // how many init containers have been started
    bool in_main = false;
    bool ready = false;  // of a Deployment's pod
    std::string reason;  // status.reason and status.message
    std::string message;
    std::vector<std::unique_ptr<ContainerRun>> init;
    std::vector<std::unique_ptr<ContainerRun>> main;
  };

  void Start(const ObjectKey& key, const Object& pod);
  void Unschedulable(const ObjectKey& key, const Json& pod, const std::string& why);
  void StepWaiting();
  bool StopBeforeStart(const RunningPod& running);
  bool ApplyFate(RunningPod& running);
  void StartNext(RunningPod& running);
  std::unique_ptr<ContainerRun> NewRun(const RunningPod& running, const Json& container);
  bool Advance(RunningPod& running);
  bool ApplyFinish(RunningPod& running, const FinishRequest& request);
  void StepServing(RunningPod& running);
  void Publish(const RunningPod& running, const std::string& phase);
  void PublishWaiting(const RunningPod& running, const std::string& reason,
                      const std::string& message);
  void PublishCrash(const RunningPod& running);
  void StepFinishes();
  void StepTerminations();
  // False while the node does not answer.
  bool Kill(const ObjectKey& key, bool force);
  RunningPod* Find(const std::string& uid);
  ObjectStore& store_;
  Clock& clock_;
  PodLogs& logs_;
  AuditLog& audit_;
  PodControl& control_;
  Timers& timers_;
  const std::function<Program(const std::vector<std::string>&)> find_;
  const ContainerRun::ApiCaller call_;
  std::list<RunningPod> running_;  // in the order they started
  std::set<std::string> seen_;     // uids that were started or refused
  std::set<ObjectKey> waiting_;    // for a node or a volume
  std::set<ObjectKey> terminating_;
  std::vector<FinishRequest> finishes_;
};

}  // namespace capstan::kubesim
