#include "tests/support/kubesim/admission.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>
#include <vector>

#include "tests/support/kubesim/data_admission.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr size_t kMaxLabelValue = 63;
constexpr size_t kMaxJobName = 63;
constexpr size_t kMaxName = 253;

void Default(Json& object, const char* key, Json value) {
  if (!object.contains(key) || object[key].is_null()) object[key] = std::move(value);
}

void DefaultContainer(Json& container) {
  Default(container, "resources", Json::object());
  Default(container, "terminationMessagePath", "/dev/termination-log");
  Default(container, "terminationMessagePolicy", "File");
  Default(container, "imagePullPolicy", "IfNotPresent");
}

void DefaultPodSpec(Json& spec) {
  if (!spec.is_object()) return;
  for (const char* list : {"containers", "initContainers"}) {
    if (!spec.contains(list) || !spec[list].is_array()) continue;
    for (Json& container : spec[list]) {
      if (container.is_object()) DefaultContainer(container);
    }
  }
  Default(spec, "dnsPolicy", "ClusterFirst");
  Default(spec, "schedulerName", "default-scheduler");
  Default(spec, "securityContext", Json::object());
  Default(spec, "terminationGracePeriodSeconds", 30);
  if (spec.contains("serviceAccountName")) {
    Default(spec, "serviceAccount", spec["serviceAccountName"]);
  }
}

