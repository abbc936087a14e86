#include "tests/support/kubesim/kubesim.h"

#include <fstream>
#include <utility>

#include "core/status_macros.h"
#include "tests/support/kubesim/admin_api.h"
#include "tests/support/kubesim/api_server.h"
#include "tests/support/kubesim/change_signal.h"
#include "tests/support/kubesim/controller_thread.h"
#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/http_frontend.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/pod_control.h"
#include "tests/support/kubesim/pod_logs.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

absl::Status ToStatus(const ApiReply& reply) {
  const std::string message = TextAt(reply.body, {"message"});
  const std::string reason = TextAt(reply.body, {"reason"});
  if (reason == "AlreadyExists") return absl::AlreadyExistsError(message);
  switch (reply.code) {
    case 403:
      return absl::PermissionDeniedError(message);
    case 404:
      return absl::NotFoundError(message);
    case 409:
      return absl::AbortedError(message);
    default:
      return absl::InvalidArgumentError(message);
  }
}

const Resource& Known(const std::string& plural) {
  const Resource* resource = FindResource(plural);
  CAPSTAN_CHECK(resource != nullptr);
  return *resource;
}

ObjectKey KeyOf(const std::string& plural, const std::string& namespace_name,
                const std::string& name) {
  const Resource& resource = Known(plural);
  return {&resource, resource.namespaced ? namespace_name : "", name};
}

Json Metadata(const std::string& name, const Json& labels) {
  return {{"name", name}, {"labels", labels.is_object() ? labels : Json::object()}};
}

}  // namespace

class KubeSim::Impl {
 public:
  explicit Impl(Options options, KubeSim* sim)
      : options(std::move(options)),
        clock(this->options.clock == nullptr ? system_clock : *this->options.clock),
        http(api, store, logs, faults, audit, activity, clock,
             [sim](const ApiRequest& request) { return HandleAdmin(*sim, request); }) {}

  ~Impl() {
    http.Stop();
    controllers.Stop();
  }

  Program FindProgram(const std::vector<std::string>& argv) {
    absl::MutexLock lock(&programs_mu);
    const Program* program = programs.Find(argv);
    return program == nullptr ? Program() : *program;
  }

  // A call of a program in a pod. Its reads leave no trace: kubectl would watch where our program
  // looks again.
  ProgramRun::Reply CallFromPod(const ContainerRun& run, const std::string& method,
                                const std::string& path, const Json& body,
                                const std::string& content_type) {
    ApiRequest request;
    request.method = method;
    request.path = path;
    if (!body.is_null()) request.body = body.dump();
    request.content_type = content_type;
    request.user_agent = "kubectl/v1.34.4 (linux/amd64) kubesim";
    request.actor_job = run.job();
    request.actor_job_uid = run.job_uid();
    std::variant<ApiCall, ApiReply> parsed = api.Parse(request);
    if (auto* wrong = std::get_if<ApiReply>(&parsed)) return {wrong->code, wrong->body};
    const ApiCall& call = std::get<ApiCall>(parsed);
    Object pod = store.Get({FindResource("pods"), run.namespace_name(), run.pod()});
    const std::string account =
        Cat("system:serviceaccount:", run.namespace_name(), ":",
            pod == nullptr ? "" : TextAt(*pod, {"spec", "serviceAccountName"}));
    std::optional<ApiReply> refused = api.CheckAccess(call, ApiServer::Caller::kPod, account);
    ApiReply reply = refused.has_value() ? *std::move(refused) : api.Handle(call, request);
    if (method != "GET" && call.resource != nullptr) {
      audit.Add(EntryOf(call, request, reply, clock.Now()));
      activity.Notify();
    }
    return {reply.code, reply.body};
  }

  ApiReply Admin(const std::string& verb, const ObjectKey& key, Json body) {
    ApiRequest request;
    request.content_type = "application/merge-patch+json";
    ApiCall call;
    call.resource = key.resource;
    call.verb = verb;
    call.key = key;
    call.body = std::move(body);
    return api.Handle(call, request);
  }

