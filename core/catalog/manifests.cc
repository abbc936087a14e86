#include "core/catalog/manifests.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/catalog/admission_policy.h"
#include "core/catalog/dns_name.h"
#include "core/catalog/yaml_writer.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using Json = nlohmann::ordered_json;  // keys in the order in which people write manifests

constexpr std::string_view kRbacGroup = "rbac.authorization.k8s.io";
constexpr std::string_view kRbacVersion = "rbac.authorization.k8s.io/v1";
constexpr std::string_view kAdmissionVersion = "admissionregistration.k8s.io/v1";

absl::Status CheckNamespace(std::string_view what, std::string_view name) {
  if (IsDnsLabel(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat(what, ": got \"", name, "\", want the name of a namespace"));
}

absl::Status Check(const Catalog& catalog, const ManifestOptions& options) {
  CAPSTAN_RETURN_IF_ERROR(CheckNamespace("actions namespace", options.actions_namespace));
  CAPSTAN_RETURN_IF_ERROR(CheckNamespace("system namespace", options.system_namespace));
  if (options.actions_namespace == options.system_namespace) {
    return absl::InvalidArgumentError(
        "actions namespace: want another one than the system namespace, since whoever creates Jobs "
        "in a namespace "
        "may use every account of it");
  }
  if (!IsDnsSubdomain(options.worker_account)) {
    return absl::InvalidArgumentError(
        Cat("worker account: got \"", options.worker_account, "\", want the name of an account"));
  }
  if (options.target_namespaces.size() > kMaxTargetNamespaces) {
    return absl::InvalidArgumentError(Cat("target namespaces: more than ", kMaxTargetNamespaces));
  }
  for (const std::string& name : options.target_namespaces) {
    CAPSTAN_RETURN_IF_ERROR(CheckNamespace("target namespace", name));
  }
  for (const auto& [alias, image] : options.images) {
    CAPSTAN_RETURN_IF_ERROR(ValidateRunnerImage(alias, image));
  }
  for (const ActionDefinition& action : catalog.List()) {
    for (const ContainerDefinition& container : action.containers) {
      if (options.images.count(container.image) != 0) continue;
      return absl::InvalidArgumentError(Cat("runner image: action ", action.name,
                                            " needs an image for \"", container.image, "\""));
    }
  }
  return absl::OkStatus();
}

Json Object(std::string_view api_version, std::string_view kind, std::string_view name,
            std::string_view name_space) {
  Json object = {{"apiVersion", api_version}, {"kind", kind}, {"metadata", {{"name", name}}}};
  if (!name_space.empty()) object["metadata"]["namespace"] = name_space;
  object["metadata"]["labels"] = {{"app.kubernetes.io/part-of", "capstan"}};
  return object;
}

Json Namespace(std::string_view name) {
  Json object = Object("v1", "Namespace", name, "");
  for (std::string_view mode : {"enforce", "audit", "warn"}) {
    object["metadata"]["labels"][Cat("pod-security.kubernetes.io/", mode)] = "restricted";
  }
  return object;
}

// A Role in a namespace, a ClusterRole without one.
Json Role(std::string_view name, std::string_view name_space, Json rules) {
  Json object = Object(kRbacVersion, name_space.empty() ? "ClusterRole" : "Role", name, name_space);
  object["rules"] = std::move(rules);
  return object;
}

struct Account {
  std::string name;
  std::string name_space;
};

// Gives the account what the role says: in a namespace, or everywhere without one.
Json Binding(std::string_view name, std::string_view name_space, std::string_view role_kind,
             std::string_view role, const Account& account) {
  Json object = Object(kRbacVersion, name_space.empty() ? "ClusterRoleBinding" : "RoleBinding",
                       name, name_space);
  object["roleRef"] = {{"apiGroup", kRbacGroup}, {"kind", role_kind}, {"name", role}};
  object["subjects"] = Json::array(
      {{{"kind", "ServiceAccount"}, {"name", account.name}, {"namespace", account.name_space}}});
  return object;
}

Json Rule(const std::vector<std::string>& api_groups, const std::vector<std::string>& resources,
          const std::vector<std::string>& verbs) {
  return {{"apiGroups", api_groups}, {"resources", resources}, {"verbs", verbs}};
}

// Cluster-wide objects carry the actions namespace in their names, so that two installations do not
// share any.
std::string ClusterName(const ManifestOptions& options, std::string_view name) {
  return Cat(options.actions_namespace, ":", name);
}

RbacRule Fact(std::string_view group, std::string_view resource, std::vector<std::string> verbs) {
  return {Scope::kCluster, {std::string(group)}, {std::string(resource)}, std::move(verbs)};
}

// What the worker may do: launch and watch Jobs in the actions namespace, and read facts
// everywhere. No Secrets, and nothing that leads to more rights.
std::vector<RbacRule> WorkerRules() {
  return {
      {Scope::kActions, {"batch"}, {"jobs"}, {"create", "get", "list", "watch", "patch", "delete"}},
      {Scope::kActions, {""}, {"pods"}, {"get", "list", "watch"}},
      {Scope::kActions, {""}, {"pods/log"}, {"get"}},
      {Scope::kActions, {""}, {"events"}, {"create", "list"}},
      Fact("", "namespaces", {"get"}),
      Fact("", "nodes", {"get", "list"}),
      Fact("", "pods", {"get", "list"}),
      Fact("", "configmaps", {"get"}),
      Fact("apps", "deployments", {"get"}),
      Fact("apps", "replicasets", {"get"}),
      Fact("apps", "statefulsets", {"get"}),
      Fact("autoscaling", "horizontalpodautoscalers", {"list"}),
      Fact("policy", "poddisruptionbudgets", {"list"})};
}

Json RulesOf(const std::vector<RbacRule>& rbac, Scope scope) {
  Json rules = Json::array();
  for (const RbacRule& rule : rbac) {
    if (rule.scope == scope) rules.push_back(Rule(rule.api_groups, rule.resources, rule.verbs));
  }
  return rules;
}

// The account, with a role for each scope of its rules. A ClusterRole of what is namespaced is
// bound in each target namespace, everywhere when there are none.
void AddAccount(const Account& account, const std::vector<RbacRule>& rbac,
                std::string_view cluster_suffix, const ManifestOptions& options,
                std::vector<Json>* objects) {
  const std::string& name = account.name;
  objects->push_back(Object("v1", "ServiceAccount", name, account.name_space));
  if (Json rules = RulesOf(rbac, Scope::kActions); !rules.empty()) {
    objects->push_back(Role(name, options.actions_namespace, std::move(rules)));
    objects->push_back(Binding(name, options.actions_namespace, "Role", name, account));
  }
  if (Json rules = RulesOf(rbac, Scope::kNamespaced); !rules.empty()) {
    const std::string role = ClusterName(options, name);
    objects->push_back(Role(role, "", std::move(rules)));
    if (options.target_namespaces.empty()) {
      objects->push_back(Binding(role, "", "ClusterRole", role, account));
    }
    for (const std::string& target : options.target_namespaces) {
      objects->push_back(Binding(role, target, "ClusterRole", role, account));
    }
  }
  if (Json rules = RulesOf(rbac, Scope::kCluster); !rules.empty()) {
    const std::string role = ClusterName(options, Cat(name, cluster_suffix));
    objects->push_back(Role(role, "", std::move(rules)));
    objects->push_back(Binding(role, "", "ClusterRole", role, account));
  }
}

std::vector<std::string> NamespacesOf(Scope scope, const ManifestOptions& options) {
  if (scope == Scope::kActions) return {options.actions_namespace};
  if (scope == Scope::kNamespaced && !options.target_namespaces.empty()) {
    return options.target_namespaces;
  }
  return {""};
}

AccountGrants GrantsOf(const Account& account, const std::vector<RbacRule>& rbac,
                       const ManifestOptions& options) {
  std::set<Grant> grants;
  for (const RbacRule& rule : rbac) {
    for (const std::string& name_space : NamespacesOf(rule.scope, options)) {
      for (const std::string& group : rule.api_groups) {
        for (const std::string& resource : rule.resources) {
          for (const std::string& verb : rule.verbs) {
            grants.insert({verb, group, resource, name_space});
          }
        }
      }
    }
  }
  return {account.name_space, account.name, {grants.begin(), grants.end()}};
}

Account WorkerAccount(const ManifestOptions& options) {
  return {options.worker_account, options.system_namespace};
}

Account AccountOf(const ActionDefinition& action, const ManifestOptions& options) {
  return {ServiceAccountOf(action.name), options.actions_namespace};
}

void AddAdmissionPolicy(const Catalog& catalog, const ManifestOptions& options,
                        std::vector<Json>* objects) {
  const std::string name = AdmissionPolicyName(options);
  Json policy = Object(kAdmissionVersion, "ValidatingAdmissionPolicy", name, "");
  policy["spec"] = AdmissionPolicySpec(catalog, options.images);
  objects->push_back(std::move(policy));
  Json binding = Object(kAdmissionVersion, "ValidatingAdmissionPolicyBinding", name, "");
  binding["spec"] = {
      {"policyName", name},
      {"validationActions", {"Deny"}},
      {"matchResources",
       {{"namespaceSelector",
         {{"matchLabels", {{"kubernetes.io/metadata.name", options.actions_namespace}}}}}}}};
  objects->push_back(std::move(binding));
}

}  // namespace