void DefaultJob(Json& spec) {
  Default(spec, "parallelism", 1);
  Default(spec, "completions", 1);
  Default(spec, "completionMode", "NonIndexed");
  Default(spec, "backoffLimit", 6);
  Default(spec, "suspend", false);
  Default(spec, "manualSelector", false);
  Default(spec, "podReplacementPolicy",
          spec.contains("podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
}

void DefaultDeployment(Json& spec) {
  Default(spec, "replicas", 1);
  Default(spec, "progressDeadlineSeconds", 600);
  Default(spec, "revisionHistoryLimit", 10);
  Default(spec, "strategy",
          {{"type", "RollingUpdate"},
           {"rollingUpdate", {{"maxSurge", "25%"}, {"maxUnavailable", "25%"}}}});
}

bool IsDnsName(std::string_view name, size_t limit) {
  auto plain = [](char c) {
    return std::islower(static_cast<unsigned char>(c)) != 0 ||
           std::isdigit(static_cast<unsigned char>(c)) != 0;
  };
  return !name.empty() && name.size() <= limit && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

bool IsLabelValue(std::string_view value) {
  if (value.empty()) return true;
  return value.size() <= kMaxLabelValue &&
         std::isalnum(static_cast<unsigned char>(value.front())) != 0 &&
         std::isalnum(static_cast<unsigned char>(value.back())) != 0 &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' ||
                  c == '.';
         });
}

void Required(std::vector<FieldError>& errors, std::string field, std::string_view more = "") {
  errors.push_back({"FieldValueRequired", std::move(field),
                    more.empty() ? "Required value" : Cat("Required value: ", more)});
}

void Wrong(std::vector<FieldError>& errors, std::string field, const Json& value,
           std::string_view why) {
  errors.push_back(
      {"FieldValueInvalid", std::move(field), Cat("Invalid value: ", value.dump(), ": ", why)});
}

void CheckLabels(const Json& labels, const std::string& field, std::vector<FieldError>& errors) {
  if (!labels.is_object()) return;
  for (const auto& [key, value] : labels.items()) {
    if (!value.is_string() || !IsLabelValue(value.get<std::string>())) {
      Wrong(errors, field, value,
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character, at most 63 long");
    }
  }
}

void CheckPodSpec(const Json& spec, const std::string& field, std::vector<FieldError>& errors) {
  const Json& containers = At(spec, {"containers"});
  if (!containers.is_array() || containers.empty()) {
    Required(errors, Cat(field, ".containers"));
    return;
  }
  std::set<std::string> names;
  for (const char* list : {"initContainers", "containers"}) {
    const Json& entries = At(spec, {list});
    for (size_t i = 0; entries.is_array() && i < entries.size(); ++i) {
      std::string at = Cat(field, ".", list, "[", i, "]");
      std::string name = TextAt(entries[i], {"name"});
      if (name.empty()) Required(errors, Cat(at, ".name"));
      if (!names.insert(name).second) {
        errors.push_back(
            {"FieldValueDuplicate", Cat(at, ".name"), Cat("Duplicate value: \"", name, "\"")});
      }
      if (TextAt(entries[i], {"image"}).empty()) Required(errors, Cat(at, ".image"));
    }
  }
}

void CheckNotNegative(const Json& spec, const char* key, std::vector<FieldError>& errors) {
  const Json& value = At(spec, {key});
  if (value.is_null()) return;
  if (!value.is_number_integer() || value.get<int64_t>() < 0) {
    Wrong(errors, Cat("spec.", key), value, "must be greater than or equal to 0");
  }
}

void CheckJob(const Json& object, std::vector<FieldError>& errors) {
  const Json& spec = At(object, {"spec"});
  const Json& pod = At(spec, {"template", "spec"});
  CheckPodSpec(pod, "spec.template.spec", errors);
  CheckLabels(At(spec, {"template", "metadata", "labels"}), "spec.template.labels", errors);
  for (const char* key : {"parallelism", "completions", "backoffLimit", "activeDeadlineSeconds",
                          "ttlSecondsAfterFinished"}) {
    CheckNotNegative(spec, key, errors);
  }
  std::string restart = TextAt(pod, {"restartPolicy"});
  if (restart != "Never" && restart != "OnFailure") {
    Required(errors, "spec.template.spec.restartPolicy", "valid values: \"OnFailure\", \"Never\"");
  }
  if (spec.contains("podFailurePolicy")) {
    if (restart != "Never") {
      Wrong(errors, "spec.template.spec.restartPolicy", restart,
            "only \"Never\" is supported when podFailurePolicy is specified");
    }
    if (TextAt(spec, {"podReplacementPolicy"}) != "Failed") {
      Wrong(errors, "spec.podReplacementPolicy", TextAt(spec, {"podReplacementPolicy"}),
            "only \"Failed\" is supported when podFailurePolicy is specified");
    }
  }
}

using FieldSet = std::set<std::string_view>;

const FieldSet& JobSpecFields() {
  static const FieldSet fields = {"activeDeadlineSeconds",
                                  "backoffLimit",
                                  "backoffLimitPerIndex",
                                  "completionMode",
                                  "completions",
                                  "managedBy",
                                  "manualSelector",
                                  "maxFailedIndexes",
                                  "parallelism",
                                  "podFailurePolicy",
                                  "podReplacementPolicy",
                                  "selector",
                                  "successPolicy",
                                  "suspend",
                                  "template",
                                  "ttlSecondsAfterFinished"};
  return fields;
}

const FieldSet& DeploymentSpecFields() {
  static const FieldSet fields = {"minReadySeconds", "paused",   "progressDeadlineSeconds",
                                  "replicas",        "selector", "revisionHistoryLimit",
                                  "strategy",        "template"};
  return fields;
}

const FieldSet& PodSpecFields() {
  static const FieldSet fields = {"activeDeadlineSeconds",
                                  "affinity",
                                  "automountServiceAccountToken",
                                  "containers",
                                  "dnsConfig",
                                  "dnsPolicy",
                                  "enableServiceLinks",
                                  "ephemeralContainers",
                                  "hostAliases",
                                  "hostIPC",
                                  "hostNetwork",
                                  "hostPID",
                                  "hostUsers",
                                  "hostname",
                                  "imagePullSecrets",
                                  "initContainers",
                                  "nodeName",
                                  "nodeSelector",
                                  "os",
                                  "overhead",
                                  "preemptionPolicy",
                                  "priority",
                                  "priorityClassName",
                                  "readinessGates",
                                  "resourceClaims",
                                  "resources",
                                  "restartPolicy",
                                  "runtimeClassName",
                                  "schedulerName",
                                  "schedulingGates",
                                  "securityContext",
                                  "serviceAccount",
                                  "serviceAccountName",
                                  "setHostnameAsFQDN",
                                  "shareProcessNamespace",
                                  "subdomain",
                                  "terminationGracePeriodSeconds",
                                  "tolerations",
                                  "topologySpreadConstraints",
                                  "volumes"};
  return fields;
}

const FieldSet& ContainerFields() {
  static const FieldSet fields = {"args",
                                  "command",
                                  "env",
                                  "envFrom",
                                  "image",
                                  "imagePullPolicy",
                                  "lifecycle",
                                  "livenessProbe",
                                  "name",
                                  "ports",
                                  "readinessProbe",
                                  "resizePolicy",
                                  "resources",
                                  "restartPolicy",
                                  "securityContext",
                                  "startupProbe",
                                  "stdin",
                                  "stdinOnce",
                                  "terminationMessagePath",
                                  "terminationMessagePolicy",
                                  "tty",
                                  "volumeDevices",
                                  "volumeMounts",
                                  "workingDir"};
  return fields;
}

void UnknownFields(const Json& object, const FieldSet& known, const std::string& at,
                   std::vector<std::string>& unknown) {
  if (!object.is_object()) return;
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) unknown.push_back(Cat("unknown field \"", at, key, "\""));
  }
}

void UnknownTemplateFields(const Json& pod_template, std::vector<std::string>& unknown) {
  UnknownFields(pod_template, {"metadata", "spec"}, "spec.template.", unknown);
  const Json& spec = At(pod_template, {"spec"});
  UnknownFields(spec, PodSpecFields(), "spec.template.spec.", unknown);
  for (const char* list : {"initContainers", "containers"}) {
    const Json& containers = At(spec, {list});
    for (size_t i = 0; containers.is_array() && i < containers.size(); ++i) {
      UnknownFields(containers[i], ContainerFields(),
                    Cat("spec.template.spec.", list, "[", i, "]."), unknown);
    }
  }
}

}  // namespace

