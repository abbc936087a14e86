// Preconditions and postconditions: one Rego module each, in package capstan.conditions.<name>,
// whose rule `result` is {"passed", "message", "missing"}. docs/policies.md is the manual of their
// author.
//
// Each condition is a program of its own: it sees no other condition and no safety rule, and they
// do not see it.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "worker/policy/bundle_files.h"
#include "worker/policy/rego_program.h"

namespace capstan::policy {

inline constexpr char kConditionInputApiVersion[] = "capstan.condition/v1";

struct ConditionAnswer {
  bool evaluated = false;            // False: the condition could not answer, `message` says why.
  bool passed = false;               // Only ever true when evaluated and nothing is missing.
  std::string message;               // For people. Not empty.
  std::vector<std::string> missing;  // What was needed and absent: "facts.deployment.replicas".
  absl::Duration took;
};

// The programs of a directory's conditions, by name, without their tests. INVALID_ARGUMENT names
// the file that is wrong: it does not parse, lacks `import rego.v1`, has another package than its
// name's, does not declare `result`, is a test without a condition, or is refused by the engine.
absl::StatusOr<std::map<std::string, RegoProgram, std::less<>>> CompileConditions(
    const BundleFiles& files, const RegoLimits& limits);

// Compiles each condition with its tests and evaluates those; INVALID_ARGUMENT lists the ones that
// are not true. Run this in a child (bundle_check.h).
absl::Status TestConditions(const BundleFiles& files, const RegoLimits& limits);

// Reads the value of `result` into an answer. Whatever is not of the agreed shape is not evaluated.
ConditionAnswer ReadConditionResult(std::string_view json);

// Immutable after Load: any number of threads may evaluate at once. To reload, load another one and
// swap the pointer; evaluations under way finish on the one they began with.
class ConditionSet {
 public:
  struct Options {
    std::string directory;
    std::string check_program;  // Path of capstan-policy-check (core/find_program.h).
    RegoLimits limits;          // Of one try.
    absl::Duration check_timeout = absl::Seconds(30);
  };

  // Compiles every condition and runs its tests in a child process.
  //   NOT_FOUND            the directory is not there
  //   FAILED_PRECONDITION  there is no condition in it
  //   INVALID_ARGUMENT     a condition is bad; the message names its file
  //   UNAVAILABLE          the directory cannot be read
  //   other                the check cannot be run
  static absl::StatusOr<ConditionSet> Load(const Options& options, Clock& clock);

  // Those that the program was built with.
  static absl::StatusOr<ConditionSet> Embedded(const RegoLimits& limits, Clock& clock);

  // Load; those that the program was built with where the directory is missing, empty or cannot be
  // read, which is logged. One that is there and bad ends the start-up all the same: somebody wants
  // it, and its like from here may ask for less.
  static absl::StatusOr<ConditionSet> LoadOrEmbedded(const Options& options, Clock& clock);

  // Never throws, never fails. An unknown name, an error, a time-out, an undefined result or one of
  // another shape is an answer that is not evaluated. Tries a time-out of the engine again while
  // `timeout` lasts. Blocks for at most `timeout` and one try; an answer that comes later than
  // `timeout` does not count.
  ConditionAnswer Evaluate(std::string_view name, const nlohmann::json& input,
                           absl::Duration timeout) const;

  bool Has(std::string_view name) const { return programs_.find(name) != programs_.end(); }
  std::vector<std::string> names() const;                // Sorted.
  const std::string& digest() const { return digest_; }  // SHA-256 over names and contents.
  bool embedded() const { return embedded_; }            // Those the program was built with.

 private:
  ConditionSet(std::map<std::string, RegoProgram, std::less<>> programs, std::string digest,
               Clock& clock)
      : programs_(std::move(programs)), digest_(std::move(digest)), clock_(&clock) {}

  std::map<std::string, RegoProgram, std::less<>> programs_;
  std::string digest_;
  bool embedded_ = false;
  Clock* clock_;
};

}  // namespace capstan::policy
