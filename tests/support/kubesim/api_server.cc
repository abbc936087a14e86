#include "tests/support/kubesim/api_server.h"

#include <utility>

#include "tests/support/kubesim/admission.h"
#include "tests/support/kubesim/data_admission.h"
#include "tests/support/kubesim/disruption.h"
#include "tests/support/kubesim/patch.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr char kUser[] = "system:serviceaccount:capstan:capstan-worker";
constexpr char kSelfReviews[] = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
constexpr char kReviews[] = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
constexpr char kOrphanWarning[] =
    "299 - \"child pods are preserved by default when jobs are deleted; set "
    "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this "
    "warning\"";

ApiReply ObjectReply(int code, const Object& object) {
  ApiReply reply;
  reply.code = code;
  reply.body = *object;
  reply.uid = TextAt(*object, {"metadata", "uid"});
  return reply;
}

std::string VerbOf(const ApiRequest& request, bool named) {
  const std::string& method = request.method;
  if (method == "GET") return named ? "get" : request.Flag("watch") ? "watch" : "list";
  if (method == "POST" && !named) return "create";
  if (method == "PUT" && named) return "update";
  if (method == "PATCH" && named) return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  return "";
}

bool HasSubresource(const Resource& resource, const std::string& name) {
  return name.empty() || (name == "status" && resource.has_status) ||
         (name == "scale" && resource.has_scale) || (name == "log" && resource.has_log) ||
         (name == "eviction" && resource.has_eviction);
}

// What a write may not touch comes back from the current object.
void KeepServerFields(const ApiCall& call, const Json& before, Json& after) {
  Json& metadata = after["metadata"];
  for (const char* key : {"generation", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    metadata.erase(key);
    if (before["metadata"].contains(key)) metadata[key] = before["metadata"][key];
  }
  for (const char* key : {"uid", "name", "namespace", "creationTimestamp"}) {
    if (!metadata.contains(key) && before["metadata"].contains(key)) {
      metadata[key] = before["metadata"][key];
    }
  }
  metadata["resourceVersion"] = before["metadata"]["resourceVersion"];
  after["apiVersion"] = before["apiVersion"];
  after["kind"] = before["kind"];
  if (call.subresource == "status") {
    Json status = At(after, {"status"});
    after = before;
    after["status"] = std::move(status);
  } else if (call.resource->has_status && before.contains("status")) {
    after["status"] = before["status"];
  }
}

Json ScaleOf(const Json& deployment) {
  const Json& metadata = deployment["metadata"];
  std::string selector;
  const Json& labels = At(deployment, {"spec", "selector", "matchLabels"});
  if (labels.is_object()) {
    for (const auto& [key, value] : labels.items()) {
      selector += Cat(selector.empty() ? "" : ",", key, "=", value.get<std::string>());
    }
  }
  return {{"kind", "Scale"},
          {"apiVersion", "autoscaling/v1"},
          {"metadata",
           {{"name", metadata["name"]},
            {"namespace", metadata["namespace"]},
            {"uid", metadata["uid"]},
            {"resourceVersion", metadata["resourceVersion"]},
            {"creationTimestamp", metadata["creationTimestamp"]}}},
          {"spec", {{"replicas", NumberAt(deployment, {"spec", "replicas"})}}},
          {"status",
           {{"replicas", NumberAt(deployment, {"status", "replicas"})}, {"selector", selector}}}};
}

std::variant<Json, ApiReply> Patched(const ApiCall& call, const ApiRequest& request,
                                     const Json& before) {
  absl::StatusOr<Json> after = ApplyPatch(request.content_type, call.body, before);
  if (after.ok()) return *std::move(after);
  switch (after.status().code()) {
    case absl::StatusCode::kInvalidArgument:
      return BadRequest(std::string(after.status().message()));
    case absl::StatusCode::kFailedPrecondition:
      return StatusReply(422, "Invalid",
                         "the server rejected our request due to an error in our request",
                         Json::object());
    default:
      return StatusReply(
          415, "UnsupportedMediaType",
          Cat("the body of the request was in an unknown format - accepted media types include: ",
              kJsonPatch, ", ", kMergePatch, ", ", kStrategicMergePatch));
  }
}

}  // namespace

