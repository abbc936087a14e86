// An action as its file in catalog/actions/ describes it. Plain data: made and checked by
// ParseAction, owned by the Catalog, never changed afterwards; safe to read from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace capstan::catalog {

// What a second run of the same action would do. Decides what policy and retries may assume.
enum class EffectClass {
  kRead,         // changes nothing
  kIdempotent,   // running it twice is the same as running it once
  kReversible,   // can be undone by an inverse action
  kDestructive,  // cannot be undone
};

enum class ParameterType { kString, kInteger, kBoolean };

// For strings: what else they must be.
enum class ParameterFormat {
  kNone,          // any text up to kMaxStringBytes
  kDnsLabel,      // RFC 1123 label, at most 63 characters: namespaces
  kDnsSubdomain,  // RFC 1123 subdomain, at most 253 characters: most object names
  kImage,         // an image reference with a tag or a digest
  kJsonPatch,     // RFC 6902 as JSON text, up to kMaxPatchBytes, only under the definition's paths
};

// Where a rule of an account holds.
enum class Scope {
  kNamespaced,  // in the namespaces whose objects actions may change
  kCluster,     // everywhere, cluster-scoped kinds included
  kActions,     // only in the namespace where Jobs run
};

// The words of the catalog files and of the API.
std::string_view Name(EffectClass effect);
std::string_view Name(ParameterType type);
std::string_view Name(ParameterFormat format);  // empty for kNone
std::string_view Name(Scope scope);

// A checked value: the alternative is that of the parameter's type.
using ParameterValue = std::variant<std::string, int64_t, bool>;

struct ParameterDefinition {
  std::string name;
  ParameterType type = ParameterType::kString;
  ParameterFormat format = ParameterFormat::kNone;
  std::optional<int64_t> min;  // integers only
  std::optional<int64_t> max;
  bool required = false;
  std::optional<ParameterValue> default_value;  // of the right type and within the bounds
  std::vector<std::string> paths;               // kJsonPatch: what it may touch, such as /data
  std::string description;
};

// The object that the action changes. The texts may hold ${parameters.x}.
struct TargetDefinition {
  std::string api_version;
  std::string kind;
  std::string namespace_template;  // empty for cluster-scoped kinds
  std::string name_template;
};

// One rule of the account that the action's Job runs under.
struct RbacRule {
  Scope scope = Scope::kNamespaced;
  std::vector<std::string> api_groups;
  std::vector<std::string> resources;
  std::vector<std::string> verbs;
};

// The keys of a Secret of the actions namespace, as files of the container: how secrets reach an
// action. A Secret that is missing keeps the pod from starting, and the execution says so by name.
struct SecretMount {
  std::string secret;  // its name; may hold ${parameters.x}
  std::string path;    // folder, absolute
};

struct ContainerDefinition {
  std::string name;
  std::string image;  // an alias that configuration maps to a pinned image
  // Rendered only when this optional parameter is given; empty: always. Its texts may then hold it.
  std::string when;
  // Texts may hold ${parameters.x}, ${captured.x}, ${timeout}, ${execution.create_time} (RFC 3339),
  // ${execution.id} and ${execution.namespace} (where Jobs run).
  std::vector<std::string> argv;
  std::vector<SecretMount> secrets;
};

// A condition that is looked at before or after: a module of catalog/conditions.
struct ConditionUse {
  std::string name;
  bool required = true;
  absl::Duration timeout;  // one look (pre) or all looks (post)
  std::string description;
};

// Kubernetes quantities by resource name (cpu, memory).
using Quantities = std::map<std::string, std::string>;

// The inverse action. Its parameter texts may hold ${parameters.x}, ${captured.x} and
// ${execution.id}.
struct RollbackDefinition {
  std::string action;
  std::map<std::string, std::string> parameters;
  // captured name -> text: the inverse exists only when each was captured as this.
  std::map<std::string, std::string> when;
};

struct ActionDefinition {
  std::string name;
  std::string description;
  EffectClass effect = EffectClass::kDestructive;
  std::vector<ParameterDefinition> parameters;  // in the order to show them
  std::vector<std::string> exactly_one_of;      // of these optional parameters; empty: no such rule
  TargetDefinition target;
  std::vector<std::string> facts;  // of kKnownFacts; the first is of the target
  // name -> path in the facts, such as node.unschedulable. A part of the path may be a
  // ${parameters.x} of a required parameter; its value is one key, whatever dots it holds.
  std::map<std::string, std::string> capture;
  std::optional<RollbackDefinition> rollback;
  std::vector<ConditionUse> preconditions;
  std::vector<ConditionUse> postconditions;
  absl::Duration cooldown;            // after a success, for the same action on the same target
  bool blocks_after_failure = false;  // a failure after the start blocks the target
  std::vector<RbacRule> rbac;
  absl::Duration default_timeout;
  absl::Duration max_timeout;
  std::vector<ContainerDefinition> containers;  // all but the last are init containers
  Quantities requests;                          // of each container
  Quantities limits;
  std::string digest;  // SHA-256 of the file in hex: the definition's version

  // Changes nothing: takes no target lock.
  bool reads_only() const { return effect == EffectClass::kRead; }

  // Null when there is no such parameter.
  const ParameterDefinition* FindParameter(std::string_view parameter) const;
};

// Facts that workers know how to read.
inline constexpr const char* kKnownFacts[] = {"deployment", "pod",     "config_map", "secret",
                                              "node",       "cluster", "workload"};

inline constexpr absl::Duration kDefaultTimeout = absl::Minutes(5);
inline constexpr absl::Duration kMaxTimeout = absl::Minutes(15);  // no definition may allow more
inline constexpr absl::Duration kDefaultPreconditionTimeout = absl::Seconds(30);
inline constexpr absl::Duration kDefaultPostconditionTimeout = absl::Minutes(2);
inline constexpr absl::Duration kMaxConditionTimeout = absl::Minutes(15);
inline constexpr absl::Duration kMaxCooldown = absl::Hours(24);
// Of one json_patch. It becomes an argument, and Linux takes none of 128 KiB or more.
inline constexpr size_t kMaxPatchBytes = 120 << 10;
inline constexpr size_t kMaxConditions = 16;
inline constexpr size_t kMaxSecretMounts = 8;  // of one container
inline constexpr size_t kMaxDefinitionBytes = 256 << 10;
inline constexpr size_t kMaxParameters = 64;
inline constexpr size_t kMaxContainers = 8;
inline constexpr size_t kMaxArguments = 128;

// The account of an action: kubernetes-executor-scale-deployment for ScaleDeployment.
std::string ServiceAccountOf(std::string_view action_name);

}  // namespace capstan::catalog
