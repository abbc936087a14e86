// The conditions of the catalog that this program was built with, with their tests; not yet sorted
// into conditions.
#pragma once

#include <vector>

#include "worker/policy/bundle_files.h"

namespace capstan::policy {

extern const std::vector<PolicyFile> kEmbeddedConditions;

}  // namespace capstan::policy
