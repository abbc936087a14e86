// Programs that tests use where they can be had: tests/e2e/tools.sh makes them in the cache.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {

// The path of a program that tests/e2e/tools.sh knows; making it takes up to a minute the first
// time. UNAVAILABLE, with the reason, where it cannot be made: the test program says how many
// tests were not run and ends with kNotRun.
inline constexpr int kNotRun = 77;  // SKIP_RETURN_CODE of CMakeLists.txt: ctest lists it
absl::StatusOr<std::string> Tool(const std::string& name);

// What follows `before` on its line of the log, up to `after`; "" when it is not there.
std::string FromLog(const Process& process, const std::string& before, const std::string& after);

}  // namespace capstan::testing
