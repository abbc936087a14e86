#include "tests/proof/apiserver_audit.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "core/kubernetes_names.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::proof {
namespace {

using Json = nlohmann::json;

std::string Text(const Json& json, const char* path) {
  const Json::json_pointer pointer(path);
  return json.contains(pointer) && json[pointer].is_string() ? json[pointer].get<std::string>()
                                                             : "";
}

absl::Time TimeOf(const Json& event, const char* field) {
  absl::Time time;
  std::string error;
  CAPSTAN_CHECK(absl::ParseTime(absl::RFC3339_full, Text(event, field), &time, &error));
  return time;
}

// "capstan-<hex>", of the name of one of its pods.
std::string JobOfPod(const std::string& pod) { return pod.substr(0, pod.rfind('-')); }

bool IsWrite(const std::string& verb) {
  return verb == "create" || verb == "update" || verb == "patch" || verb == "delete" ||
         verb == "deletecollection";
}

bool HasEnded(const Json& job) {
  for (const Json& condition : job.value("/status/conditions"_json_pointer, Json::array())) {
    const std::string type = Text(condition, "/type");
    if ((type == "Complete" || type == "Failed") && Text(condition, "/status") == "True")
      return true;
  }
  return false;
}

class Reader {
 public:
  Reader(std::string actions, std::string system, History& history)
      : actions_(std::move(actions)),
        worker_(Cat("system:serviceaccount:", system, ":capstan-worker")),
        executors_(Cat("system:serviceaccount:", actions_, ":")),
        history_(history) {}

  void Read(const Json& event) {
    if (Text(event, "/stage") != "ResponseComplete") return;
    kubesim::AuditEntry entry;
    entry.time = TimeOf(event, "/requestReceivedTimestamp");
    entry.verb = Text(event, "/verb");
    entry.resource = Text(event, "/objectRef/resource");
    entry.subresource = Text(event, "/objectRef/subresource");
    entry.namespace_name = Text(event, "/objectRef/namespace");
    entry.name = Text(event, "/objectRef/name");
    if (entry.name.empty()) entry.name = Text(event, "/responseObject/metadata/name");
    entry.uid = Text(event, "/responseObject/metadata/uid");
    entry.user_agent = Text(event, "/userAgent");
    entry.code = event.value("/responseStatus/code"_json_pointer, 0);
    entry.applied = IsWrite(entry.verb) && entry.code >= 200 && entry.code < 300;
    entry.dry_run = absl::StrContains(Text(event, "/requestURI"), "dryRun=");
    const std::string user = Text(event, "/user/username");
    if (absl::StartsWith(user, executors_))
      entry.actor_job = JobOfPod(event["user"].value(
          "/extra/authentication.kubernetes.io~1pod-name/0"_json_pointer, std::string("nobody-")));
    if (entry.applied && !entry.dry_run) Applied(event, entry);
    if (IsWrite(entry.verb) && entry.code >= 500 && !entry.dry_run) Unanswered(entry);
    const bool of_worker = user == worker_ && entry.subresource.empty();
    const bool of_executor = entry.applied && !entry.actor_job.empty();
    if (of_worker || of_executor) history_.audit.push_back(std::move(entry));
  }

  void Finish() {
    for (auto& [name, job] : jobs_) {
      if (!job.armed.has_value()) continue;
      std::optional<absl::Time> until = job.ended;
      if (!until.has_value() && job.deleted) until = job.last_write;
      history_.armed.push_back({name, *job.armed, until});
    }
  }

 private:
  struct Job {
    std::optional<absl::Time> armed, ended;
    bool deleted = false;
    absl::Time last_write;  // of it and its pods
    // A patch whose client was gone before the answer: what the Job is next tells.
    std::optional<kubesim::AuditEntry> unanswered_arm;
  };

  void Unanswered(const kubesim::AuditEntry& entry) {
    if (entry.resource == "deployments") replicas_[{entry.namespace_name, entry.name}] = kNotKnown;
    if (entry.resource != "jobs" || entry.verb != "patch" || entry.namespace_name != actions_)
      return;
    std::optional<kubesim::AuditEntry>& arm = jobs_[entry.name].unanswered_arm;
    if (!arm.has_value()) arm = entry;
  }

  void Applied(const Json& event, const kubesim::AuditEntry& entry) {
    const auto answer = event.find("responseObject");
    const Json object = answer != event.end() && answer->is_object() ? *answer : Json::object();
    if (entry.resource == "deployments") return Deployment(object, entry);
    if (entry.namespace_name != actions_) return;
    const bool job = entry.resource == "jobs";
    if (!job && entry.resource != "pods") return;
    if (!entry.name.starts_with(kJobNamePrefix)) return;
    Job& whose = jobs_[job ? entry.name : JobOfPod(entry.name)];
    const absl::Time done = TimeOf(event, "/stageTimestamp");
    whose.last_write = std::max(whose.last_write, done);
    if (!job) return Pod(object, entry);
    if (entry.verb == "delete") whose.deleted = true;
    if (!object.value("/spec/suspend"_json_pointer, true)) Armed(object, entry, whose);
    if (!whose.ended.has_value() && HasEnded(object)) whose.ended = done;
  }

  void Armed(const Json& object, const kubesim::AuditEntry& entry, Job& whose) {
    if (whose.armed.has_value()) return;
    if (entry.verb == "patch" && entry.subresource.empty()) {
      whose.armed = entry.time;  // whatever was not answered before did nothing
    } else if (whose.unanswered_arm.has_value()) {
      kubesim::AuditEntry arm = *whose.unanswered_arm;
      arm.uid = Text(object, "/metadata/uid");
      arm.applied = arm.reply_cut = true;
      whose.armed = arm.time;
      history_.audit.push_back(std::move(arm));
    }
  }

  void Pod(const Json& pod, const kubesim::AuditEntry& entry) {
    if (Text(pod, "/status/phase") != "Running" || !ran_.insert(entry.name).second) return;
    history_.pod_runs.push_back({entry.namespace_name, entry.name, JobOfPod(entry.name),
                                 Text(pod, "/metadata/ownerReferences/0/uid")});
  }

  void Deployment(const Json& object, const kubesim::AuditEntry& entry) {
    const auto replicas = "/spec/replicas"_json_pointer;
    if (entry.subresource == "status" || !object.contains("/spec"_json_pointer)) return;
    int& now = replicas_[{entry.namespace_name, entry.name}];
    const int before = std::exchange(now, object.value(replicas, 0));
    if (entry.subresource != "scale") return;
    history_.scales.push_back({entry.namespace_name, entry.name, before, now, entry.actor_job, ""});
  }

  const std::string actions_, worker_, executors_;
  History& history_;
  std::map<std::string, Job> jobs_;
  std::set<std::string> ran_;
  std::map<std::pair<std::string, std::string>, int> replicas_;
};

}  // namespace

void ReadApiserverAudit(std::istream& log, const std::string& actions_namespace,
                        const std::string& system_namespace, History& history) {
  Reader reader(actions_namespace, system_namespace, history);
  for (std::string line; std::getline(log, line);) {
    const Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!event.is_discarded()) reader.Read(event);
  }
  reader.Finish();
}

}  // namespace capstan::proof
