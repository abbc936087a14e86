// Rego modules compiled by the engine crate (ffi/), as a value that evaluates rules.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

struct CapstanRegoPolicy;

namespace capstan::policy {

struct RegoModule {
  std::string path;  // Shown in messages; ends in "_test.rego" for a module of tests.
  std::string source;
};

// What a module declares.
struct RegoModuleInfo {
  std::string path;
  std::vector<std::string> package;  // Without the leading "data".
  bool imports_rego_v1 = false;
  std::vector<std::string> rules;  // Names, each once.
};

struct RegoLimits {
  absl::Duration timeout = absl::Milliseconds(500);  // Wall clock, of one try.
  std::uint64_t max_input_bytes = 2 << 20;
  std::uint64_t max_output_bytes = 1 << 20;
};

// Parses modules and says what they declare. INVALID_ARGUMENT names file and line of what does not
// parse.
absl::StatusOr<std::vector<RegoModuleInfo>> DescribeRego(const std::vector<RegoModule>& modules);

// What all tries of one evaluation may take together; whoever waits gets an answer within twice
// the time of one.
inline absl::Duration BudgetOf(absl::Duration timeout) { return timeout * 9 / 5; }

// Whether an evaluation that ran into `timeout` is tried again with what is left of its budget. The
// time is wall clock, so a machine under load trips it too; but who had the processor for half of
// it is slow. `used`: processor time.
bool WorthAnotherTry(absl::Duration used, absl::Duration timeout);

// Immutable; any number of threads may evaluate at once, each evaluation on its own copy of the
// engine's state.
class RegoProgram {
 public:
  // `rule` ("data.a.b.c") must exist. INVALID_ARGUMENT: a module does not compile or is refused
  // (recursion, unknown function, builtin that is not deterministic, `with` outside tests); fix the
  // module.
  static absl::StatusOr<RegoProgram> Compile(const std::vector<RegoModule>& modules,
                                             std::string_view rule, const RegoLimits& limits);

  // Returns the value of a rule as compact JSON. NOT_FOUND: the rule is undefined for this input.
  // INVALID_ARGUMENT: the input is not JSON. DEADLINE_EXCEEDED: the time limit, after another try
  // where it is worth one. RESOURCE_EXHAUSTED: the input is over its size limit.
  // FAILED_PRECONDITION: a rule raised an error. INTERNAL: a bug in the engine.
  absl::StatusOr<std::string> Evaluate(std::string_view rule, std::string_view input_json) const;

 private:
  struct Free {
    void operator()(CapstanRegoPolicy* policy) const noexcept;
  };
  RegoProgram(CapstanRegoPolicy* policy, absl::Duration timeout)
      : policy_(policy), timeout_(timeout) {}

  absl::StatusOr<std::string> Try(std::string_view rule, std::string_view input_json,
                                  absl::Duration timeout) const;

  std::unique_ptr<CapstanRegoPolicy, Free> policy_;
  absl::Duration timeout_;
};

}  // namespace capstan::policy