AuditEntry EntryOf(const ApiCall& call, const ApiRequest& request, const ApiReply& reply,
                   absl::Time now) {
  AuditEntry entry;
  entry.time = now;
  entry.verb = call.verb;
  entry.resource = std::string(call.resource->plural);
  entry.subresource = call.subresource;
  entry.namespace_name = call.key.namespace_name;
  entry.name = call.key.name;
  entry.uid = reply.uid;
  entry.user_agent = request.user_agent;
  entry.code = reply.code;
  entry.applied = reply.applied;
  entry.dry_run = call.dry_run;
  entry.actor_job = request.actor_job;
  return entry;
}

std::string ApiRequest::Param(const std::string& name) const {
  auto value = query.find(name);
  return value == query.end() ? "" : value->second;
}

bool ApiRequest::Flag(const std::string& name) const {
  const std::string value = Param(name);
  return value == "1" || value == "true";
}

ApiServer::ApiServer(ObjectStore& store, Clock& clock, PodLogs& logs, AuditLog& audit)
    : store_(store), clock_(clock), logs_(logs), audit_(audit) {}

std::variant<ApiCall, ApiReply> ApiServer::Parse(const ApiRequest& request) const {
  ApiCall call;
  if (!request.body.empty()) {
    call.body = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
    if (call.body.is_discarded()) {
      return BadRequest(
          "the object provided is unrecognized (must be of type JSON): couldn't get "
          "version/kind; json parse error");
    }
  }
  const std::string dry_run = request.Param("dryRun");
  if (!dry_run.empty() && dry_run != "All") {
    return StatusReply(422, "Invalid",
                       Cat("PatchOptions is invalid: dryRun: Unsupported value: \"", dry_run,
                           "\": supported values: \"All\""));
  }
  call.dry_run = dry_run == "All";
  for (const char* path : {"/version", "/healthz", "/livez", "/readyz"}) {
    if (request.path == path && request.method == "GET") return call;
  }
  if ((request.path == kReviews || request.path == kSelfReviews) && request.method == "POST")
    return call;

  std::vector<std::string> parts = Split(request.path.substr(1), '/');
  if (!parts.empty() && parts.back().empty()) parts.pop_back();
  std::string group;
  std::string version;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    group = parts[1];
    version = parts[2];
    at = 3;
  } else {
    return NotFoundPath();
  }
  if (parts[at] == "namespaces" && parts.size() >= at + 3 && parts[at + 2] != "status") {
    call.key.namespace_name = parts[at + 1];
    at += 2;
  }
  call.resource = FindResource(group, version, parts[at]);
  if (call.resource == nullptr || parts.size() > at + 3) return NotFoundPath();
  call.key.resource = call.resource;
  if (parts.size() > at + 1) call.key.name = parts[at + 1];
  if (parts.size() > at + 2) call.subresource = parts[at + 2];
  bool named = !call.key.name.empty();
  if (!HasSubresource(*call.resource, call.subresource)) return NotFoundPath();
  if (named && call.resource->namespaced && call.key.namespace_name.empty()) return NotFoundPath();
  const bool evicts = call.subresource == "eviction";
  call.verb = evicts && request.method == "POST" ? "create" : VerbOf(request, named);
  if (call.verb.empty() || (call.subresource == "log" && call.verb != "get") ||
      (!call.subresource.empty() && call.verb == "delete") || (evicts && call.verb != "create")) {
    return MethodNotAllowed();
  }
  if (call.verb == "create" && !evicts) call.key.name = TextAt(call.body, {"metadata", "name"});
  return call;
}

void ApiServer::Forbid(const std::string& verb, const std::string& resource,
                       const std::string& namespace_name, Caller caller) {
  absl::MutexLock lock(&rules_mu_);
  rules_.push_back({verb, resource, namespace_name, caller});
}

