// Whether a spec can be meant.
#pragma once

#include "absl/status/status.h"
#include "worker/process/process.h"

namespace capstan::process {

// INVALID_ARGUMENT: fix the spec.
absl::Status CheckSpec(const Spec& spec);

}  // namespace capstan::process
