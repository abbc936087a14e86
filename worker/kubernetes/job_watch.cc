#include "worker/kubernetes/job_watch.h"

#include <utility>

#include "core/kubernetes_names.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {
namespace {

std::string KeyOf(std::string_view name_space, std::string_view name) {
  return Cat(name_space, "/", name);
}

std::string KeyOf(const Json& object) {
  return KeyOf(StringField(object, {"metadata", "namespace"}),
               StringField(object, {"metadata", "name"}));
}

std::string JobUidOf(const Json& pod) {
  return StringField(pod, {"metadata", "labels", kControllerUidLabel});
}

Json WithoutManagedFields(Json object) {
  if (auto metadata = object.find("metadata"); metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
  }
  return object;
}

void EraseEntry(const std::string& key, uint64_t id, std::multimap<std::string, uint64_t>* index) {
  const auto [begin, end] = index->equal_range(key);
  for (auto it = begin; it != end; ++it) {
    if (it->second != id) continue;
    index->erase(it);
    return;
  }
}

// Equal for equal states: what has been delivered need not be delivered again.
std::string FingerprintOf(const JobObservation& observation) {
  std::string fingerprint = observation.found ? observation.resource_version : "gone";
  for (const Json& pod : observation.pods) {
    Append(&fingerprint, "|", StringField(pod, {"metadata", "name"}), "=",
           StringField(pod, {"metadata", "resourceVersion"}));
  }
  return fingerprint;
}

}  // namespace

JobWatch::JobWatch(Client& client, Clock& clock, JobWatchOptions options)
    : client_(client), clock_(clock), options_(std::move(options)) {}

JobWatch::~JobWatch() { Stop(); }

void JobWatch::Start() {
  absl::MutexLock lock(&mu_);
  if (stopping_ || !threads_.empty()) return;
  const std::string selector = Cat(kInstallationLabel, "=", options_.installation);
  threads_.emplace_back([this, selector](std::stop_token stop) {
    Reflector(client_, clock_, kJobs, options_.name_space, selector, options_.reflector,
              {.on_list_begins =
                   [this] {
                     absl::MutexLock lock(&mu_);
                     ++lists_begun_;
                   },
               .on_list = [this](std::vector<Json> jobs) { ReplaceJobs(std::move(jobs)); },
               .on_upsert = [this](Json job) { UpsertJob(std::move(job)); },
               .on_delete = [this](Json job) { DeleteJob(job); }})
        .Run(stop);
  });
  threads_.emplace_back([this, selector](std::stop_token stop) {
    Reflector(client_, clock_, kPods, options_.name_space, selector, options_.reflector,
              {.on_list_begins = [] {},
               .on_list = [this](std::vector<Json> pods) { ReplacePods(std::move(pods)); },
               .on_upsert = [this](Json pod) { UpsertPod(std::move(pod)); },
               .on_delete = [this](Json pod) { DeletePod(pod); }})
        .Run(stop);
  });
  threads_.emplace_back([this](std::stop_token) { Deliver(); });
}

void JobWatch::Stop() {
  std::vector<std::jthread> threads;
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::jthread& thread : threads) thread.request_stop();
  for (std::jthread& thread : threads) thread.join();
}

uint64_t JobWatch::Subscribe(JobRef ref, Callback callback) {
  CAPSTAN_CHECK(!ref.uid.empty());
  absl::MutexLock lock(&mu_);
  const uint64_t id = next_id_++;
  by_key_.emplace(KeyOf(ref.name_space, ref.name), id);
  by_uid_.emplace(ref.uid, id);
  subscribers_.emplace(id,
                       Subscriber{std::move(ref), std::move(callback), lists_begun_, false, ""});
  dirty_.insert(id);
  return id;
}

void JobWatch::Unsubscribe(uint64_t id) {
  absl::MutexLock lock(&mu_);
  if (auto found = subscribers_.find(id); found != subscribers_.end()) {
    const JobRef& ref = found->second.ref;
    EraseEntry(KeyOf(ref.name_space, ref.name), id, &by_key_);
    EraseEntry(ref.uid, id, &by_uid_);
    subscribers_.erase(found);
  }
  dirty_.erase(id);
  if (delivery_thread_ == std::this_thread::get_id()) return;
  const auto not_running = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return delivering_ != id; };
  mu_.Await(absl::Condition(&not_running));
}

JobWatchStats JobWatch::Stats() {
  absl::MutexLock lock(&mu_);
  JobWatchStats stats = stats_;
  stats.jobs = jobs_.size();
  stats.subscriptions = subscribers_.size();
  return stats;
}