bool ApiServer::Forbidden(const std::string& verb, const std::string& resource,
                          const std::string& namespace_name, Caller caller) const {
  absl::MutexLock lock(&rules_mu_);
  for (const Rule& rule : rules_) {
    if (rule.caller == caller && (rule.verb.empty() || rule.verb == verb) &&
        (rule.resource.empty() || rule.resource == resource) &&
        (rule.namespace_name.empty() || rule.namespace_name == namespace_name)) {
      return true;
    }
  }
  return false;
}

std::optional<ApiReply> ApiServer::CheckAccess(const ApiCall& call) const {
  return CheckAccess(call, Caller::kOutside, kUser);
}

std::optional<ApiReply> ApiServer::CheckAccess(const ApiCall& call, Caller caller,
                                               std::string_view user) const {
  if (call.resource == nullptr) return std::nullopt;
  std::string resource(call.resource->plural);
  if (!call.subresource.empty()) resource += Cat("/", call.subresource);
  if (!Forbidden(call.verb, resource, call.key.namespace_name, caller)) return std::nullopt;
  std::string scope = call.key.namespace_name.empty()
                          ? "at the cluster scope"
                          : Cat("in the namespace \"", call.key.namespace_name, "\"");
  return ForbiddenReply(*call.resource, call.verb == "create" ? "" : call.key.name,
                        Cat("User \"", user, "\" cannot ", call.verb, " resource \"", resource,
                            "\" in API group \"", call.resource->group, "\" ", scope));
}

ApiReply ApiServer::Handle(const ApiCall& call, const ApiRequest& request) {
  if (call.resource == nullptr) return HandlePlainPath(call, request);
  if (call.verb == "get") return call.subresource == "log" ? Log(call, request) : Get(call);
  if (call.verb == "list") return List(call, request);
  if (call.subresource == "eviction") {
    return EvictPod(store_, clock_.Now(), call.key, call.body, call.dry_run);
  }
  if (call.verb == "create") return Create(call, request);
  if (call.verb == "delete") return Delete(call, request);
  if (call.verb == "deletecollection") return DeleteCollection(call, request);
  return call.subresource == "scale" ? WriteScale(call, request) : Write(call, request);
}

ApiReply ApiServer::HandlePlainPath(const ApiCall& call, const ApiRequest& request) const {
  ApiReply reply;
  if (request.path == kSelfReviews) return ReviewAccess(call.body, kUser);
  if (request.path == kReviews) {
    if (!Forbidden("create", "subjectaccessreviews", "", Caller::kOutside))
      return ReviewAccess(call.body, TextAt(call.body, {"spec", "user"}));
    return StatusReply(403, "Forbidden",
                       Cat("subjectaccessreviews.authorization.k8s.io is forbidden: User \"", kUser,
                           "\" cannot create resource \"subjectaccessreviews\""));
  }
  if (request.path == "/version") {
    reply.body = {{"major", "1"},
                  {"minor", "34"},
                  {"gitVersion", "v1.34.4+kubesim"},
                  {"platform", "linux/amd64"}};
  } else {
    reply.text = "ok";
  }
  return reply;
}

void ApiServer::Grant(const std::string& user, const Right& right) {
  absl::MutexLock lock(&rules_mu_);
  grants_.emplace(user, right);
}

bool ApiServer::Granted(const std::string& user, const Right& right) const {
  absl::MutexLock lock(&rules_mu_);
  if (grants_.empty()) return true;
  Right everywhere = right;
  everywhere.namespace_name.clear();
  return grants_.count({user, right}) != 0 || grants_.count({user, everywhere}) != 0;
}

ApiReply ApiServer::ReviewAccess(const Json& body, const std::string& user) const {
  const Json& attributes = At(body, {"spec", "resourceAttributes"});
  Right right{TextAt(attributes, {"verb"}), TextAt(attributes, {"group"}),
              TextAt(attributes, {"resource"}), TextAt(attributes, {"namespace"})};
  const std::string subresource = TextAt(attributes, {"subresource"});
  if (!subresource.empty()) right.resource += Cat("/", subresource);
  const Caller caller = user == kUser ? Caller::kOutside : Caller::kPod;
  ApiReply reply;
  reply.code = 201;
  reply.body = body;
  reply.body["status"] = {
      {"allowed", Granted(user, right) &&
                      !Forbidden(right.verb, right.resource, right.namespace_name, caller)}};
  return reply;
}

