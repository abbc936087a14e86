// Kubernetes resource quantities: 500m, 2, 0.5, 128Mi, 1e3, 1G.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"

namespace capstan::catalog {

// The value in base units (cores, bytes), good for comparing. INVALID_ARGUMENT when the text is not
// a quantity, is negative, or is out of range: fix the catalog file.
absl::StatusOr<double> ParseQuantity(std::string_view text);

}  // namespace capstan::catalog
