// A Kubernetes cluster inside one process: API server (HTTP on loopback), Job and Deployment
// controllers, garbage collector, and a kubelet whose containers are C++ callables. It answers as a
// real 1.34 API server does at the protocol level (uids, resourceVersions, watch, Status bodies),
// has no authorisation unless Forbid() asks for it, and can be told to fail in every way a test
// needs.
//
//   auto sim = KubeSim::Start({}).value();
//   sim->AddDeployment("default", "web", 1);
//   ... point a client at sim->Url() ...
//   EXPECT_TRUE(sim->WaitFor([&] { return sim->Replicas("default", "web") == 3; }));
//   EXPECT_EQ(sim->PodsRun("capstan-0123"), 1);
//
// Every public method may be called from any thread. Controllers and programs share one thread that
// sleeps until something changes. Time (activeDeadlineSeconds, sleep) comes from the Clock, so a
// test's clock moves it by hand.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "tests/support/kubesim/audit_log.h"
#include "tests/support/kubesim/fault.h"
#include "tests/support/kubesim/json.h"
#include "tests/support/kubesim/program.h"
#include "tests/support/kubesim/right.h"

namespace capstan::kubesim {

struct KubeSimOptions {
  int port = 0;            // 0: any free one
  Clock* clock = nullptr;  // null: the machine's. Borrowed, outlives the KubeSim
  int http_threads = 64;  // calls, idle kept-alive connections and watches that may be open at once
  size_t history_events = 10'000;  // watch history; older resourceVersions get 410
  std::string audit_file{};        // JSON lines; "" for none
  std::vector<std::string>
      namespaces{};  // besides default, kube-system, kube-public, kube-node-lease
  std::vector<std::string> nodes{"kubesim-node"};  // ready when the cluster starts
  std::string token{};  // bearer token that is asked for; "" lets everyone in
  bool require_service_accounts =
      false;  // a Job's pod is refused while its ServiceAccount does not exist
};

// What happens to the pods of a Job instead of running their program.
enum class PodFate {
  kRun,            // as usual
  kImagePull,      // waiting: ImagePullBackOff, for ever
  kConfigError,    // waiting: CreateContainerConfigError, for ever
  kMissingMount,   // waiting: ContainerCreating, Event FailedMount, for ever
  kUnschedulable,  // Pending, PodScheduled=False Unschedulable, for ever
  kOomKilled,      // starts, then terminated OOMKilled, exit 137
  kEvicted,        // starts, then pod Failed with reason Evicted and condition DisruptionTarget
  kNodeLost,   // starts, then phase Unknown with reason NodeLost; deleting it does not make it go
               // away
  kCrashLoop,  // starts, then exit 1; a Deployment's pod then waits in CrashLoopBackOff for ever
};

struct NodeOptions {
  Json labels = Json::object();  // {"node-role.kubernetes.io/control-plane", ""} and the like
  Json taints =
      Json::array();      // {{"key", "dedicated"}, {"value", "gpu"}, {"effect", "NoSchedule"}}
  std::string cpu = "8";  // allocatable, as is memory
  std::string memory = "32Gi";
  bool ready = true;
};

// A pod that no Deployment makes. Its container serves until the pod is deleted.
struct PodOptions {
  Json labels = Json::object();
  std::string node{};        // "" lets the scheduler choose
  std::string owner_kind{};  // DaemonSet, StatefulSet, …; made when there is none of `owner_name`
  std::string owner_name{};
  bool mirror = false;     // of a static pod
  bool empty_dir = false;  // has an emptyDir volume
  Json containers{};       // instead of one server
};

class KubeSim {
 public:
  using Options = KubeSimOptions;

  // UNAVAILABLE when the port cannot be bound or the audit file cannot be opened: nothing runs
  // then.
  static absl::StatusOr<std::unique_ptr<KubeSim>> Start(Options options);
  // Ends every stream and joins all threads.
  ~KubeSim();
  KubeSim(const KubeSim&) = delete;
  KubeSim& operator=(const KubeSim&) = delete;

  std::string Url() const;  // http://127.0.0.1:PORT
  int port() const;
  // A kubeconfig with one context "capstan-kubesim" whose namespace is `namespace_name`.
  std::string Kubeconfig(const std::string& namespace_name = "default") const;
  absl::Status WriteKubeconfig(const std::string& path,
                               const std::string& namespace_name = "default") const;