ApiReply ApiServer::Get(const ApiCall& call) const {
  Object object = store_.Get(call.key);
  if (object == nullptr) return NotFound(*call.resource, call.key.name);
  ApiReply reply = ObjectReply(200, object);
  if (call.subresource == "scale") reply.body = ScaleOf(*object);
  return reply;
}

ApiReply ApiServer::List(const ApiCall& call, const ApiRequest& request) const {
  absl::StatusOr<Selector> selector =
      Selector::Parse(request.Param("labelSelector"), request.Param("fieldSelector"));
  if (!selector.ok()) return BadRequest(std::string(selector.status().message()));
  ObjectStore::Snapshot snapshot = store_.List(*call.resource, call.key.namespace_name);
  size_t limit = std::strtoul(request.Param("limit").c_str(), nullptr, 10);

  // A continue token is "REVISION/NAMESPACE/NAME" of the last item given.
  std::pair<std::string, std::string> after;
  if (const std::string token = request.Param("continue"); !token.empty()) {
    std::vector<std::string> parts = Split(token, '/');
    if (parts.size() != 3) return BadRequest("continue key is not valid");
    snapshot.revision = std::strtoll(parts[0].c_str(), nullptr, 10);
    after = {parts[1], parts[2]};
    if (store_.Expired(snapshot.revision)) {
      return Expired(
          "The provided continue parameter is too old to display a consistent list "
          "result. You can start a new list without the continue parameter.");
    }
  }
  Json items = Json::array();
  std::pair<std::string, std::string> last;
  int64_t remaining = 0;
  for (const Object& object : snapshot.objects) {
    std::pair place(TextAt(*object, {"metadata", "namespace"}),
                    TextAt(*object, {"metadata", "name"}));
    if (place <= after || !selector->Matches(*object)) continue;
    if (limit > 0 && items.size() == limit) {
      ++remaining;
      continue;
    }
    Json item = *object;
    item.erase("kind");  // items of a typed list do not repeat it
    item.erase("apiVersion");
    items.push_back(std::move(item));
    last = std::move(place);
  }
  ApiReply reply;
  reply.body = {{"kind", Cat(call.resource->kind, "List")},
                {"apiVersion", ApiVersion(*call.resource)},
                {"metadata", {{"resourceVersion", std::to_string(snapshot.revision)}}},
                {"items", std::move(items)}};
  if (remaining > 0) {
    reply.body["metadata"]["continue"] = Cat(snapshot.revision, "/", last.first, "/", last.second);
    reply.body["metadata"]["remainingItemCount"] = remaining;
  }
  return reply;
}