  const Options options;
  SystemClock system_clock;
  Clock& clock;
  ChangeSignal activity;         // anything a test may wait for
  ChangeSignal work{&activity};  // what the controller thread reacts to
  ChangeQueue queue;
  ObjectStore store{clock, work, options.history_events,
                    [this](const Change& change) { queue.Push(change); }};
  PodLogs logs{activity};
  FaultBoard faults;
  AuditLog audit;
  PodControl control;
  ApiServer api{store, clock, logs, audit};
  absl::Mutex programs_mu;
  ProgramRegistry programs ABSL_GUARDED_BY(programs_mu) = ProgramRegistry::WithBuiltins();
  Timers timers{clock, [this] { work.Notify(); }};
  JobController jobs{store, clock, timers, options.require_service_accounts};
  DeploymentController deployments{store, clock, timers};
  GarbageCollector collector{store, clock};
  Kubelet kubelet{
      store,
      clock,
      logs,
      audit,
      control,
      timers,
      [this](const std::vector<std::string>& argv) { return FindProgram(argv); },
      [this](const ContainerRun& run, const std::string& method, const std::string& path,
             const Json& body, const std::string& content_type) {
        return CallFromPod(run, method, path, body, content_type);
      }};
  ControllerThread controllers{store, work, queue, timers, jobs, deployments, collector, kubelet};
  HttpFrontend http;
};

KubeSim::KubeSim(Options options) : impl_(std::make_unique<Impl>(std::move(options), this)) {}

KubeSim::~KubeSim() = default;

absl::StatusOr<std::unique_ptr<KubeSim>> KubeSim::Start(Options options) {
  std::unique_ptr<KubeSim> sim(new KubeSim(std::move(options)));
  Impl& impl = *sim->impl_;
  if (!impl.options.audit_file.empty()) {
    CAPSTAN_RETURN_IF_ERROR(impl.audit.OpenFile(impl.options.audit_file));
  }
  impl.http.SetToken(impl.options.token);
  for (const char* name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    sim->AddNamespace(name);
  }
  for (const std::string& name : impl.options.namespaces) sim->AddNamespace(name);
  for (const std::string& name : impl.options.nodes) sim->AddNode(name);
  impl.controllers.Start();
  CAPSTAN_RETURN_IF_ERROR(impl.http.Start(impl.options.port, impl.options.http_threads));
  return sim;
}

std::string KubeSim::Url() const { return Cat("http://127.0.0.1:", port()); }

int KubeSim::port() const { return impl_->http.port(); }

std::string KubeSim::Kubeconfig(const std::string& namespace_name) const {
  constexpr std::string_view kName = "capstan-kubesim";
  std::string user = impl_->options.token.empty() ? std::string("{}")
                                                  : Cat("{token: \"", impl_->options.token, "\"}");
  return Cat("apiVersion: v1\nkind: Config\ncurrent-context: ", kName,
             "\nclusters:\n- name: ", kName, "\n  cluster: {server: \"", Url(),
             "\"}\nusers:\n- name: ", kName, "\n  user: ", user, "\ncontexts:\n- name: ", kName,
             "\n  context: {cluster: ", kName, ", user: ", kName, ", namespace: ", namespace_name,
             "}\n");
}

absl::Status KubeSim::WriteKubeconfig(const std::string& path,
                                      const std::string& namespace_name) const {
  // Written beside and renamed: whoever waits for the file never reads half of it.
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary);
  file << Kubeconfig(namespace_name);
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(Cat("cannot write ", path));
  }
  return absl::OkStatus();
}

void KubeSim::AddNamespace(const std::string& name, const Json& labels) {
  (void)Create("namespaces", "", {{"metadata", Metadata(name, labels)}});
  AddServiceAccount(name, "default");
}

void KubeSim::AddServiceAccount(const std::string& namespace_name, const std::string& name) {
  (void)Create("serviceaccounts", namespace_name, {{"metadata", {{"name", name}}}});
}

void KubeSim::AddDeployment(const std::string& namespace_name, const std::string& name,
                            int replicas, const Json& labels) {
  AddNamespace(namespace_name);
  const Json match = {{"app", name}};
  Json container = {{"name", "main"}, {"image", "registry.example/web:1.0"}};
  (void)Create("deployments", namespace_name,
               {{"metadata", Metadata(name, labels)},
                {"spec",
                 {{"replicas", replicas},
                  {"selector", {{"matchLabels", match}}},
                  {"template",
                   {{"metadata", {{"labels", match}}},
                    {"spec", {{"containers", Json::array({container})}}}}}}}});
}

