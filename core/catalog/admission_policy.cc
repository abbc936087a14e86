#include "core/catalog/admission_policy.h"

#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "core/catalog/text_template.h"
#include "core/kubernetes_names.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using Json = nlohmann::ordered_json;

// Names are DNS names, image references and PascalCase words, and arguments are texts: as JSON they
// are CEL literals.
std::string Literal(const Json& json) { return json.dump(); }

// The arguments before the first that a request decides about, each ended by a line break, and what
// is fixed of that one.
std::string FixedArguments(const ContainerDefinition& container) {
  std::string fixed;
  for (const std::string& argument : container.argv) {
    const size_t reference = argument.find("${");
    // Rendered Jobs have every $ doubled.
    Append(&fixed, absl::StrReplaceAll(argument.substr(0, reference), {{"$", "$$"}}));
    if (reference != std::string::npos) return fixed;
    Append(&fixed, "\n");
  }
  return fixed;
}

// action -> container -> what is fixed of it.
Json Containers(const Catalog& catalog, const RunnerImages& images) {
  Json all = Json::object();
  for (const ActionDefinition& action : catalog.List()) {
    for (const ContainerDefinition& container : action.containers) {
      all[action.name][container.name] = {{"image", images.at(container.image)},
                                          {"arguments", FixedArguments(container)}};
    }
  }
  return all;
}

// action -> container -> folders in which Secrets may be mounted; only those that have some.
Json SecretFolders(const Catalog& catalog) {
  Json all = {{"", Json::object()}};
  for (const ActionDefinition& action : catalog.List()) {
    for (const ContainerDefinition& container : action.containers) {
      for (const SecretMount& mount : container.secrets) {
        all[action.name][container.name].push_back(mount.path);
      }
    }
  }
  return all;
}

Json Accounts(const Catalog& catalog) {
  Json all = Json::object();
  for (const ActionDefinition& action : catalog.List()) {
    all[action.name] = ServiceAccountOf(action.name);
  }
  return all;
}

Json Variable(std::string_view name, std::string_view expression) {
  return {{"name", name}, {"expression", expression}};
}

Json Validation(std::string_view expression, std::string_view message) {
  return {{"expression", expression}, {"message", message}, {"reason", "Forbidden"}};
}

// Of every container.
Json ContainerValidations() {
  const auto each = [](std::string_view condition, std::string_view message) {
    return Validation(Cat("variables.containers.all(c, ", condition, ")"), message);
  };
  return {
      each("c.name in variables.known && c.image == variables.known[c.name].image",
           "a container or its image is not of this action"),
      each("!has(c.args) && has(c.command) && c.name in variables.known && "
           "(c.command.join('\\n') + '\\n').startsWith(variables.known[c.name].arguments)",
           "a container runs something else than this action"),
      each("!has(c.envFrom) && !has(c.lifecycle) && !has(c.volumeDevices) && (!has(c.env) || "
           "c.env.all(e, e.name in ['HOME', 'TRACEPARENT'] && !has(e.valueFrom)))",
           "a container has an environment, hooks or devices that no action has"),
      each("has(c.securityContext) && "
           "c.securityContext.?allowPrivilegeEscalation.orValue(true) == false && "
           "c.securityContext.?readOnlyRootFilesystem.orValue(false) == true && "
           "c.securityContext.?privileged.orValue(false) == false && "
           "!has(c.securityContext.runAsUser) && !has(c.securityContext.runAsNonRoot) && "
           "!has(c.securityContext.seccompProfile) && !has(c.securityContext.procMount) && "
           "has(c.securityContext.capabilities) && !has(c.securityContext.capabilities.add) && "
           "c.securityContext.capabilities.?drop.orValue([]).exists(d, d == 'ALL')",
           "a container is not locked down"),
      each("!has(c.volumeMounts) || c.volumeMounts.all(m, "
           "(m.name == 'tmp' && m.mountPath == '/tmp') || "
           "(c.name in variables.folders && m.mountPath in variables.folders[c.name]))",
           "a container mounts what this action does not"),
  };
}

