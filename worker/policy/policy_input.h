// The input document of a policy evaluation: `input` in Rego. docs/policies.md is its manual.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace capstan::policy {

inline constexpr char kInputApiVersion[] = "capstan.policy/v1";

// Filled by the worker. Everything about the target comes from the cluster, never from the request.
// What is optional and not set is left out of the document; rules that need it deny then.
struct PolicyInput {
  struct TargetResource {
    std::string kind;
    std::string name;
    std::string namespace_name;  // Empty for a target without a namespace.
    std::map<std::string, std::string> labels;
  };
  struct Metadata {
    std::string execution_name;       // "executions/{id}"
    std::string execution_namespace;  // Where the Job runs.
  };
  struct ClusterInfo {
    std::string name;
    std::int64_t total_nodes = 0;
    std::int64_t available_nodes = 0;  // Ready and not cordoned.
  };
  struct ClusterState {
    std::int64_t concurrent_actions = 0;  // Ours that hold a target, without this one.
    std::optional<std::int64_t> other_clusters_draining;
  };
  // Of the target's namespace.
  struct RateLimitState {
    std::int64_t count = 0;  // Actions started within the window, without this one.
    std::int64_t max_count = 0;
    std::int64_t window_seconds = 0;
  };
  struct RunningAction {
    std::string action;
    std::string execution_name;
  };
  struct Approval {
    bool approved = false;  // The quorum of every obligation was reached.
    std::vector<std::string> approvers;
  };

  // What the action's Job runs as, and what the catalog entry grants it: the Roles are made of
  // that.
  struct Account {
    struct Right {
      std::string scope;  // "namespaced", "cluster" or "actions"
      std::vector<std::string> api_groups;
      std::vector<std::string> resources;
      std::vector<std::string> verbs;
    };
    std::string name;
    std::string name_space;
    std::vector<Right> rights;
  };

  std::string action;
  nlohmann::json parameters = nlohmann::json::object();  // Typed: a number stays a number.
  std::string caller;
  bool dry_run = false;
  absl::Time evaluation_time;  // In place of a clock, so that a decision can be replayed.
  TargetResource target_resource;
  Metadata metadata;
  nlohmann::json facts = nlohmann::json::object();  // As the action's catalog entry lists them.

  std::optional<Account> account;
  std::optional<std::string> environment;  // Of the worker's configuration, such as "production".
  std::optional<ClusterInfo> cluster_info;
  std::optional<ClusterState> cluster_state;
  std::optional<RateLimitState> rate_limit_state;
  std::optional<std::vector<RunningAction>> running_actions;  // Others on the same target.
  std::optional<bool>
      prior_dry_run;  // The same caller's same request succeeded as a dry run before.
  std::optional<Approval> approval;  // As recorded for this execution, never as claimed.
};

// Pure. Keys are sorted, so equal inputs have equal text.
nlohmann::json ToJson(const PolicyInput& input);

// The document as text. INVALID_ARGUMENT when it has no JSON form, such as a string that is not
// UTF-8: deny.
absl::StatusOr<std::string> ToJsonText(const PolicyInput& input);

}  // namespace capstan::policy
