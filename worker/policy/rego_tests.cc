#include "worker/policy/rego_tests.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace capstan::policy {
namespace {

constexpr char kEmptyInput[] = "{}";

}  // namespace

std::vector<std::string> FailedTests(const RegoProgram& program,
                                     const std::vector<RegoModuleInfo>& modules) {
  std::vector<std::string> problems;
  for (const RegoModuleInfo& module : modules) {
    for (const std::string& rule : module.rules) {
      if (!rule.starts_with("test_")) continue;
      const absl::StatusOr<std::string> result = program.Evaluate(
          absl::StrCat("data.", absl::StrJoin(module.package, "."), ".", rule), kEmptyInput);
      if (result.ok() && *result == "true") continue;
      const std::string why =
          result.ok() ? absl::StrCat("is ", *result) : std::string(result.status().message());
      problems.push_back(absl::StrCat(module.path, ": ", rule, ": ", why));
    }
  }
  return problems;
}

}  // namespace capstan::policy
