#include "tests/support/kubesim/controller_thread.h"

#include <utility>

#include "tests/support/kubesim/disruption.h"

namespace capstan::kubesim {
namespace {

const Resource* ResourceOfKind(std::string_view kind) {
  for (const Resource& resource : AllResources()) {
    if (resource.kind == kind) return &resource;
  }
  return nullptr;
}

}  // namespace

void ChangeQueue::Push(const Change& change) {
  absl::MutexLock lock(&mu_);
  changes_.push_back(change);
}

std::vector<Change> ChangeQueue::Take() {
  absl::MutexLock lock(&mu_);
  return std::exchange(changes_, {});
}

ControllerThread::ControllerThread(ObjectStore& store, ChangeSignal& signal, ChangeQueue& queue,
                                   Timers& timers, JobController& jobs,
                                   DeploymentController& deployments, GarbageCollector& collector,
                                   Kubelet& kubelet)
    : store_(store),
      signal_(signal),
      queue_(queue),
      timers_(timers),
      jobs_(jobs),
      deployments_(deployments),
      collector_(collector),
      kubelet_(kubelet) {}

ControllerThread::~ControllerThread() { Stop(); }

void ControllerThread::Start() {
  thread_ = std::thread([this] { Run(); });
}

void ControllerThread::Stop() {
  stopped_ = true;
  signal_.Notify();
  if (thread_.joinable()) thread_.join();
}

void ControllerThread::SetPaused(bool paused) {
  paused_ = paused;
  signal_.Notify();
}

void ControllerThread::Run() {
  while (!stopped_) {
    uint64_t seen = signal_.Generation();
    Sort(queue_.Take());
    for (const ObjectKey& key : timers_.TakeDue()) dirty_.insert(key);
    if (!paused_) Reconcile();
    kubelet_.Step();
    // What the steps above changed moved the generation: then this does not wait.
    signal_.WaitBeyond(seen, absl::InfiniteDuration());
  }
}

void ControllerThread::Sort(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    const std::string_view kind = change.key.resource->kind;
    if (kind == "Pod") kubelet_.OnPodChange(change);
    if (change.type == Change::Type::kDeleted) deleted_.push_back(change.object);
    dirty_.insert(change.key);
    const Json& owners = At(*change.object, {"metadata", "ownerReferences"});
    for (size_t i = 0; owners.is_array() && i < owners.size(); ++i) {
      const Resource* resource = ResourceOfKind(TextAt(owners[i], {"kind"}));
      if (resource == nullptr) continue;
      dirty_.insert({resource, change.key.namespace_name, TextAt(owners[i], {"name"})});
    }
    if (kind == "Pod" || kind == "Deployment") {  // budgets count them
      const Resource& budgets = *FindResource("poddisruptionbudgets");
      for (const Object& budget : store_.List(budgets, change.key.namespace_name).objects) {
        dirty_.insert({&budgets, change.key.namespace_name, TextAt(*budget, {"metadata", "name"})});
      }
    }
    if (kind != "ServiceAccount") continue;
    // Jobs whose pods were refused for want of it.
    const Resource& jobs = *FindResource("jobs");
    for (const Object& job : store_.List(jobs, change.key.namespace_name).objects) {
      dirty_.insert({&jobs, change.key.namespace_name, TextAt(*job, {"metadata", "name"})});
    }
  }
}

void ControllerThread::Reconcile() {
  for (const Object& object : std::exchange(deleted_, {})) collector_.OnDeleted(*object);
  std::set<std::string> quota_namespaces;
  for (const ObjectKey& key : std::exchange(dirty_, {})) {
    const std::string_view kind = key.resource->kind;
    if (kind == "Job") jobs_.Reconcile(key);
    if (kind == "Deployment") deployments_.Reconcile(key);
    if (kind == "PodDisruptionBudget") ReconcileBudget(store_, key);
    if (kind == "Job" || kind == "ResourceQuota") quota_namespaces.insert(key.namespace_name);
    collector_.Reconcile(key);
  }
  for (const std::string& name : quota_namespaces) UpdateQuotas(name);
}

void ControllerThread::UpdateQuotas(const std::string& namespace_name) {
  const Resource& quotas = *FindResource("resourcequotas");
  for (const Object& quota : store_.List(quotas, namespace_name).objects) {
    size_t used = store_.List(*FindResource("jobs"), namespace_name).objects.size();
    store_.Edit({&quotas, namespace_name, TextAt(*quota, {"metadata", "name"})}, [&](Json& edited) {
      edited["status"] = {{"hard", At(edited, {"spec", "hard"})},
                          {"used", {{"count/jobs.batch", std::to_string(used)}}}};
      return true;
    });
  }
}

}  // namespace capstan::kubesim
