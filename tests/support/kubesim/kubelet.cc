#include "tests/support/kubesim/kubelet.h"

#include <algorithm>
#include <utility>

#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/events.h"
#include "tests/support/kubesim/scheduler.h"
#include "tests/support/kubesim/text.h"
#include "tests/support/kubesim/volumes.h"

namespace capstan::kubesim {
namespace {

constexpr int kCrashRestarts = 5;
constexpr char kPodAddress[] = "10.244.0.1";

Json Condition(const char* type, bool status, const std::string& at, const std::string& reason = "",
               const std::string& message = "") {
  Json condition = {
      {"type", type}, {"status", status ? "True" : "False"}, {"lastTransitionTime", at}};
  if (!reason.empty()) condition["reason"] = reason;
  if (!message.empty()) condition["message"] = message;
  return condition;
}

const Json& List(const Json& pod, const char* name) {
  static const Json kEmpty = Json::array();
  const Json& list = At(pod, {"spec", name});
  return list.is_array() ? list : kEmpty;
}

bool IsTerminal(const Json& pod) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

std::string FirstImage(const Json& pod) { return TextAt(List(pod, "containers")[0], {"image"}); }

// The controller that owns the pod, by kind.
const Json& Owner(const Json& pod, const char* kind) {
  static const Json kNone;
  const Json& owners = At(pod, {"metadata", "ownerReferences"});
  for (size_t i = 0; owners.is_array() && i < owners.size(); ++i) {
    if (TextAt(owners[i], {"kind"}) == kind) return owners[i];
  }
  return kNone;
}

}  // namespace

Kubelet::Kubelet(ObjectStore& store, Clock& clock, PodLogs& logs, AuditLog& audit,
                 PodControl& control, Timers& timers,
                 std::function<Program(const std::vector<std::string>&)> find,
                 ContainerRun::ApiCaller call)
    : store_(store),
      clock_(clock),
      logs_(logs),
      audit_(audit),
      control_(control),
      timers_(timers),
      find_(std::move(find)),
      call_(std::move(call)) {}

Kubelet::RunningPod* Kubelet::Find(const std::string& uid) {
  for (RunningPod& running : running_) {
    if (running.uid == uid) return &running;
  }
  return nullptr;
}

void Kubelet::OnPodChange(const Change& change) {
  const std::string uid = TextAt(*change.object, {"metadata", "uid"});
  if (change.type == Change::Type::kDeleted) {
    running_.remove_if([&](const RunningPod& running) { return running.uid == uid; });
    logs_.Drop(uid);
    waiting_.erase(change.key);
    seen_.erase(uid);
    terminating_.erase(change.key);
    return;
  }
  if (IsBeingDeleted(*change.object)) {
    seen_.insert(uid);
    if (NumberAt(*change.object, {"metadata", "deletionGracePeriodSeconds"}) > 0) {
      terminating_.insert(change.key);
    } else if (!IsTerminal(*change.object)) {
      Kill(change.key, /*force=*/true);
    }
    return;
  }
  if (seen_.insert(uid).second) Start(change.key, change.object);
}

void Kubelet::Start(const ObjectKey& key, const Object& pod) {
  RunningPod running;
  running.key = key;
  running.uid = TextAt(*pod, {"metadata", "uid"});
  running.pod = pod;
  running.job = TextAt(Owner(*pod, "Job"), {"name"});
  running.job_uid = TextAt(Owner(*pod, "Job"), {"uid"});
  running.deployment = TextAt(Owner(*pod, "Deployment"), {"name"});
  if (!running.job.empty()) running.fate = control_.FateOf(running.job);
  if (!running.deployment.empty()) {
    running.fate = control_.FateOfDeployment(key.namespace_name, running.deployment);
  }
  if (running.fate == PodFate::kUnschedulable) {
    Unschedulable(key, *pod,
                  "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are "
                  "available: 1 No preemption victims found for incoming pod.");
    return;
  }
  running.node = TextAt(*pod, {"spec", "nodeName"});
  if (running.node.empty()) {
    absl::StatusOr<std::string> node = PickNode(store_, *pod);
    if (!node.ok()) {
      Unschedulable(key, *pod, std::string(node.status().message()));
      waiting_.insert(key);
      return;
    }
    running.node = *std::move(node);
  }
  if (StopBeforeStart(running)) return;

  StartNext(running);
  audit_.AddPodRun({key.namespace_name, key.name, running.job, running.job_uid});
  Publish(running, running.in_main ? "Running" : "Pending");
  if (ApplyFate(running)) return;
  running_.push_back(std::move(running));
}

void Kubelet::Unschedulable(const ObjectKey& key, const Json& pod, const std::string& why) {
  const Json& conditions = At(pod, {"status", "conditions"});
  if (conditions.is_array() && !conditions.empty() && conditions[0]["message"] == why) return;
  const std::string now = Timestamp(clock_.Now());
  store_.Edit(key, [&](Json& edited) {
    edited["status"]["conditions"] = {Condition("PodScheduled", false, now, "Unschedulable", why)};
    return true;
  });
  RecordWarning(store_, clock_.Now(), key, pod, "default-scheduler", "FailedScheduling", why);
}

// Pods that wait for a node or a volume look again.
void Kubelet::StepWaiting() {
  for (const ObjectKey& key : std::exchange(waiting_, {})) {
    Object pod = store_.Get(key);
    if (pod != nullptr && !IsBeingDeleted(*pod)) Start(key, pod);
  }
}

bool Kubelet::StopBeforeStart(const RunningPod& running) {
  const ObjectKey& key = running.key;
  const Object& pod = running.pod;
  const std::string image = FirstImage(*pod);
  if (const std::string missing = MissingVolume(store_, *pod); !missing.empty()) {
    waiting_.insert(key);
    if (TextAt(*pod, {"status", "startTime"}).empty()) {  // said once
      PublishWaiting(running, "ContainerCreating", "");
      RecordWarning(store_, clock_.Now(), key, *pod, "kubelet", "FailedMount", missing);
    }
    return true;
  }
  switch (running.fate) {
    case PodFate::kImagePull:
      PublishWaiting(running, "ErrImagePull",
                     Cat("failed to pull and unpack image \"", image, "\": not found"));
      PublishWaiting(running, "ImagePullBackOff", Cat("Back-off pulling image \"", image, "\""));
      RecordWarning(store_, clock_.Now(), key, *pod, "kubelet", "Failed",
                    Cat("Failed to pull image \"", image, "\": not found"));
      return true;
    case PodFate::kConfigError:
      PublishWaiting(running, "CreateContainerConfigError", "secret \"missing\" not found");
      return true;
    case PodFate::kMissingMount:
      PublishWaiting(running, "ContainerCreating", "");
      RecordWarning(store_, clock_.Now(), key, *pod, "kubelet", "FailedMount",
                    "MountVolume.SetUp failed for volume \"data\" : configmap \"missing\" not "
                    "found");
      return true;
    case PodFate::kRun:
    case PodFate::kUnschedulable:
    case PodFate::kOomKilled:
    case PodFate::kEvicted:
    case PodFate::kNodeLost:
    case PodFate::kCrashLoop:
      return false;
  }
  return false;
}

void Kubelet::PublishWaiting(const RunningPod& running, const std::string& reason,
                             const std::string& message) {
  const std::string now = Timestamp(clock_.Now());
  Json statuses = Json::array();
  for (const Json& container : List(*running.pod, "containers")) {
    statuses.push_back(ContainerRun::WaitingStatus(container, reason, message));
  }
  store_.Edit(running.key, [&](Json& edited) {
    if (TextAt(edited, {"metadata", "uid"}) != running.uid) return false;
    edited["spec"]["nodeName"] = running.node;
    Json& status = edited["status"];
    status["phase"] = "Pending";
    status["startTime"] = now;
    status["conditions"] = {Condition("PodScheduled", true, now),
                            Condition("Initialized", true, now),
                            Condition("Ready", false, now, "ContainersNotReady"),
                            Condition("ContainersReady", false, now, "ContainersNotReady")};
    status["containerStatuses"] = statuses;
    return true;
  });
}

std::unique_ptr<ContainerRun> Kubelet::NewRun(const RunningPod& running, const Json& container) {
  // A Deployment's container is a server, as is one that says nothing else: it runs until its pod
  // is deleted.
  const std::vector<std::string> argv = ContainerRun::ArgvOf(container);
  const bool serves = !running.deployment.empty() || (running.job.empty() && argv.empty());
  Program program =
      serves ? Program([](ProgramRun&) { return std::optional<int>(); }) : find_(argv);
  return std::make_unique<ContainerRun>(
      ContainerRun::Identity{running.key, running.uid, running.job, running.job_uid}, container,
      std::move(program), MountedFiles(store_, *running.pod, container), clock_, logs_, timers_,
      call_);
}

void Kubelet::StartNext(RunningPod& running) {
  const Json& init = List(*running.pod, "initContainers");
  if (running.next_init < init.size()) {
    running.init.push_back(NewRun(running, init[running.next_init]));
    ++running.next_init;
    return;
  }
  running.in_main = true;
  for (const Json& container : List(*running.pod, "containers")) {
    running.main.push_back(NewRun(running, container));
  }
}

bool Kubelet::ApplyFate(RunningPod& running) {
  auto& runs = running.in_main ? running.main : running.init;
  switch (running.fate) {
    case PodFate::kOomKilled:
      for (auto& run : runs) run->Finish(kExitKilled, "OOMKilled");
      PublishCrash(running);
      return true;
    case PodFate::kCrashLoop:
      for (auto& run : runs) run->Finish(1);
      PublishCrash(running);
      return true;
    case PodFate::kEvicted:
      for (auto& run : runs) run->Finish(kExitKilled);
      running.reason = "Evicted";
      running.message =
          "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi.";
      Publish(running, "Failed");
      return true;
    case PodFate::kNodeLost:
      running.reason = "NodeLost";
      running.message = Cat("Node ", running.node, " which was running pod ", running.key.name,
                            " is unresponsive");
      Publish(running, "Unknown");
      return false;
    default:
      return false;
  }
}

void Kubelet::Publish(const RunningPod& running, const std::string& phase) {
  const std::string now = Timestamp(clock_.Now());
  bool ready = phase == "Running" && (running.deployment.empty() || running.ready);
  const Json& init = List(*running.pod, "initContainers");
  const Json& main = List(*running.pod, "containers");
  Json init_statuses = Json::array();
  for (size_t i = 0; i < init.size(); ++i) {
    init_statuses.push_back(i < running.init.size()
                                ? running.init[i]->Status(false)
                                : ContainerRun::WaitingStatus(init[i], "PodInitializing"));
  }
  Json statuses = Json::array();
  for (size_t i = 0; i < main.size(); ++i) {
    statuses.push_back(running.in_main ? running.main[i]->Status(ready)
                                       : ContainerRun::WaitingStatus(main[i], "PodInitializing"));
  }
  std::string not_ready = phase == "Succeeded" ? "PodCompleted" : ready ? "" : "ContainersNotReady";
  Json conditions = {Condition("PodScheduled", true, now),
                     Condition("PodReadyToStartContainers", phase == "Running", now),
                     Condition("Initialized", running.in_main, now,
                               running.in_main ? "" : "ContainersNotInitialized"),
                     Condition("ContainersReady", ready, now, not_ready),
                     Condition("Ready", ready, now, not_ready)};
  if (running.reason == "Evicted") {
    conditions.push_back(
        Condition("DisruptionTarget", true, now, "TerminationByKubelet", running.message));
  }
  store_.Edit(running.key, [&](Json& pod) {
    if (TextAt(pod, {"metadata", "uid"}) != running.uid) return false;
    pod["spec"]["nodeName"] = running.node;
    Json& status = pod["status"];
    status["phase"] = phase;
    if (!status.contains("startTime")) status["startTime"] = now;
    status["hostIP"] = "127.0.0.1";
    status["podIP"] = kPodAddress;
    status["conditions"] = conditions;
    if (!init_statuses.empty()) status["initContainerStatuses"] = init_statuses;
    status["containerStatuses"] = statuses;
    if (!running.reason.empty()) status["reason"] = running.reason;
    if (!running.message.empty()) status["message"] = running.message;
    return true;
  });
}

// The containers have ended: a Deployment's are started over and over, a Job's stay so.
void Kubelet::PublishCrash(const RunningPod& running) {
  if (running.deployment.empty()) {
    Publish(running, "Failed");
    return;
  }
  Publish(running, "Running");
  store_.Edit(running.key, [&](Json& pod) {
    if (TextAt(pod, {"metadata", "uid"}) != running.uid) return false;
    for (Json& condition : pod["status"]["conditions"]) {
      if (condition["type"] != "Ready" && condition["type"] != "ContainersReady") continue;
      condition["status"] = "False";
      condition["reason"] = "ContainersNotReady";
    }
    for (Json& status : pod["status"]["containerStatuses"]) {
      status["lastState"] = status["state"];
      status["restartCount"] = kCrashRestarts;
      status["state"] = {{"waiting",
                          {{"reason", "CrashLoopBackOff"},
                           {"message", Cat("back-off 2m40s restarting failed container=",
                                           TextAt(status, {"name"}), " pod=", running.key.name)}}}};
    }
    return true;
  });
}

bool Kubelet::Advance(RunningPod& running) {
  if (running.job.empty() || !control_.Held(running.job)) {
    for (auto& run : running.in_main ? running.main : running.init) run->Advance();
  }
  if (!running.in_main) {
    if (!running.init.back()->finished()) return false;
    if (running.init.back()->exit_code() != 0) {
      Publish(running, "Failed");
      return true;
    }
    StartNext(running);
    Publish(running, running.in_main ? "Running" : "Pending");
    return Advance(running);
  }
  bool failed = false;
  for (const auto& run : running.main) {
    if (!run->finished()) return false;
    failed |= run->exit_code() != 0;
  }
  Publish(running, failed ? "Failed" : "Succeeded");
  return true;
}

void Kubelet::StepServing(RunningPod& running) {
  bool ready = !control_.RolloutHeld(running.key.namespace_name, running.deployment);
  // A pod that once was ready stays so: holding a rollout is about new pods.
  if (!ready || running.ready) return;
  running.ready = true;
  Publish(running, "Running");
}

bool Kubelet::ApplyFinish(RunningPod& running, const FinishRequest& request) {
  if (running.job.empty() || !running.job.starts_with(request.job_prefix)) return false;
  bool matched = false;
  for (auto& run : running.in_main ? running.main : running.init) {
    if (run->finished()) continue;
    run->Print(request.log);
    if (!request.termination_message.empty()) {
      run->SetTerminationMessage(request.termination_message);
    }
    run->Finish(request.exit_code);
    matched = true;
  }
  return matched;
}

void Kubelet::StepFinishes() {
  for (FinishRequest& request : control_.TakeFinishes()) finishes_.push_back(std::move(request));
  std::erase_if(finishes_, [this](const FinishRequest& request) {
    bool matched = false;
    for (RunningPod& running : running_) matched |= ApplyFinish(running, request);
    return matched;
  });
}

void Kubelet::Step() {
  StepWaiting();
  StepFinishes();
  for (auto running = running_.begin(); running != running_.end();) {
    bool done = false;
    if (!running->deployment.empty()) {
      StepServing(*running);
    } else if (running->fate != PodFate::kNodeLost) {
      done = Advance(*running);
    }
    running = done ? running_.erase(running) : std::next(running);
  }
  StepTerminations();
}

void Kubelet::StepTerminations() {
  if (control_.TerminationHeld()) return;
  std::erase_if(terminating_, [this](const ObjectKey& key) { return Kill(key, /*force=*/false); });
}

bool Kubelet::Kill(const ObjectKey& key, bool force) {
  Object pod = store_.Get(key);
  if (pod == nullptr) return true;
  const std::string uid = TextAt(*pod, {"metadata", "uid"});
  RunningPod* running = Find(uid);
  if (!force && running != nullptr && running->fate == PodFate::kNodeLost) return false;
  if (running != nullptr) {
    for (auto* runs : {&running->init, &running->main}) {
      for (auto& run : *runs) run->Finish(kExitTerminated);
    }
    running->reason.clear();
    Publish(*running, "Failed");
    running_.remove_if([&](const RunningPod& other) { return other.uid == uid; });
  } else if (!IsTerminal(*pod)) {
    store_.Edit(key, [&](Json& edited) {
      edited["status"]["phase"] = "Failed";
      return true;
    });
  }
  DeleteOptions options;
  options.uid = uid;
  options.grace_seconds = 0;
  DeleteObject(store_, clock_.Now(), key, options);
  return true;
}

}  // namespace capstan::kubesim