void ApplyDefaults(const Resource& resource, Json& object) {
  if (resource.kind == "Namespace") {
    object["status"]["phase"] = "Active";
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = object["metadata"]["name"];
  }
  NormalizeData(resource, object);
  if (!object.contains("spec") || !object["spec"].is_object()) return;
  Json& spec = object["spec"];
  if (resource.kind == "Pod") {
    DefaultPodSpec(spec);
    Default(spec, "restartPolicy", "Always");
    Default(spec, "serviceAccountName", "default");
    object["status"] = {{"phase", "Pending"}, {"qosClass", "BestEffort"}};
    return;
  }
  if (resource.kind != "Job" && resource.kind != "Deployment") return;
  if (resource.kind == "Job") DefaultJob(spec);
  if (resource.kind == "Deployment") DefaultDeployment(spec);
  object["status"] = Json::object();
  if (!spec.contains("template") || !spec["template"].is_object()) return;
  Json& pod_template = spec["template"];
  if (pod_template.contains("spec")) DefaultPodSpec(pod_template["spec"]);
  if (resource.kind == "Deployment" && pod_template.contains("spec")) {
    Default(pod_template["spec"], "restartPolicy", "Always");
  }
}

std::optional<ApiReply> ValidateCreate(const Resource& resource, const std::string& name,
                                       const Json& object) {
  if (std::optional<ApiReply> refused = UndecodableData(resource, object)) return refused;
  std::vector<FieldError> errors;
  size_t limit = resource.kind == "Job" ? kMaxJobName : kMaxName;
  if (!IsDnsName(name, limit)) {
    Wrong(errors, "metadata.name", name,
          Cat("a lowercase RFC 1123 subdomain of at most ", limit, " characters"));
  }
  CheckLabels(At(object, {"metadata", "labels"}), "metadata.labels", errors);
  CheckData(resource, object, errors);
  if (resource.kind == "Job") CheckJob(object, errors);
  if (resource.kind == "Pod") CheckPodSpec(At(object, {"spec"}), "spec", errors);
  if (resource.kind == "Deployment") {
    CheckPodSpec(At(object, {"spec", "template", "spec"}), "spec.template.spec", errors);
    CheckNotNegative(At(object, {"spec"}), "replicas", errors);
    if (!At(object, {"spec", "selector"}).is_object()) Required(errors, "spec.selector");
  }
  if (errors.empty()) return std::nullopt;
  return Invalid(resource, name, errors);
}

std::optional<ApiReply> ValidateUpdate(const Resource& resource, const std::string& name,
                                       const Json& before, const Json& after) {
  if (std::optional<ApiReply> refused = UndecodableData(resource, after)) return refused;
  std::vector<FieldError> errors;
  for (const char* key : {"uid", "name", "namespace", "creationTimestamp"}) {
    const Json& value = At(after, {"metadata", key});
    if (value != At(before, {"metadata", key})) {
      Wrong(errors, Cat("metadata.", key), value, "field is immutable");
    }
  }
  CheckLabels(At(after, {"metadata", "labels"}), "metadata.labels", errors);
  CheckData(resource, after, errors);
  CheckImmutable(resource, before, after, errors);
  if (resource.kind == "Job") {
    for (const char* key : {"template", "selector", "completions", "completionMode",
                            "podFailurePolicy", "managedBy"}) {
      const Json& value = At(after, {"spec", key});
      if (value != At(before, {"spec", key})) {
        Wrong(errors, Cat("spec.", key), value, "field is immutable");
      }
    }
    CheckJob(after, errors);
  }
  if (resource.kind == "Deployment") CheckNotNegative(At(after, {"spec"}), "replicas", errors);
  if (errors.empty()) return std::nullopt;
  return Invalid(resource, name, errors);
}

std::optional<ApiReply> ValidateFields(const Resource& resource, const Json& object) {
  if (resource.kind != "Job" && resource.kind != "Deployment") return std::nullopt;
  std::vector<std::string> unknown;
  UnknownFields(object, {"apiVersion", "kind", "metadata", "spec", "status"}, "", unknown);
  UnknownFields(At(object, {"spec"}),
                resource.kind == "Job" ? JobSpecFields() : DeploymentSpecFields(), "spec.",
                unknown);
  UnknownTemplateFields(At(object, {"spec", "template"}), unknown);
  if (unknown.empty()) return std::nullopt;
  return BadRequest(Cat(resource.kind, " in version \"", resource.version,
                        "\" cannot be handled as a ", resource.kind,
                        ": strict decoding error: ", Join(unknown, ", ")));
}

}  // namespace capstan::kubesim
