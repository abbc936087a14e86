// What an administrator applies once so that this catalog can run in a cluster. Capstan itself
// never creates accounts or rights.
#pragma once

#include <compare>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/catalog.h"
#include "core/catalog/runner_images.h"

namespace capstan::catalog {

struct ManifestOptions {
  std::string actions_namespace = "capstan-actions";  // where Jobs run, and nothing else
  std::string system_namespace = "capstan-system";    // of the worker's account
  std::string worker_account = "capstan-worker";
  // Namespaces whose objects actions may change. Empty: all of them.
  std::vector<std::string> target_namespaces = {};
  RunnerImages images = DefaultRunnerImages();
};

inline constexpr size_t kMaxTargetNamespaces = 1000;

// One thing that an account may do.
struct Grant {
  std::string verb;
  std::string api_group;
  std::string resource;    // with its subresource: pods/log
  std::string name_space;  // where; empty: everywhere, cluster-scoped kinds included

  friend auto operator<=>(const Grant&, const Grant&) = default;
};

struct AccountGrants {
  std::string name_space;  // of the account
  std::string account;
  std::vector<Grant> grants;  // sorted, each once
};

// What the manifests give to each account and nothing else: the worker's first, then the actions'
// by name. For asking a cluster whether it is so. Pure; `options` as for RenderManifests,
// unchecked.
std::vector<AccountGrants> GrantsOf(const Catalog& catalog, const ManifestOptions& options);

// Name of the admission policy and of its binding.
std::string AdmissionPolicyName(const ManifestOptions& options);

// YAML for `kubectl apply -f -`: both namespaces (restricted Pod Security), an account with its
// roles and bindings for each action and for the worker, and an admission policy that lets no Job
// into the actions namespace but those of actions, as RenderJob makes them.
// INVALID_ARGUMENT when a name is no DNS label, an image is missing or not pinned.
absl::StatusOr<std::string> RenderManifests(const Catalog& catalog, const ManifestOptions& options);

}  // namespace capstan::catalog
