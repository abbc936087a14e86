#include "tests/support/kubesim/job_controller.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "tests/support/kubesim/admission.h"
#include "tests/support/kubesim/deletion.h"
#include "tests/support/kubesim/events.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr char kController[] = "job-controller";
constexpr int kNameSuffixLength = 5;

const Json* FindCondition(const Json& status, std::string_view type) {
  const Json& conditions = At(status, {"conditions"});
  for (size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (TextAt(conditions[i], {"type"}) == type) return &conditions[i];
  }
  return nullptr;
}

bool IsTrue(const Json& status, std::string_view type) {
  const Json* condition = FindCondition(status, type);
  return condition != nullptr && TextAt(*condition, {"status"}) == "True";
}

void SetCondition(Json& status, const std::string& type, bool value, const std::string& reason,
                  const std::string& message, absl::Time now) {
  Json condition = {{"type", type},
                    {"status", value ? "True" : "False"},
                    {"reason", reason},
                    {"message", message},
                    {"lastProbeTime", Timestamp(now)},
                    {"lastTransitionTime", Timestamp(now)}};
  for (Json& known : status["conditions"]) {
    if (known["type"] != type) continue;
    if (known["status"] != condition["status"] || known["reason"] != reason) known = condition;
    return;
  }
  status["conditions"].push_back(std::move(condition));
}

bool Succeeded(const Json& pod) { return TextAt(pod, {"status", "phase"}) == "Succeeded"; }
bool Failed(const Json& pod) { return TextAt(pod, {"status", "phase"}) == "Failed"; }

struct FailureRule {
  std::string action;
  std::string message;
};

