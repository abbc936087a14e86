#include "core/catalog/job_spec.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_replace.h"
#include "core/catalog/dns_name.h"
#include "core/catalog/target.h"
#include "core/catalog/text_template.h"
#include "core/kubernetes_names.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

// Keys are sorted (std::map), which makes the bytes canonical.
using Json = nlohmann::json;

constexpr int kRunAsUser = 65532;  // "nonroot" by convention of distroless images
constexpr std::string_view kTmpSizeLimit = "16Mi";
constexpr int kSecretMode = 0444;  // files are root's, and the containers are not
constexpr int kExitKilled = 137;
constexpr int kTerminationGraceSeconds = 10;  // a cancel shall not wait longer

// Never throws: what is not UTF-8 (only a configured value could be) is replaced.
std::string Bytes(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json Labels(const JobRequest& request) {
  return {{std::string(kExecutionLabel), request.execution.ToString()},
          {std::string(kActionLabel), request.action.name},
          {std::string(kInstallationLabel), request.installation},
          {"app.kubernetes.io/name", "capstan-action"},
          {"app.kubernetes.io/component", "action"},
          {"app.kubernetes.io/part-of", "capstan"},
          {"app.kubernetes.io/managed-by", "capstan"}};
}

// The kubelet expands $(VAR) in arguments and reads $$ as $: with every $ doubled the program gets
// the text as it was.
std::string Literal(std::string_view text) {
  return absl::StrReplaceAll(AbslView(text), {{"$", "$$"}});
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

absl::StatusOr<std::string> ValueOf(const JobRequest& request, const TextPiece& reference) {
  if (reference.scope.empty())
    return Cat(absl::ToInt64Seconds(request.timeout), "s");  // ${timeout}
  if (reference.scope == "parameters") {
    auto found = request.parameters.find(reference.name);
    if (found != request.parameters.end()) return ToText(found->second);
  } else if (reference.scope == "captured") {
    auto found = request.captured.fields().find(reference.name);
    if (found != request.captured.fields().end()) return ToText(found->second);
  } else if (reference.name == "id") {
    return request.execution.ToString();
  } else if (reference.name == "namespace") {
    return request.actions_namespace;
  } else if (request.create_time != absl::InfinitePast()) {
    return TimeText(request.create_time);
  }
  return absl::InvalidArgumentError(Cat("action ", request.action.name, ": ", reference.scope, ".",
                                        reference.name, " is not known"));
}

absl::StatusOr<std::string> Expand(const JobRequest& request, std::string_view text) {
  absl::Status status;
  std::string expanded = ExpandText(text, [&](const TextPiece& reference) -> std::string {
    absl::StatusOr<std::string> value = ValueOf(request, reference);
    if (value.ok()) return *std::move(value);
    status.Update(value.status());
    return "";
  });
  CAPSTAN_RETURN_IF_ERROR(status);
  return expanded;
}

absl::StatusOr<Json> Argv(const JobRequest& request, const ContainerDefinition& container) {
  Json argv = Json::array();
  for (const std::string& text : container.argv) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::string argument, Expand(request, text));
    argv.push_back(Literal(argument));
  }
  return argv;
}