Json PodValidations() {
  return {
      Validation("!has(variables.pod.hostNetwork) && !has(variables.pod.hostPID) && "
                 "!has(variables.pod.hostIPC) && !has(variables.pod.hostAliases) && "
                 "!has(variables.pod.shareProcessNamespace)",
                 "the pod shares namespaces of its node"),
      Validation("has(variables.pod.securityContext) && "
                 "variables.pod.securityContext.?runAsNonRoot.orValue(false) == true && "
                 "variables.pod.securityContext.?runAsUser.orValue(0) != 0 && "
                 "!has(variables.pod.securityContext.supplementalGroups) && "
                 "!has(variables.pod.securityContext.sysctls) && "
                 "has(variables.pod.securityContext.seccompProfile) && "
                 "variables.pod.securityContext.seccompProfile.type == 'RuntimeDefault'",
                 "the pod is not locked down"),
      Validation("!has(variables.pod.volumes) || variables.pod.volumes.all(v, "
                 "(v.name == 'tmp' && has(v.emptyDir)) || "
                 "(has(v.secret) && size(variables.folders) > 0))",
                 "the pod has a volume that this action has not"),
      Validation("!has(variables.pod.nodeName) && !has(variables.pod.tolerations) && "
                 "!has(variables.pod.priorityClassName) && !has(variables.pod.runtimeClassName)",
                 "the pod chooses its node, priority or runtime"),
  };
}

Json JobValidations() {
  return {
      Validation("has(object.spec.suspend) && object.spec.suspend", "the Job is not suspended"),
      Validation("variables.action in variables.accounts && "
                 "has(variables.pod.serviceAccountName) && "
                 "variables.accounts[variables.action] == variables.pod.serviceAccountName",
                 "the account is not that of the action named by the Job's label"),
      Validation(Cat("object.spec.?parallelism.orValue(1) == 1 && "
                     "object.spec.?completions.orValue(1) == 1 && "
                     "object.spec.?backoffLimit.orValue(6) == 0 && "
                     "object.spec.?manualSelector.orValue(false) == false && "
                     "has(object.spec.activeDeadlineSeconds) && "
                     "object.spec.activeDeadlineSeconds <= ",
                     absl::ToInt64Seconds(kMaxTimeout)),
                 "the Job runs more than one pod, more than once, or without a deadline"),
  };
}

}  // namespace

Json AdmissionPolicySpec(const Catalog& catalog, const RunnerImages& images) {
  Json validations = JobValidations();
  for (const Json& more : {PodValidations(), ContainerValidations()}) {
    for (const Json& one : more) validations.push_back(one);
  }
  return {
      {"failurePolicy", "Fail"},
      {"matchConstraints",
       {{"resourceRules", Json::array({{{"apiGroups", {"batch"}},
                                        {"apiVersions", {"v1"}},
                                        {"operations", {"CREATE"}},
                                        {"resources", {"jobs"}}}})}}},
      {"variables",
       Json::array(
           {Variable("accounts", Literal(Accounts(catalog))),
            Variable("allContainers", Literal(Containers(catalog, images))),
            Variable("allFolders", Literal(SecretFolders(catalog))),
            Variable("action", Cat("object.metadata.?labels['", kActionLabel, "'].orValue('')")),
            Variable("known",
                     "variables.action in variables.allContainers ? "
                     "variables.allContainers[variables.action] : {}"),
            Variable("folders",
                     "variables.action in variables.allFolders ? "
                     "variables.allFolders[variables.action] : {}"),
            Variable("pod", "object.spec.template.spec"),
            Variable("containers",
                     "variables.pod.containers + variables.pod.?initContainers.orValue([])")})},
      {"validations", std::move(validations)},
  };
}

}  // namespace capstan::catalog