std::variant<ApiServer::LogTarget, ApiReply> ApiServer::FindLog(const ApiCall& call,
                                                                const ApiRequest& request) const {
  Object pod = store_.Get(call.key);
  if (pod == nullptr) return NotFound(*call.resource, call.key.name);
  LogTarget target;
  target.pod_uid = TextAt(*pod, {"metadata", "uid"});
  target.query.container = request.Param("container");
  target.query.follow = request.Flag("follow");
  target.query.timestamps = request.Flag("timestamps");
  if (const std::string tail = request.Param("tailLines"); !tail.empty()) {
    target.query.tail_lines = std::strtoll(tail.c_str(), nullptr, 10);
  }
  if (const std::string bytes = request.Param("limitBytes"); !bytes.empty()) {
    target.query.limit_bytes = std::strtoll(bytes.c_str(), nullptr, 10);
  }
  if (const std::string since = request.Param("sinceTime"); !since.empty()) {
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, since, &time, &error)) return BadRequest(error);
    target.query.since = time;
  }
  if (const std::string since = request.Param("sinceSeconds"); !since.empty()) {
    target.query.since = clock_.Now() - absl::Seconds(std::strtoll(since.c_str(), nullptr, 10));
  }
  const Json& containers = At(*pod, {"spec", "containers"});
  if (target.query.container.empty()) {
    if (containers.size() != 1) {
      return BadRequest(Cat("a container name must be specified for pod ", call.key.name));
    }
    target.query.container = TextAt(containers[0], {"name"});
  }
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    const Json& statuses = At(*pod, {"status", list});
    for (size_t i = 0; statuses.is_array() && i < statuses.size(); ++i) {
      if (TextAt(statuses[i], {"name"}) != target.query.container) continue;
      if (!statuses[i]["state"].contains("waiting")) return target;
      return BadRequest(
          Cat("container \"", target.query.container, "\" in pod \"", call.key.name,
              "\" is waiting to start: ", TextAt(statuses[i], {"state", "waiting", "reason"})));
    }
  }
  for (const char* list : {"containers", "initContainers"}) {
    const Json& known = At(*pod, {"spec", list});
    for (size_t i = 0; known.is_array() && i < known.size(); ++i) {
      if (TextAt(known[i], {"name"}) == target.query.container) {
        return BadRequest(Cat("container \"", target.query.container, "\" in pod \"", call.key.name,
                              "\" is waiting to start: ContainerCreating"));
      }
    }
  }
  return BadRequest(
      Cat("container ", target.query.container, " is not valid for pod ", call.key.name));
}

ApiReply ApiServer::Log(const ApiCall& call, const ApiRequest& request) const {
  std::variant<LogTarget, ApiReply> found = FindLog(call, request);
  if (auto* refused = std::get_if<ApiReply>(&found)) return *std::move(refused);
  const LogTarget& target = std::get<LogTarget>(found);
  ApiReply reply;
  reply.uid = target.pod_uid;
  reply.text = logs_.Read(target.pod_uid, target.query).text;
  return reply;
}

std::optional<ApiReply> ApiServer::CheckQuota(const ObjectKey& key) const {
  if (key.resource->kind != "Job") return std::nullopt;
  const Resource& quotas = *FindResource("resourcequotas");
  for (const Object& quota : store_.List(quotas, key.namespace_name).objects) {
    const Json& hard = At(*quota, {"spec", "hard", "count/jobs.batch"});
    if (hard.is_null()) continue;
    size_t limit = std::strtoul(
        hard.is_string() ? hard.get<std::string>().c_str() : hard.dump().c_str(), nullptr, 10);
    size_t used = store_.List(*key.resource, key.namespace_name).objects.size();
    if (used < limit) continue;
    return ForbiddenReply(*key.resource, key.name,
                          Cat("exceeded quota: ", TextAt(*quota, {"metadata", "name"}),
                              ", requested: count/jobs.batch=1, used: count/jobs.batch=", used,
                              ", limited: count/jobs.batch=", limit));
  }
  return std::nullopt;
}

ApiReply ApiServer::Create(const ApiCall& call, const ApiRequest& request) {
  Json object = call.body;
  ObjectKey key = call.key;
  const Resource& resource = *call.resource;
  if (!object.is_object()) return BadRequest("the request body must be a JSON object");
  const std::string kind = object.value("kind", std::string(resource.kind));
  const std::string version = object.value("apiVersion", ApiVersion(resource));
  if (kind != resource.kind || version != ApiVersion(resource)) {
    return BadRequest(Cat("the API version in the data (", version, ", Kind=", kind,
                          ") does not match the expected API version (", ApiVersion(resource),
                          ", Kind=", resource.kind, ")"));
  }
  if (resource.namespaced) {
    const std::string in_body = TextAt(object, {"metadata", "namespace"});
    if (!in_body.empty() && in_body != key.namespace_name) {
      return BadRequest(
          "the namespace of the provided object does not match the namespace sent on the request");
    }
    const Resource& namespaces = *FindResource("namespaces");
    if (store_.Get({&namespaces, "", key.namespace_name}) == nullptr) {
      return NotFound(namespaces, key.namespace_name);
    }
  }
  if (!TextAt(object, {"metadata", "resourceVersion"}).empty()) {
    return BadRequest("resourceVersion should not be set on objects to be created");
  }
  if (request.Param("fieldValidation") == "Strict") {
    if (std::optional<ApiReply> refused = ValidateFields(resource, object)) return *refused;
  }
  const std::string generate = TextAt(object, {"metadata", "generateName"});
  if (key.name.empty() && !generate.empty()) {
    key.name = Cat(generate, store_.Revision());
    object["metadata"]["name"] = key.name;
  }
  if (key.name.empty()) {
    return Invalid(resource, "",
                   {{"FieldValueRequired", "metadata.name",
                     "Required value: name or generateName is required"}});
  }
  ApplyDefaults(resource, object);
  if (std::optional<ApiReply> refused = ValidateCreate(resource, key.name, object)) {
    return *refused;
  }
  absl::MutexLock lock(&create_mu_);
  if (std::optional<ApiReply> refused = CheckQuota(key)) return *refused;
  Object created = call.dry_run ? store_.PreviewCreate(key, std::move(object))
                                : store_.Create(key, std::move(object));
  if (created == nullptr) return AlreadyExists(resource, key.name);
  ApiReply reply = ObjectReply(201, created);
  reply.applied = !call.dry_run;
  return reply;
}

