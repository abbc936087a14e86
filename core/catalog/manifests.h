// What an administrator applies once so that this catalog can run in a cluster. Capstan itself
// never creates accounts or rights.
#pragma once

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

// YAML for `kubectl apply -f -`: both namespaces (restricted Pod Security), an account with its
// role and bindings for each action and for the worker, and an admission policy that lets a Job use
// an action's account only with the label and the pinned images of that action. INVALID_ARGUMENT
// when a name is no DNS label, an image is missing or not pinned.
absl::StatusOr<std::string> RenderManifests(const Catalog& catalog, const ManifestOptions& options);

}  // namespace capstan::catalog
