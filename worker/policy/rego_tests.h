// The tests that come with Rego modules.
#pragma once

#include <string>
#include <vector>

#include "worker/policy/rego_program.h"

namespace capstan::policy {

// Evaluates every rule named test_… of the modules; each must be true. Returns a line for each that
// is not: file, rule and why. A test that recurses ends the process: run this in a child
// (bundle_check.h).
std::vector<std::string> FailedTests(const RegoProgram& program,
                                     const std::vector<RegoModuleInfo>& modules);

}  // namespace capstan::policy
