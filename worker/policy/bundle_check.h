// Checks policies in a child process (capstan-policy-check, main.cc) before they are loaded: a
// policy can crash the engine, and then it is the child that dies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace capstan::policy {

// Exit codes of the program.
inline constexpr int kCheckGood = 0;
inline constexpr int kCheckBad = 1;
inline constexpr int kCheckUsage = 2;
inline constexpr int kCheckOtherFiles = 3;

// Limits of the child. Evaluations in the worker need at least twice this stack.
inline constexpr std::uint64_t kCheckMemoryBytes = std::uint64_t{2} << 30;
inline constexpr std::uint64_t kCheckStackBytes = std::uint64_t{1} << 20;

struct BundleCheck {
  std::string program;  // Path of capstan-policy-check.
  std::string directory;
  std::vector<std::string> required;
  std::string digest;  // Of the files that are about to be loaded.
  absl::Duration timeout = absl::Seconds(30);
  bool conditions = false;  // The directory holds conditions (condition_set.h), not bundles.
};

// Blocks until the child ends or is killed at the timeout.
//   INVALID_ARGUMENT   the policies are bad, or crashed the child; the message says how. Keep the
//   last good ones. ABORTED            the files changed meanwhile: read them again and check those
//   DEADLINE_EXCEEDED  the child was too slow and was killed; try again later
//   INTERNAL           the program cannot be run: bad wiring or no resources
absl::Status CheckInChild(const BundleCheck& check);

}  // namespace capstan::policy