// The pod's volumes: scratch space, and each Secret once.
class Volumes {
 public:
  Volumes()
      : volumes_(Json::array({{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", kTmpSizeLimit}}}}})) {}

  // What a container with these Secrets mounts. A Secret that is missing keeps the pod from
  // starting.
  absl::StatusOr<Json> MountsOf(const JobRequest& request, const ContainerDefinition& container) {
    Json mounts = Json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}});
    for (const SecretMount& mount : container.secrets) {
      CAPSTAN_ASSIGN_OR_RETURN(const std::string secret, Expand(request, mount.secret));
      mounts.push_back({{"name", NameOf(secret)}, {"mountPath", mount.path}, {"readOnly", true}});
    }
    return mounts;
  }

  Json Take() { return std::move(volumes_); }

 private:
  std::string NameOf(const std::string& secret) {
    auto [found, is_new] = names_.try_emplace(secret, Cat("secret-", names_.size()));
    if (is_new) {
      volumes_.push_back(
          {{"name", found->second},
           {"secret",
            {{"secretName", secret}, {"defaultMode", kSecretMode}, {"optional", false}}}});
    }
    return found->second;
  }

  Json volumes_;
  std::map<std::string, std::string> names_;  // of volumes, by Secret
};

// kubectl keeps a discovery cache in its home, and the root file system is read-only.
Json Environment(const JobRequest& request) {
  Json environment = Json::array({{{"name", "HOME"}, {"value", "/tmp"}}});
  if (!request.traceparent.empty()) {
    environment.push_back({{"name", "TRACEPARENT"}, {"value", request.traceparent}});
  }
  return environment;
}

absl::StatusOr<Json> Container(const JobRequest& request, const ContainerDefinition& container,
                               Volumes& volumes) {
  auto image = request.images.find(container.image);
  if (image == request.images.end()) {
    return absl::InvalidArgumentError(Cat("action ", request.action.name,
                                          ": no runner image is configured for \"", container.image,
                                          "\""));
  }
  CAPSTAN_ASSIGN_OR_RETURN(Json argv, Argv(request, container));
  CAPSTAN_ASSIGN_OR_RETURN(Json mounts, volumes.MountsOf(request, container));
  return Json{
      {"name", container.name},
      {"image", image->second},
      {"command", std::move(argv)},
      {"env", Environment(request)},
      {"resources", {{"requests", request.action.requests}, {"limits", request.action.limits}}},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", {"ALL"}}}}}},
      {"terminationMessagePolicy", "FallbackToLogsOnError"},
      {"volumeMounts", std::move(mounts)},
  };
}

bool IsRendered(const JobRequest& request, const ContainerDefinition& container) {
  return container.when.empty() || request.parameters.count(container.when) != 0;
}

// Keeps the pod off the node that the action changes: a drain would evict itself.
Json AwayFrom(std::string_view node) {
  return {{"nodeAffinity",
           {{"requiredDuringSchedulingIgnoredDuringExecution",
             {{"nodeSelectorTerms",
               Json::array({{{"matchFields", Json::array({{{"key", "metadata.name"},
                                                           {"operator", "NotIn"},
                                                           {"values", {node}}}})}}})}}}}}};
}

absl::StatusOr<Json> PodSpec(const JobRequest& request) {
  Json containers = Json::array();
  Volumes volumes;
  for (const ContainerDefinition& definition : request.action.containers) {
    if (!IsRendered(request, definition)) continue;
    CAPSTAN_ASSIGN_OR_RETURN(Json container, Container(request, definition, volumes));
    containers.push_back(std::move(container));
  }
  if (containers.empty()) {
    return absl::InvalidArgumentError(
        Cat("action ", request.action.name, ": no container is for these parameters"));
  }
  Json main = Json::array({containers.back()});
  containers.erase(containers.size() - 1);
  Json spec = {
      {"restartPolicy", "Never"},
      {"serviceAccountName", ServiceAccountOf(request.action.name)},
      {"automountServiceAccountToken", true},  // the containers act on the cluster as that account
      {"enableServiceLinks", false},
      {"terminationGracePeriodSeconds", kTerminationGraceSeconds},
      {"securityContext",
       {{"runAsNonRoot", true},
        {"runAsUser", kRunAsUser},
        {"runAsGroup", kRunAsUser},
        {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
      {"containers", std::move(main)},
      {"volumes", volumes.Take()},
  };
  if (request.action.target.kind == "Node") {
    spec["affinity"] = AwayFrom(TargetOf(request.action, request.parameters).name());
  }
  if (!containers.empty()) spec["initContainers"] = std::move(containers);
  return spec;
}

// A pod that was killed (137) or moved away is replaced where running twice is as good as running
// once. That does not count against the backoff limit, which is 0: any other failure ends the Job.
// Without this, so does every failure, since a replacement pod would repeat the effect.
Json ReplacementRules() {
  return {{"rules", Json::array({{{"action", "Ignore"},
                                  {"onExitCodes", {{"operator", "In"}, {"values", {kExitKilled}}}}},
                                 {{"action", "Ignore"},
                                  {"onPodConditions", Json::array({{{"type", "DisruptionTarget"},
                                                                    {"status", "True"}}})}}})}};
}

bool MayRunTwice(EffectClass effect) {
  return effect == EffectClass::kRead || effect == EffectClass::kIdempotent;
}

}  // namespace

std::string JobNameOf(const ExecutionId& execution) {
  return Cat(kJobNamePrefix, execution.ToHex());
}

absl::StatusOr<RenderedJob> RenderJob(const JobRequest& request) {
  if (!IsDnsLabel(request.actions_namespace) || !IsDnsLabel(request.installation)) {
    return absl::InvalidArgumentError(Cat("got the actions namespace \"", request.actions_namespace,
                                          "\" and the installation \"", request.installation,
                                          "\", want DNS labels"));
  }
  CAPSTAN_ASSIGN_OR_RETURN(Json pod_spec, PodSpec(request));
  RenderedJob rendered{.name = JobNameOf(request.execution), .json = "", .spec_hash = ""};
  // No TTL: the Job is deleted by uid once its result is stored.
  Json job = {
      {"apiVersion", "batch/v1"},
      {"kind", "Job"},
      {"metadata",
       {{"name", rendered.name},
        {"namespace", request.actions_namespace},
        {"labels", Labels(request)},
        {"annotations", {{std::string(kArmedAnnotation), kArmedFalse}}}}},
      {"spec",
       {{"suspend", true},
        {"backoffLimit", 0},
        {"completions", 1},
        {"parallelism", 1},
        {"podReplacementPolicy", "Failed"},
        {"activeDeadlineSeconds", absl::ToInt64Seconds(request.timeout)},
        {"template",
         {{"metadata", {{"labels", Labels(request)}}}, {"spec", std::move(pod_spec)}}}}},
  };
  if (MayRunTwice(request.action.effect)) job["spec"]["podFailurePolicy"] = ReplacementRules();
  rendered.spec_hash = Sha256Hex(Bytes(job));
  job["metadata"]["annotations"][std::string(kSpecHashAnnotation)] = rendered.spec_hash;
  rendered.json = Bytes(job);
  return rendered;
}

}  // namespace capstan::catalog