  // --- The objects, past the API (no audit, no faults). `resource` is the plural: "jobs", "pods",
  // "deployments". ---
  void AddNamespace(const std::string& name, const Json& labels = Json::object());
  void AddServiceAccount(const std::string& namespace_name, const std::string& name);
  void AddDeployment(const std::string& namespace_name, const std::string& name, int replicas,
                     const Json& labels = Json::object());
  void AddHorizontalPodAutoscaler(const std::string& namespace_name, const std::string& deployment,
                                  int min_replicas, int max_replicas);
  void AddConfigMap(const std::string& namespace_name, const std::string& name, const Json& data);
  // `data` as it is, not in base64.
  void AddSecret(const std::string& namespace_name, const std::string& name, const Json& data);
  void AddNode(const std::string& name, const NodeOptions& options = {});
  void SetNodeReady(const std::string& name, bool ready);
  void AddPod(const std::string& namespace_name, const std::string& name,
              const PodOptions& options = {});
  // `budget` is {{"minAvailable", 1}} or {{"maxUnavailable", "50%"}}; it is about pods whose label
  // app is `app`, as those of AddDeployment().
  void AddPodDisruptionBudget(const std::string& namespace_name, const std::string& name,
                              const std::string& app, const Json& budget);
  // Limits count/jobs.batch in a namespace; further creates get the real server's 403.
  void AddJobQuota(const std::string& namespace_name, const std::string& quota, int limit);
  // Creates any object through admission and defaults, as an administrator would. The Status body
  // becomes the error: 404 NOT_FOUND, 409 ALREADY_EXISTS, 422 and 400 INVALID_ARGUMENT, 403
  // PERMISSION_DENIED.
  absl::StatusOr<Json> Create(const std::string& resource, const std::string& namespace_name,
                              Json object);
  // Null when there is none.
  Json Get(const std::string& resource, const std::string& namespace_name,
           const std::string& name) const;
  std::vector<Json> List(const std::string& resource, const std::string& namespace_name = "") const;
  std::vector<Json> PodsOfJob(const std::string& namespace_name, const std::string& job) const;
  std::string PodLog(const std::string& namespace_name, const std::string& pod,
                     const std::string& container = "") const;
  // True once the Job has a condition of this type ("Complete", "Failed", "Suspended") that is
  // True.
  bool JobHas(const std::string& namespace_name, const std::string& job,
              const std::string& condition) const;
  int Replicas(const std::string& namespace_name, const std::string& deployment) const;

  // --- Programs and what becomes of pods. A Job is named by a prefix of its name; "" is every Job.
  // ---
  void RegisterProgram(std::vector<std::string> argv_prefix, Program program);
  // Pods of Jobs start their container but do not run its program until released.
  void HoldJobs(const std::string& job_prefix = "");
  void ReleaseJobs(const std::string& job_prefix = "");
  // Ends the running container of each of these Jobs' pods with this exit code, held or not.
  void FinishPod(const std::string& job_prefix, int exit_code, const std::string& log = "",
                 const std::string& termination_message = "");
  // For pods that start from now on.
  void SetPodFate(const std::string& job_prefix, PodFate fate);
  // The same for the pods of a Deployment, and what is not kRun lasts as long as the pod.
  void SetDeploymentPodFate(const std::string& namespace_name, const std::string& deployment,
                            PodFate fate);
  // Pods being deleted stay until released, as on a node that does not answer.
  void HoldPodTermination();
  void ReleasePodTermination();
  // Nothing is reconciled while paused, as when the controller manager is down.
  void PauseControllers();
  void ResumeControllers();
  // New pods of this Deployment never become ready (a rollout that does not end).
  void HoldDeploymentRollout(const std::string& namespace_name, const std::string& deployment);
  void ReleaseDeploymentRollout(const std::string& namespace_name, const std::string& deployment);

  // --- What other people do to the cluster. NOT_FOUND when there is no such object. ---
  absl::Status DeleteJobExternally(const std::string& namespace_name, const std::string& job);
  absl::Status SuspendJobExternally(const std::string& namespace_name, const std::string& job);
  absl::Status DeletePodExternally(const std::string& namespace_name, const std::string& pod);
  // Merge patch past the API.
  absl::Status PatchExternally(const std::string& resource, const std::string& namespace_name,
                               const std::string& name, const Json& merge_patch);

  // --- The API server. ---
  int InjectFault(Fault fault);
  void ReleaseFault(int id);
  void ClearFaults();
  int FaultHits(int id) const;  // 0 after ClearFaults()
  std::vector<std::pair<int, Fault>> Faults() const;
  // From now on this verb on this resource (in this namespace, "" all) is answered by the RBAC 403,
  // and a SelfSubjectAccessReview says no.
  void Forbid(const std::string& verb, const std::string& resource,
              const std::string& namespace_name = "");
  // What a user may do: from the first grant on, access reviews say no to everything that was not
  // granted. Only reviews: calls are refused by Forbid() alone.
  void Grant(const std::string& user, const Right& right);
  // Forbid() for calls of programs in pods, and for reviews about anybody but the caller.
  void ForbidPods(const std::string& verb, const std::string& resource,
                  const std::string& namespace_name = "");
  // Changes the bearer token that is asked for; calls with another one get 401.
  void SetToken(const std::string& token);
  // Forgets the watch history: watches and continue tokens from older resourceVersions get 410.
  void CompactHistory();
  // Ends every open watch stream, as a restart of the API server does.
  void CloseWatches();
  // Sends a BOOKMARK to every watch that allows them.
  void SendBookmarks();
  // Watch streams open now.
  int OpenWatches(const std::string& resource = "") const;

  // --- The witness. ---
  std::vector<AuditEntry> Audit() const;
  // Calls of this kind that reached the server, faulted ones included; an empty argument matches
  // anything.
  int CountCalls(const std::string& verb, const std::string& resource,
                 const std::string& name_prefix = "", const std::string& subresource = "*") const;
  // Pods that started for a Job of this name, over all its uids.
  int PodsRun(const std::string& job) const;
  int PodsRunByUid(const std::string& job_uid) const;
  std::vector<PodRun> PodRuns() const;
  // "" matches anything.
  std::vector<ScaleRecord> Scales(const std::string& namespace_name,
                                  const std::string& deployment) const;

  // Waits until `predicate` is true; it is asked again after every change of an object, call,
  // stream or fault hit. False when `timeout` (machine time) passed first. Runs on the calling
  // thread without locks held.
  bool WaitFor(const std::function<bool()>& predicate,
               absl::Duration timeout = absl::Seconds(30)) const;

 private:
  class Impl;
  explicit KubeSim(Options options);
  std::unique_ptr<Impl> impl_;
};

}  // namespace capstan::kubesim