ApiReply ApiServer::Change(const ApiCall& call, const Transform& transform) {
  std::optional<ApiReply> refused;
  std::string version_before;
  auto edit = [&](Json& object) {
    version_before = TextAt(object, {"metadata", "resourceVersion"});
    std::variant<Json, ApiReply> result = transform(object);
    if (auto* reply = std::get_if<ApiReply>(&result)) {
      refused = std::move(*reply);
      return false;
    }
    Json& after = std::get<Json>(result);
    const std::string version = TextAt(after, {"metadata", "resourceVersion"});
    if (!version.empty() && version != version_before) {
      refused = ModifiedConflict(*call.resource, call.key.name);
      return false;
    }
    KeepServerFields(call, object, after);
    NormalizeData(*call.resource, after);
    refused = ValidateUpdate(*call.resource, call.key.name, object, after);
    if (refused.has_value()) return false;
    object = std::move(after);
    return true;
  };
  Object changed = call.dry_run ? store_.PreviewEdit(call.key, edit) : store_.Edit(call.key, edit);
  if (changed == nullptr) return NotFound(*call.resource, call.key.name);
  if (refused.has_value()) return *refused;
  ApiReply reply = ObjectReply(200, changed);
  reply.applied =
      !call.dry_run && TextAt(*changed, {"metadata", "resourceVersion"}) != version_before;
  return reply;
}

ApiReply ApiServer::Write(const ApiCall& call, const ApiRequest& request) {
  if (call.verb == "patch") {
    return Change(call, [&](const Json& before) { return Patched(call, request, before); });
  }
  if (!call.body.is_object()) return BadRequest("the request body must be a JSON object");
  if (TextAt(call.body, {"metadata", "name"}) != call.key.name) {
    return BadRequest(Cat("the name of the object (", TextAt(call.body, {"metadata", "name"}),
                          ") does not match the name on the URL (", call.key.name, ")"));
  }
  return Change(call, [&](const Json& before) -> std::variant<Json, ApiReply> {
    Json after = call.body;
    const std::string uid = TextAt(after, {"metadata", "uid"});
    const std::string current = TextAt(before, {"metadata", "uid"});
    if (!uid.empty() && uid != current) {
      return Conflict(*call.resource, call.key.name,
                      Cat("Precondition failed: UID in precondition: ", uid,
                          ", UID in object meta: ", current));
    }
    ApplyDefaults(*call.resource, after);
    return after;
  });
}