std::optional<std::string> MatchExitCodes(const Json& rule, const Json& pod) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    const Json& statuses = At(pod, {"status", list});
    for (size_t i = 0; statuses.is_array() && i < statuses.size(); ++i) {
      const Json& code = At(statuses[i], {"state", "terminated", "exitCode"});
      const std::string container = TextAt(statuses[i], {"name"});
      const std::string wanted = TextAt(rule, {"containerName"});
      if (!code.is_number() || code == 0 || (!wanted.empty() && wanted != container)) continue;
      const Json& values = At(rule, {"values"});
      bool listed = std::find(values.begin(), values.end(), code) != values.end();
      if (listed == (TextAt(rule, {"operator"}) == "In")) {
        return Cat("Container ", container, " for pod ", TextAt(pod, {"metadata", "namespace"}),
                   "/", TextAt(pod, {"metadata", "name"}), " failed with exit code ",
                   code.get<int>());
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> MatchConditions(const Json& patterns, const Json& pod) {
  for (const Json& pattern : patterns) {
    const std::string status = pattern.value("status", "True");
    const Json* condition = FindCondition(At(pod, {"status"}), TextAt(pattern, {"type"}));
    if (condition != nullptr && TextAt(*condition, {"status"}) == status) {
      return Cat("Pod ", TextAt(pod, {"metadata", "namespace"}), "/",
                 TextAt(pod, {"metadata", "name"}), " has condition ", TextAt(pattern, {"type"}));
    }
  }
  return std::nullopt;
}

// The first rule of podFailurePolicy that fits this failed pod.
std::optional<FailureRule> MatchFailureRule(const Json& job, const Json& pod) {
  const Json& rules = At(job, {"spec", "podFailurePolicy", "rules"});
  for (size_t i = 0; rules.is_array() && i < rules.size(); ++i) {
    std::optional<std::string> match;
    if (rules[i].contains("onExitCodes")) {
      match = MatchExitCodes(rules[i]["onExitCodes"], pod);
    } else if (rules[i].contains("onPodConditions")) {
      match = MatchConditions(rules[i]["onPodConditions"], pod);
    }
    if (!match.has_value()) continue;
    const std::string action = TextAt(rules[i], {"action"});
    return FailureRule{action, Cat(*match, " matching ", action, " rule at index ", i)};
  }
  return std::nullopt;
}

Json PodOf(const ObjectKey& key, const Json& job, const std::string& name) {
  const Json& pod_template = At(job, {"spec", "template"});
  Json pod = {
      {"metadata", At(pod_template, {"metadata"}).is_object() ? At(pod_template, {"metadata"})
                                                              : Json::object()},
      {"spec", At(pod_template, {"spec"})}};
  Json& metadata = pod["metadata"];
  metadata["name"] = name;
  metadata["generateName"] = Cat(key.name, "-");
  metadata["namespace"] = key.namespace_name;
  metadata["finalizers"] = Json::array({std::string(kJobTrackingFinalizer)});
  metadata["ownerReferences"] = Json::array({{{"apiVersion", "batch/v1"},
                                              {"kind", "Job"},
                                              {"name", key.name},
                                              {"uid", TextAt(job, {"metadata", "uid"})},
                                              {"controller", true},
                                              {"blockOwnerDeletion", true}}});
  ApplyDefaults(*FindResource("pods"), pod);
  return pod;
}

}  // namespace

JobController::JobController(ObjectStore& store, Clock& clock, Timers& timers,
                             bool require_service_accounts)
    : store_(store),
      clock_(clock),
      timers_(timers),
      require_service_accounts_(require_service_accounts),
      random_(std::random_device{}()) {}

JobController::Pods JobController::Sort(const std::string& uid) const {
  Pods pods;
  for (auto& [key, pod] : store_.Dependents(uid)) {
    if (key.resource->kind != "Pod") continue;
    bool finished = Succeeded(*pod) || Failed(*pod);
    if (finished) {
      if (HasFinalizer(*pod, kJobTrackingFinalizer)) pods.uncounted.emplace_back(key, pod);
    } else if (IsBeingDeleted(*pod)) {
      pods.terminating.emplace_back(key, pod);
    } else {
      pods.active.emplace_back(key, pod);
      if (IsTrue(At(*pod, {"status"}), "Ready")) ++pods.ready;
    }
  }
  return pods;
}

void JobController::Reconcile(const ObjectKey& key) {
  Object job = store_.Get(key);
  if (job == nullptr || !At(*job, {"spec", "managedBy"}).is_null()) return;
  const std::string uid = TextAt(*job, {"metadata", "uid"});
  Json status = At(*job, {"status"}).is_object() ? At(*job, {"status"}) : Json::object();
  Pods pods = Sort(uid);
  if (TextAt(*job, {"spec", "podReplacementPolicy"}) != "Failed") {
    // Under this policy a pod counts as failed from its deletion on.
    for (const auto& pod : pods.terminating) {
      if (HasFinalizer(*pod.second, kJobTrackingFinalizer)) pods.uncounted.push_back(pod);
    }
  }
  if (!IsTrue(status, "Complete") && !IsTrue(status, "Failed")) {
    Count(*job, pods, status);
    int created = 0;
    if (Verdict verdict = Judge(key, *job, pods, status); !verdict.reason.empty()) {
      Conclude(verdict, pods, status);
    } else if (At(*job, {"spec", "suspend"}) == true) {
      Suspend(pods, status);
      started_.erase(uid);
    } else {
      created = Run(key, *job, pods, status);
    }
    bool stopping = IsTrue(status, "FailureTarget") || IsTrue(status, "SuccessCriteriaMet") ||
                    IsTrue(status, "Suspended");
    int64_t active = stopping ? 0 : static_cast<int64_t>(pods.active.size()) + created;
    bool started = status.contains("startTime");
    status.erase("active");
    if (active > 0) status["active"] = active;
    if (started) {
      status["ready"] = active > 0 ? pods.ready : 0;
      status["terminating"] = pods.terminating.size();
      status["uncountedTerminatedPods"] = Json::object();
    }
    store_.Edit(key, [&](Json& edited) {
      if (TextAt(edited, {"metadata", "uid"}) != uid) return false;
      edited["status"] = status;
      return true;
    });
  }
  // Only what the status now counts may lose its finalizer.
  for (const auto& [pod_key, pod] : pods.uncounted) {
    store_.Edit(pod_key, [](Json& edited) {
      RemoveFinalizer(edited, kJobTrackingFinalizer);
      return true;
    });
  }
  ExpireFinished(key, *job);
}

void JobController::Count(const Json& job, const Pods& pods, Json& status) {
  for (const auto& [key, pod] : pods.uncounted) {
    if (Succeeded(*pod)) {
      status["succeeded"] = NumberAt(status, {"succeeded"}) + 1;
      continue;
    }
    std::optional<FailureRule> rule = MatchFailureRule(job, *pod);
    if (rule.has_value() && rule->action == "Ignore") continue;
    status["failed"] = NumberAt(status, {"failed"}) + 1;
  }
}

JobController::Verdict JobController::Judge(const ObjectKey& key, const Json& job, const Pods& pods,
                                            const Json& status) {
  if (const Json* target = FindCondition(status, "FailureTarget")) {
    return {TextAt(*target, {"reason"}), TextAt(*target, {"message"}), false};
  }
  for (const auto& [pod_key, pod] : pods.uncounted) {
    if (!Failed(*pod)) continue;
    std::optional<FailureRule> rule = MatchFailureRule(job, *pod);
    if (rule.has_value() && rule->action == "FailJob") {
      return {"PodFailurePolicy", rule->message, false};
    }
  }
  const Json& spec = At(job, {"spec"});
  if (NumberAt(status, {"failed"}) > NumberAt(spec, {"backoffLimit"}, 6)) {
    return {"BackoffLimitExceeded", "Job has reached the specified backoff limit", false};
  }
  const std::string uid = TextAt(job, {"metadata", "uid"});
  const Json& deadline = At(spec, {"activeDeadlineSeconds"});
  if (deadline.is_number() && started_.contains(uid) && At(spec, {"suspend"}) != true) {
    absl::Duration due = started_[uid] + absl::Seconds(deadline.get<int64_t>());
    if (clock_.BootTime() >= due) {
      return {"DeadlineExceeded", "Job was active longer than specified deadline", false};
    }
    timers_.Add(due, key);
  }
  if (NumberAt(status, {"succeeded"}) >= NumberAt(spec, {"completions"}, 1)) {
    return {"CompletionsReached", "Reached expected number of succeeded pods", true};
  }
  return {};
}

void JobController::Conclude(const Verdict& verdict, const Pods& pods, Json& status) {
  absl::Time now = clock_.Now();
  SetCondition(status, verdict.success ? "SuccessCriteriaMet" : "FailureTarget", true,
               verdict.reason, verdict.message, now);
  for (const auto& [key, pod] : pods.active) {
    DeleteOptions options;
    options.uid = TextAt(*pod, {"metadata", "uid"});
    DeleteObject(store_, now, key, options);
  }
  // The end is announced only when nothing of the Job runs any more.
  if (!pods.active.empty() || !pods.terminating.empty()) return;
  SetCondition(status, verdict.success ? "Complete" : "Failed", true, verdict.reason,
               verdict.message, now);
  if (verdict.success) status["completionTime"] = Timestamp(now);
}

void JobController::Suspend(const Pods& pods, Json& status) {
  for (const auto& [key, pod] : pods.active) {
    // Without the finalizer the pod is not counted as failed.
    store_.Edit(key, [](Json& edited) {
      RemoveFinalizer(edited, kJobTrackingFinalizer);
      return true;
    });
    DeleteOptions options;
    options.uid = TextAt(*pod, {"metadata", "uid"});
    DeleteObject(store_, clock_.Now(), key, options);
  }
  SetCondition(status, "Suspended", true, "JobSuspended", "Job suspended", clock_.Now());
  status.erase("startTime");
}

absl::Duration JobController::StartedAt(const std::string& uid) {
  return started_.try_emplace(uid, clock_.BootTime()).first->second;
}

int JobController::Run(const ObjectKey& key, const Json& job, const Pods& pods, Json& status) {
  if (IsTrue(status, "Suspended")) {
    SetCondition(status, "Suspended", false, "JobResumed", "Job resumed", clock_.Now());
  }
  if (!status.contains("startTime")) status["startTime"] = Timestamp(clock_.Now());
  absl::Duration started = StartedAt(TextAt(job, {"metadata", "uid"}));
  const Json& deadline = At(job, {"spec", "activeDeadlineSeconds"});
  if (deadline.is_number()) timers_.Add(started + absl::Seconds(deadline.get<int64_t>()), key);
  if (IsBeingDeleted(job)) return 0;

  int64_t wanted =
      std::min(NumberAt(job, {"spec", "parallelism"}, 1),
               NumberAt(job, {"spec", "completions"}, 1) - NumberAt(status, {"succeeded"}));
  bool only_when_finished = TextAt(job, {"spec", "podReplacementPolicy"}) == "Failed";
  int64_t present = static_cast<int64_t>(pods.active.size());
  if (only_when_finished) present += static_cast<int64_t>(pods.terminating.size());
  int created = 0;
  for (; present < wanted && CreatePod(key, job); ++present) ++created;
  return created;
}

bool JobController::CreatePod(const ObjectKey& key, const Json& job) {
  const Resource& accounts = *FindResource("serviceaccounts");
  std::string account = TextAt(job, {"spec", "template", "spec", "serviceAccountName"});
  if (account.empty()) account = "default";
  if (require_service_accounts_ &&
      store_.Get({&accounts, key.namespace_name, account}) == nullptr) {
    RecordWarning(store_, clock_.Now(), key, job, kController, "FailedCreate",
                  Cat("Error creating: pods \"", key.name, "-\" is forbidden: error looking up ",
                      "service account ", key.namespace_name, "/", account, ": serviceaccount \"",
                      account, "\" not found"));
    return false;
  }
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string name = Cat(key.name, "-");
  for (int i = 0; i < kNameSuffixLength; ++i) name += kAlphabet[random_() % kAlphabet.size()];
  return store_.Create({FindResource("pods"), key.namespace_name, name}, PodOf(key, job, name)) !=
         nullptr;
}

void JobController::ExpireFinished(const ObjectKey& key, const Json& job) {
  const Json& ttl = At(job, {"spec", "ttlSecondsAfterFinished"});
  const Json& status = At(job, {"status"});
  if (!ttl.is_number() || (!IsTrue(status, "Complete") && !IsTrue(status, "Failed"))) return;
  const std::string uid = TextAt(job, {"metadata", "uid"});
  absl::Duration due = finished_.try_emplace(uid, clock_.BootTime()).first->second +
                       absl::Seconds(ttl.get<int64_t>());
  if (clock_.BootTime() < due) {
    timers_.Add(due, key);
    return;
  }
  DeleteOptions options;
  options.uid = uid;
  DeleteObject(store_, clock_.Now(), key, options);
}

}  // namespace capstan::kubesim
