#include "core/catalog/job_spec.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/catalog/dns_name.h"
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

Json Argv(const JobRequest& request, const ContainerDefinition& container) {
  Json argv = Json::array();
  for (const std::string& text : container.argv) {
    argv.push_back(ExpandText(text, [&](const TextPiece& reference) {
      if (reference.scope.empty()) {
        return Cat(absl::ToInt64Seconds(request.timeout), "s");  // ${timeout}
      }
      return ToText(request.parameters.at(reference.name));
    }));
  }
  return argv;
}

// kubectl keeps a discovery cache in its home, and the root file system is read-only.
Json Environment(const JobRequest& request) {
  Json environment = Json::array({{{"name", "HOME"}, {"value", "/tmp"}}});
  if (!request.traceparent.empty()) {
    environment.push_back({{"name", "TRACEPARENT"}, {"value", request.traceparent}});
  }
  return environment;
}

absl::StatusOr<Json> Container(const JobRequest& request, const ContainerDefinition& container) {
  auto image = request.images.find(container.image);
  if (image == request.images.end()) {
    return absl::InvalidArgumentError(Cat("action ", request.action.name,
                                          ": no runner image is configured for \"", container.image,
                                          "\""));
  }
  return Json{
      {"name", container.name},
      {"image", image->second},
      {"command", Argv(request, container)},
      {"env", Environment(request)},
      {"resources", {{"requests", request.action.requests}, {"limits", request.action.limits}}},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", {"ALL"}}}}}},
      {"terminationMessagePolicy", "FallbackToLogsOnError"},
      {"volumeMounts", Json::array({{{"name", "tmp"}, {"mountPath", "/tmp"}}})},
  };
}

absl::StatusOr<Json> PodSpec(const JobRequest& request) {
  Json containers = Json::array();
  for (const ContainerDefinition& definition : request.action.containers) {
    CAPSTAN_ASSIGN_OR_RETURN(Json container, Container(request, definition));
    containers.push_back(std::move(container));
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
      {"volumes", Json::array({{{"name", "tmp"}, {"emptyDir", {{"sizeLimit", kTmpSizeLimit}}}}})},
  };
  if (!containers.empty()) spec["initContainers"] = std::move(containers);
  return spec;
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
  // Any end of the one pod ends the Job: a replacement pod would repeat the effect. No TTL: the Job
  // is deleted by uid once its result is stored.
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
  rendered.spec_hash = Sha256Hex(Bytes(job));
  job["metadata"]["annotations"][std::string(kSpecHashAnnotation)] = rendered.spec_hash;
  rendered.json = Bytes(job);
  return rendered;
}

}  // namespace capstan::catalog