ApiReply ApiServer::WriteScale(const ApiCall& call, const ApiRequest& request) {
  ScaleRecord record{call.key.namespace_name, call.key.name,        0, 0,
                     request.actor_job,       request.actor_job_uid};
  ApiReply reply = Change(call, [&](const Json& before) -> std::variant<Json, ApiReply> {
    Json scale = call.body;
    if (call.verb == "patch") {
      std::variant<Json, ApiReply> patched = Patched(call, request, ScaleOf(before));
      if (std::holds_alternative<ApiReply>(patched)) return patched;
      scale = std::get<Json>(std::move(patched));
    }
    const Json& replicas = At(scale, {"spec", "replicas"});
    if (!replicas.is_number_integer() || replicas.get<int64_t>() < 0) {
      return StatusReply(422, "Invalid",
                         Cat("Scale.autoscaling \"", call.key.name,
                             "\" is invalid: spec.replicas: Invalid value: ", replicas.dump(),
                             ": must be greater than or equal to 0"));
    }
    record.from = static_cast<int>(NumberAt(before, {"spec", "replicas"}));
    record.to = replicas.get<int>();
    Json after = before;
    after["spec"]["replicas"] = replicas;
    const std::string version = TextAt(scale, {"metadata", "resourceVersion"});
    if (!version.empty()) after["metadata"]["resourceVersion"] = version;
    return after;
  });
  if (!reply.ok()) return reply;
  if (!call.dry_run) audit_.AddScale(std::move(record));
  reply.body = ScaleOf(reply.body);
  return reply;
}

ApiReply ApiServer::Delete(const ApiCall& call, const ApiRequest& request) {
  DeleteOptions options;
  std::string policy = request.Param("propagationPolicy");
  if (policy.empty()) policy = TextAt(call.body, {"propagationPolicy"});
  bool job_default = policy.empty() && call.resource->kind == "Job";
  if (policy == "Foreground") options.propagation = Propagation::kForeground;
  if (policy == "Orphan" || job_default) options.propagation = Propagation::kOrphan;
  options.uid = TextAt(call.body, {"preconditions", "uid"});
  options.resource_version = TextAt(call.body, {"preconditions", "resourceVersion"});
  const Json& grace = At(call.body, {"gracePeriodSeconds"});
  const std::string grace_param = request.Param("gracePeriodSeconds");
  if (grace.is_number_integer()) options.grace_seconds = grace.get<int64_t>();
  if (!grace_param.empty()) options.grace_seconds = std::strtoll(grace_param.c_str(), nullptr, 10);
  const Json& dry_run = At(call.body, {"dryRun"});
  if (call.dry_run || (dry_run.is_array() && !dry_run.empty())) return Get(call);

  DeleteResult result = DeleteObject(store_, clock_.Now(), call.key, options);
  switch (result.outcome) {
    case DeleteResult::Outcome::kNotFound:
      return NotFound(*call.resource, call.key.name);
    case DeleteResult::Outcome::kConflict:
      return Conflict(*call.resource, call.key.name, result.conflict);
    case DeleteResult::Outcome::kMarked:
    case DeleteResult::Outcome::kGone:
      break;
  }
  ApiReply reply = ObjectReply(200, result.object);
  reply.applied = true;
  if (job_default) reply.headers.emplace_back("Warning", kOrphanWarning);
  // What goes at once is answered by a Status, what still has to finish by the object; a pod always
  // by itself.
  if (result.outcome == DeleteResult::Outcome::kGone && call.resource->kind != "Pod") {
    Json details = {{"name", call.key.name}, {"kind", call.resource->plural}, {"uid", reply.uid}};
    if (!call.resource->group.empty()) details["group"] = call.resource->group;
    reply.body = {{"kind", "Status"},
                  {"apiVersion", "v1"},
                  {"metadata", Json::object()},
                  {"status", "Success"},
                  {"details", std::move(details)}};
  }
  return reply;
}

ApiReply ApiServer::DeleteCollection(const ApiCall& call, const ApiRequest& request) {
  ApiReply listed = List(call, request);
  if (!listed.ok()) return listed;
  for (const Json& item : listed.body["items"]) {
    ApiCall one = call;
    one.verb = "delete";
    one.key.name = TextAt(item, {"metadata", "name"});
    one.key.namespace_name = TextAt(item, {"metadata", "namespace"});
    listed.applied |= Delete(one, request).applied;
  }
  return listed;
}

}  // namespace capstan::kubesim
