// The ValidatingAdmissionPolicy of an installation. Internal to the catalog: see manifests.h.
#pragma once

#include <nlohmann/json.hpp>

#include "core/catalog/catalog.h"
#include "core/catalog/runner_images.h"

namespace capstan::catalog {

// The spec of the policy. Whoever may create Jobs in a namespace may use every account and every
// Secret of it; this narrows that down to Jobs as RenderJob makes them: suspended, with the account
// of the action that the label names, with containers, images, leading arguments and Secret mounts
// of its definition, and with the lock-down that every one of them has. `images` has every alias.
nlohmann::ordered_json AdmissionPolicySpec(const Catalog& catalog, const RunnerImages& images);

}  // namespace capstan::catalog