void KubeSim::AddHorizontalPodAutoscaler(const std::string& namespace_name,
                                         const std::string& deployment, int min_replicas,
                                         int max_replicas) {
  (void)Create("horizontalpodautoscalers", namespace_name,
               {{"metadata", {{"name", deployment}}},
                {"spec",
                 {{"scaleTargetRef",
                   {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", deployment}}},
                  {"minReplicas", min_replicas},
                  {"maxReplicas", max_replicas}}}});
}

void KubeSim::AddConfigMap(const std::string& namespace_name, const std::string& name,
                           const Json& data) {
  AddNamespace(namespace_name);
  (void)Create("configmaps", namespace_name, {{"metadata", {{"name", name}}}, {"data", data}});
}

void KubeSim::AddSecret(const std::string& namespace_name, const std::string& name,
                        const Json& data) {
  AddNamespace(namespace_name);
  (void)Create("secrets", namespace_name, {{"metadata", {{"name", name}}}, {"stringData", data}});
}

void KubeSim::AddNode(const std::string& name, const NodeOptions& options) {
  Json labels = options.labels;
  labels["kubernetes.io/hostname"] = name;
  labels["kubernetes.io/os"] = "linux";
  Json spec = Json::object();
  if (!options.taints.empty()) spec["taints"] = options.taints;
  const Json resources = {{"cpu", options.cpu}, {"memory", options.memory}, {"pods", "110"}};
  (void)Create("nodes", "",
               {{"metadata", Metadata(name, labels)},
                {"spec", spec},
                {"status", {{"allocatable", resources}, {"capacity", resources}}}});
  SetNodeReady(name, options.ready);
}

void KubeSim::SetNodeReady(const std::string& name, bool ready) {
  const std::string now = Timestamp(impl_->clock.Now());
  impl_->store.Edit(KeyOf("nodes", "", name), [&](Json& node) {
    node["status"]["conditions"] =
        Json::array({{{"type", "Ready"},
                      {"status", ready ? "True" : "False"},
                      {"reason", ready ? "KubeletReady" : "KubeletNotReady"},
                      {"lastTransitionTime", now}}});
    return true;
  });
}

void KubeSim::AddPod(const std::string& namespace_name, const std::string& name,
                     const PodOptions& options) {
  AddNamespace(namespace_name);
  Json metadata = Metadata(name, options.labels);
  if (options.mirror) metadata["annotations"]["kubernetes.io/config.mirror"] = "static";
  if (!options.owner_kind.empty()) {
    for (const Resource& resource : AllResources()) {
      if (resource.kind != options.owner_kind) continue;
      const std::string plural(resource.plural);
      (void)Create(plural, namespace_name,
                   {{"metadata", {{"name", options.owner_name}}}, {"spec", Json::object()}});
      const Json owner = Get(plural, namespace_name, options.owner_name);
      metadata["ownerReferences"] = Json::array({{{"apiVersion", ApiVersion(resource)},
                                                  {"kind", options.owner_kind},
                                                  {"name", options.owner_name},
                                                  {"uid", TextAt(owner, {"metadata", "uid"})},
                                                  {"controller", true}}});
    }
  }
  Json spec = {{"containers", options.containers}};
  if (options.containers.is_null()) {
    spec["containers"] =
        Json::array({{{"name", "main"}, {"image", "registry.example/server:1.0"}}});
  }
  if (!options.node.empty()) spec["nodeName"] = options.node;
  if (options.empty_dir) {
    spec["volumes"] = Json::array({{{"name", "scratch"}, {"emptyDir", Json::object()}}});
  }
  (void)Create("pods", namespace_name, {{"metadata", metadata}, {"spec", spec}});
}

void KubeSim::AddPodDisruptionBudget(const std::string& namespace_name, const std::string& name,
                                     const std::string& app, const Json& budget) {
  AddNamespace(namespace_name);
  Json spec = budget;
  spec["selector"]["matchLabels"]["app"] = app;
  (void)Create("poddisruptionbudgets", namespace_name,
               {{"metadata", {{"name", name}}}, {"spec", spec}});
}

void KubeSim::AddJobQuota(const std::string& namespace_name, const std::string& quota, int limit) {
  (void)Create("resourcequotas", namespace_name,
               {{"metadata", {{"name", quota}}},
                {"spec", {{"hard", {{"count/jobs.batch", std::to_string(limit)}}}}}});
}

absl::StatusOr<Json> KubeSim::Create(const std::string& resource, const std::string& namespace_name,
                                     Json object) {
  const std::string name = TextAt(object, {"metadata", "name"});
  ApiReply reply = impl_->Admin("create", KeyOf(resource, namespace_name, name), std::move(object));
  if (!reply.ok()) return ToStatus(reply);
  return reply.body;
}

Json KubeSim::Get(const std::string& resource, const std::string& namespace_name,
                  const std::string& name) const {
  Object object = impl_->store.Get(KeyOf(resource, namespace_name, name));
  return object == nullptr ? Json() : *object;
}

std::vector<Json> KubeSim::List(const std::string& resource,
                                const std::string& namespace_name) const {
  std::vector<Json> objects;
  for (const Object& object : impl_->store.List(Known(resource), namespace_name).objects) {
    objects.push_back(*object);
  }
  return objects;
}

std::vector<Json> KubeSim::PodsOfJob(const std::string& namespace_name,
                                     const std::string& job) const {
  std::vector<Json> pods = List("pods", namespace_name);
  std::erase_if(pods, [&](const Json& pod) {
    return TextAt(pod, {"metadata", "labels", "batch.kubernetes.io/job-name"}) != job;
  });
  return pods;
}

std::string KubeSim::PodLog(const std::string& namespace_name, const std::string& pod,
                            const std::string& container) const {
  Json object = Get("pods", namespace_name, pod);
  LogQuery query;
  query.container = !container.empty() || object.is_null()
                        ? container
                        : TextAt(object["spec"]["containers"][0], {"name"});
  return impl_->logs.Read(TextAt(object, {"metadata", "uid"}), query).text;
}

bool KubeSim::JobHas(const std::string& namespace_name, const std::string& job,
                     const std::string& condition) const {
  Json object = Get("jobs", namespace_name, job);
  const Json& conditions = At(object, {"status", "conditions"});
  for (size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (conditions[i]["type"] == condition) return conditions[i]["status"] == "True";
  }
  return false;
}

int KubeSim::Replicas(const std::string& namespace_name, const std::string& deployment) const {
  return static_cast<int>(
      NumberAt(Get("deployments", namespace_name, deployment), {"spec", "replicas"}));
}

void KubeSim::RegisterProgram(std::vector<std::string> argv_prefix, Program program) {
  absl::MutexLock lock(&impl_->programs_mu);
  impl_->programs.Register(std::move(argv_prefix), std::move(program));
}

void KubeSim::HoldJobs(const std::string& job_prefix) { impl_->control.SetHeld(job_prefix, true); }

void KubeSim::ReleaseJobs(const std::string& job_prefix) {
  impl_->control.SetHeld(job_prefix, false);
  impl_->work.Notify();
}

void KubeSim::FinishPod(const std::string& job_prefix, int exit_code, const std::string& log,
                        const std::string& termination_message) {
  impl_->control.AddFinish({job_prefix, exit_code, log, termination_message});
  impl_->work.Notify();
}

void KubeSim::SetPodFate(const std::string& job_prefix, PodFate fate) {
  impl_->control.SetFate(job_prefix, fate);
}

void KubeSim::SetDeploymentPodFate(const std::string& namespace_name, const std::string& deployment,
                                   PodFate fate) {
  impl_->control.SetDeploymentFate(namespace_name, deployment, fate);
}

void KubeSim::HoldPodTermination() { impl_->control.SetTerminationHeld(true); }

void KubeSim::ReleasePodTermination() {
  impl_->control.SetTerminationHeld(false);
  impl_->work.Notify();
}

void KubeSim::PauseControllers() { impl_->controllers.SetPaused(true); }

void KubeSim::ResumeControllers() { impl_->controllers.SetPaused(false); }

void KubeSim::HoldDeploymentRollout(const std::string& namespace_name,
                                    const std::string& deployment) {
  impl_->control.SetRolloutHeld(namespace_name, deployment, true);
}

void KubeSim::ReleaseDeploymentRollout(const std::string& namespace_name,
                                       const std::string& deployment) {
  impl_->control.SetRolloutHeld(namespace_name, deployment, false);
  impl_->work.Notify();
}

absl::Status KubeSim::DeleteJobExternally(const std::string& namespace_name,
                                          const std::string& job) {
  ApiReply reply = impl_->Admin("delete", KeyOf("jobs", namespace_name, job),
                                {{"propagationPolicy", "Background"}});
  return reply.ok() ? absl::OkStatus() : ToStatus(reply);
}

absl::Status KubeSim::SuspendJobExternally(const std::string& namespace_name,
                                           const std::string& job) {
  return PatchExternally("jobs", namespace_name, job, {{"spec", {{"suspend", true}}}});
}

absl::Status KubeSim::DeletePodExternally(const std::string& namespace_name,
                                          const std::string& pod) {
  ApiReply reply = impl_->Admin("delete", KeyOf("pods", namespace_name, pod), nullptr);
  return reply.ok() ? absl::OkStatus() : ToStatus(reply);
}

absl::Status KubeSim::PatchExternally(const std::string& resource,
                                      const std::string& namespace_name, const std::string& name,
                                      const Json& merge_patch) {
  ApiReply reply = impl_->Admin("patch", KeyOf(resource, namespace_name, name), merge_patch);
  return reply.ok() ? absl::OkStatus() : ToStatus(reply);
}

int KubeSim::InjectFault(Fault fault) { return impl_->faults.Inject(std::move(fault)); }

void KubeSim::ReleaseFault(int id) {
  impl_->faults.Release(id);
  impl_->activity.Notify();
}

void KubeSim::ClearFaults() {
  impl_->faults.Clear();
  impl_->activity.Notify();
}

int KubeSim::FaultHits(int id) const { return impl_->faults.Hits(id); }

std::vector<std::pair<int, Fault>> KubeSim::Faults() const { return impl_->faults.List(); }

void KubeSim::Forbid(const std::string& verb, const std::string& resource,
                     const std::string& namespace_name) {
  impl_->api.Forbid(verb, resource, namespace_name, ApiServer::Caller::kOutside);
}

void KubeSim::Grant(const std::string& user, const Right& right) { impl_->api.Grant(user, right); }

void KubeSim::ForbidPods(const std::string& verb, const std::string& resource,
                         const std::string& namespace_name) {
  impl_->api.Forbid(verb, resource, namespace_name, ApiServer::Caller::kPod);
}

void KubeSim::SetToken(const std::string& token) { impl_->http.SetToken(token); }

void KubeSim::CompactHistory() { impl_->store.Compact(); }

void KubeSim::CloseWatches() { impl_->http.CloseWatches(); }

void KubeSim::SendBookmarks() { impl_->http.SendBookmarks(); }

int KubeSim::OpenWatches(const std::string& resource) const {
  return impl_->http.OpenWatches(resource);
}

std::vector<AuditEntry> KubeSim::Audit() const { return impl_->audit.Entries(); }

int KubeSim::CountCalls(const std::string& verb, const std::string& resource,
                        const std::string& name_prefix, const std::string& subresource) const {
  int count = 0;
  for (const AuditEntry& entry : impl_->audit.Entries()) {
    bool fits = (verb.empty() || entry.verb == verb) &&
                (resource.empty() || entry.resource == resource) &&
                entry.name.starts_with(name_prefix) &&
                (subresource == "*" || entry.subresource == subresource);
    count += fits ? 1 : 0;
  }
  return count;
}

int KubeSim::PodsRun(const std::string& job) const {
  int count = 0;
  for (const PodRun& run : impl_->audit.PodRuns()) count += run.job == job ? 1 : 0;
  return count;
}

int KubeSim::PodsRunByUid(const std::string& job_uid) const {
  int count = 0;
  for (const PodRun& run : impl_->audit.PodRuns()) count += run.job_uid == job_uid ? 1 : 0;
  return count;
}

std::vector<PodRun> KubeSim::PodRuns() const { return impl_->audit.PodRuns(); }

std::vector<ScaleRecord> KubeSim::Scales(const std::string& namespace_name,
                                         const std::string& deployment) const {
  std::vector<ScaleRecord> scales = impl_->audit.Scales();
  std::erase_if(scales, [&](const ScaleRecord& scale) {
    return (!namespace_name.empty() && scale.namespace_name != namespace_name) ||
           (!deployment.empty() && scale.deployment != deployment);
  });
  return scales;
}

bool KubeSim::WaitFor(const std::function<bool()>& predicate, absl::Duration timeout) const {
  absl::Time end = absl::Now() + timeout;
  for (;;) {
    uint64_t seen = impl_->activity.Generation();
    if (predicate()) return true;
    absl::Duration left = end - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    impl_->activity.WaitBeyond(seen, left);
  }
}

}  // namespace capstan::kubesim
