// The input document of a policy evaluation: `input` in Rego. docs/policies.md is its manual.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"

namespace capstan::policy {

inline constexpr char kInputApiVersion[] = "capstan.policy/v1";

// Filled by the worker. Everything about the target comes from the cluster, never from the request.
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

  std::string action;
  nlohmann::json parameters = nlohmann::json::object();  // Typed: a number stays a number.
  std::string caller;
  bool dry_run = false;
  absl::Time evaluation_time;  // In place of a clock, so that a decision can be replayed.
  TargetResource target_resource;
  Metadata metadata;
  nlohmann::json facts = nlohmann::json::object();  // As the action's catalog entry lists them.
};

// Pure. Keys are sorted, so equal inputs have equal text.
nlohmann::json ToJson(const PolicyInput& input);

}  // namespace capstan::policy