void JobWatch::ReplaceJobs(std::vector<Json> jobs) {
  std::map<Key, Json> replacement;
  for (Json& job : jobs) {
    Key key = KeyOf(job);
    replacement[std::move(key)] = WithoutManagedFields(std::move(job));
  }
  absl::MutexLock lock(&mu_);
  jobs_ = std::move(replacement);
  lists_completed_ = lists_begun_;
  ++stats_.lists;
  MarkAll();
}

void JobWatch::UpsertJob(Json job) {
  Key key = KeyOf(job);
  job = WithoutManagedFields(std::move(job));
  absl::MutexLock lock(&mu_);
  ++stats_.events;
  MarkKey(key);
  jobs_[std::move(key)] = std::move(job);
}

void JobWatch::DeleteJob(const Json& job) {
  const Key key = KeyOf(job);
  absl::MutexLock lock(&mu_);
  ++stats_.events;
  jobs_.erase(key);
  MarkKey(key);
}

void JobWatch::ReplacePods(std::vector<Json> pods) {
  std::map<std::string, std::map<std::string, Json>> replacement;
  for (Json& pod : pods) {
    const std::string uid = JobUidOf(pod);
    const std::string name = StringField(pod, {"metadata", "name"});
    replacement[uid][name] = WithoutManagedFields(std::move(pod));
  }
  absl::MutexLock lock(&mu_);
  pods_ = std::move(replacement);
  ++stats_.lists;
  MarkAll();
}

void JobWatch::UpsertPod(Json pod) {
  const std::string uid = JobUidOf(pod);
  std::string name = StringField(pod, {"metadata", "name"});
  pod = WithoutManagedFields(std::move(pod));
  absl::MutexLock lock(&mu_);
  ++stats_.events;
  pods_[uid][std::move(name)] = std::move(pod);
  MarkUid(uid);
}

void JobWatch::DeletePod(const Json& pod) {
  const std::string uid = JobUidOf(pod);
  absl::MutexLock lock(&mu_);
  ++stats_.events;
  if (auto found = pods_.find(uid); found != pods_.end()) {
    found->second.erase(StringField(pod, {"metadata", "name"}));
    if (found->second.empty()) pods_.erase(found);
  }
  MarkUid(uid);
}

void JobWatch::MarkKey(const Key& key) {
  const auto [begin, end] = by_key_.equal_range(key);
  for (auto it = begin; it != end; ++it) dirty_.insert(it->second);
}

void JobWatch::MarkUid(const std::string& uid) {
  const auto [begin, end] = by_uid_.equal_range(uid);
  for (auto it = begin; it != end; ++it) dirty_.insert(it->second);
}

void JobWatch::MarkAll() {
  for (const auto& [id, subscriber] : subscribers_) dirty_.insert(id);
}

void JobWatch::Deliver() {
  {
    absl::MutexLock lock(&mu_);
    delivery_thread_ = std::this_thread::get_id();
  }
  while (true) {
    Callback callback;
    JobObservation observation;
    {
      absl::MutexLock lock(&mu_);
      delivering_ = 0;
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return stopping_ || !dirty_.empty();
      };
      mu_.Await(absl::Condition(&ready));
      if (stopping_) return;
      const uint64_t id = *dirty_.begin();
      dirty_.erase(dirty_.begin());
      if (!NextDelivery(id, &callback, &observation)) continue;
      delivering_ = id;
      ++stats_.deliveries;
    }
    callback(observation);
  }
}

bool JobWatch::NextDelivery(uint64_t id, Callback* callback, JobObservation* observation) {
  auto found = subscribers_.find(id);
  if (found == subscribers_.end()) return false;
  Subscriber& subscriber = found->second;

  std::vector<Json> pods;
  if (auto known = pods_.find(subscriber.ref.uid); known != pods_.end()) {
    for (const auto& [name, pod] : known->second) pods.push_back(pod);
  }
  auto job = jobs_.find(KeyOf(subscriber.ref.name_space, subscriber.ref.name));
  *observation =
      ObservationOf(job == jobs_.end() ? Json() : job->second, subscriber.ref.uid, std::move(pods));
  if (observation->found) {
    subscriber.seen = true;
  } else if (!subscriber.seen && lists_completed_ <= subscriber.lists_begun) {
    return false;  // too young to be missed: the watch may simply not know it yet
  }

  std::string fingerprint = FingerprintOf(*observation);
  if (fingerprint == subscriber.delivered) return false;
  subscriber.delivered = std::move(fingerprint);
  *callback = subscriber.callback;
  return true;
}

}  // namespace capstan::kubernetes
