// Named points where tests make the process crash, pause, fail or wait. In products HitFailpoint is
// an empty function (core/failpoint/off); programs for fault tests link core/failpoint/on instead.
// That is the only difference between the two, so tests and products share every other object.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace capstan {

// OK, or the injected error, which the caller handles as if the step it guards had failed. May not
// return at all (crash) or return late (pause, delay).
absl::Status HitFailpoint(std::string_view name);

}  // namespace capstan