std::vector<AccountGrants> GrantsOf(const Catalog& catalog, const ManifestOptions& options) {
  std::vector<AccountGrants> all = {GrantsOf(WorkerAccount(options), WorkerRules(), options)};
  for (const ActionDefinition& action : catalog.List()) {
    all.push_back(GrantsOf(AccountOf(action, options), action.rbac, options));
  }
  return all;
}

std::string AdmissionPolicyName(const ManifestOptions& options) {
  return Cat(options.actions_namespace, ".capstan.dev");
}

absl::StatusOr<std::string> RenderManifests(const Catalog& catalog,
                                            const ManifestOptions& options) {
  CAPSTAN_RETURN_IF_ERROR(Check(catalog, options));
  std::vector<Json> objects = {Namespace(options.system_namespace),
                               Namespace(options.actions_namespace)};
  AddAccount(WorkerAccount(options), WorkerRules(), "-facts", options, &objects);
  for (const ActionDefinition& action : catalog.List()) {
    AddAccount(AccountOf(action, options), action.rbac, "-cluster", options, &objects);
  }
  AddAdmissionPolicy(catalog, options, &objects);
  std::string yaml;
  for (const Json& object : objects) Append(&yaml, "---\n", ToYaml(object));
  return yaml;
}

}  // namespace capstan::catalog
