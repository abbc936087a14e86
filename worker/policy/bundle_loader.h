// From the files of bundles to something that decides: the rules every bundle keeps, the built-in
// decision module that gathers them, and the bundles' own tests.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/policy/bundle_files.h"
#include "worker/policy/rego_program.h"

namespace capstan::policy {

// The one rule that is evaluated.
inline constexpr char kDecisionRule[] = "data.capstan.safety.decision";

// The Rego of package capstan.safety for these bundles. Every bundle that is there counts, required
// or not: any violation denies. A bundle whose `violations` is undefined or not a set denies.
std::string DecisionModule(const std::vector<std::string>& bundles);

// Compiles the bundles (without their tests) and the decision module. Call only when no required
// bundle is missing and there is at least one. INVALID_ARGUMENT names file and line of what is
// wrong: a file does not parse, lacks `import rego.v1`, has another package than its bundle's, no
// file of a bundle declares `violations`, or the engine refuses it (see RegoProgram::Compile).
absl::StatusOr<RegoProgram> CompileBundles(const BundleFiles& files, const RegoLimits& limits);

// Compiles the bundles with their tests and evaluates every rule named test_…; each must be true.
// INVALID_ARGUMENT lists those that are not. A test that recurses ends the process: run this in a
// child (bundle_check.h).
absl::Status TestBundles(const BundleFiles& files, const RegoLimits& limits);

}  // namespace capstan::policy
