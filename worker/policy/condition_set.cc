#include "worker/policy/condition_set.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "worker/policy/bundle_check.h"
#include "worker/policy/embedded_conditions.h"
#include "worker/policy/rego_tests.h"

namespace capstan::policy {
namespace {

using nlohmann::json;

constexpr char kConditionsPackage[] = "capstan.conditions.";
// Times that a directory which changes while it is checked is read again.
constexpr int kMaxRounds = 5;
constexpr std::size_t kMaxMessageBytes = 4096;
constexpr std::size_t kMaxMissing = 64;

std::string ResultRule(std::string_view name) {
  return absl::StrCat("data.", kConditionsPackage, std::string(name), ".result");
}

std::vector<RegoModule> Modules(const BundleFiles& files, const std::string& name,
                                bool with_tests) {
  std::vector<RegoModule> modules;
  for (const PolicyFile& file : files.files) {
    if (file.bundle == name && (with_tests || !file.is_test())) {
      modules.push_back({file.path, file.source});
    }
  }
  return modules;
}

// What every file must look like.
absl::Status CheckConvention(const PolicyFile& file) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<RegoModuleInfo> infos,
                           DescribeRego({{file.path, file.source}}));
  const RegoModuleInfo& info = infos.at(0);
  const std::string want =
      absl::StrCat(kConditionsPackage, file.bundle, file.is_test() ? "_test" : "");
  const std::string got = absl::StrJoin(info.package, ".");
  if (got != want) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path, ": package is ", got, ", want ", want));
  }
  if (!info.imports_rego_v1) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, ": lacks `import rego.v1`"));
  }
  const bool answers =
      std::find(info.rules.begin(), info.rules.end(), "result") != info.rules.end();
  if (!file.is_test() && !answers) {
    return absl::InvalidArgumentError(absl::StrCat(file.path, ": does not declare `result`"));
  }
  return absl::OkStatus();
}

absl::Status CheckConventions(const BundleFiles& files) {
  for (const PolicyFile& file : files.files) {
    CAPSTAN_RETURN_IF_ERROR(CheckConvention(file));
    if (!std::binary_search(files.bundles.begin(), files.bundles.end(), file.bundle)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path, ": there is no ", file.bundle, ".rego"));
    }
  }
  return absl::OkStatus();
}

ConditionAnswer NotEvaluated(std::string why) {
  ConditionAnswer answer;
  answer.message = std::move(why).substr(0, kMaxMessageBytes);
  return answer;
}

// Returns what is wrong, or nothing.
std::string Read(const json& result, ConditionAnswer& answer) {
  if (!result.is_object()) return "not an object";
  const auto passed = result.find("passed");
  if (passed == result.end() || !passed->is_boolean()) return "passed is not a boolean";
  const auto message = result.find("message");
  if (message == result.end() || !message->is_string()) return "message is not a text";
  const auto missing = result.find("missing");
  if (missing == result.end() || !missing->is_array() || missing->size() > kMaxMissing) {
    return "missing is not a list";
  }
  for (const json& path : *missing) {
    if (!path.is_string()) return "missing is not a list of texts";
    answer.missing.push_back(path.get<std::string>());
  }
  answer.message = message->get<std::string>().substr(0, kMaxMessageBytes);
  answer.passed = passed->get<bool>() && answer.missing.empty();
  return "";
}

std::string Why(const absl::Status& status) {
  if (absl::IsNotFound(status)) return "the result is undefined: a fact that it needs is missing";
  if (absl::IsDeadlineExceeded(status)) return "timed out";
  return std::string(status.message());
}

// Compares the check's view of the directory with what was read.
absl::StatusOr<BundleFiles> ReadChecked(const ConditionSet::Options& options) {
  absl::StatusOr<BundleFiles> files = ReadConditionFiles(options.directory);
  for (int round = 1; files.ok(); ++round) {
    if (files->bundles.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(options.directory, ": no condition"));
    }
    BundleCheck check{
        options.check_program, options.directory, {}, files->digest, options.check_timeout};
    check.conditions = true;
    const absl::Status checked = CheckInChild(check);
    if (checked.ok()) return files;
    if (!absl::IsAborted(checked) || round == kMaxRounds) return checked;
    files = ReadConditionFiles(options.directory);
  }
  return files;
}

}  // namespace

absl::StatusOr<std::map<std::string, RegoProgram, std::less<>>> CompileConditions(
    const BundleFiles& files, const RegoLimits& limits) {
  CAPSTAN_RETURN_IF_ERROR(CheckConventions(files));
  std::map<std::string, RegoProgram, std::less<>> programs;
  for (const std::string& name : files.bundles) {
    CAPSTAN_ASSIGN_OR_RETURN(
        RegoProgram program,
        RegoProgram::Compile(Modules(files, name, /*with_tests=*/false), ResultRule(name), limits));
    programs.emplace(name, std::move(program));
  }
  return programs;
}

absl::Status TestConditions(const BundleFiles& files, const RegoLimits& limits) {
  CAPSTAN_RETURN_IF_ERROR(CompileConditions(files, limits).status());
  std::vector<std::string> problems;
  for (const std::string& name : files.bundles) {
    const std::vector<RegoModule> modules = Modules(files, name, /*with_tests=*/true);
    CAPSTAN_ASSIGN_OR_RETURN(const std::vector<RegoModuleInfo> infos, DescribeRego(modules));
    CAPSTAN_ASSIGN_OR_RETURN(const RegoProgram program,
                             RegoProgram::Compile(modules, ResultRule(name), limits));
    const std::vector<std::string> failed = FailedTests(program, infos);
    problems.insert(problems.end(), failed.begin(), failed.end());
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

ConditionAnswer ReadConditionResult(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);
  ConditionAnswer answer;
  const std::string problem = parsed.is_discarded() ? "not JSON" : Read(parsed, answer);
  if (!problem.empty()) return NotEvaluated(absl::StrCat("the result is malformed: ", problem));
  answer.evaluated = true;
  if (answer.message.empty()) answer.message = answer.passed ? "passed" : "not passed";
  return answer;
}

absl::StatusOr<ConditionSet> ConditionSet::Load(const Options& options, Clock& clock) {
  const absl::StatusOr<BundleFiles> files = ReadChecked(options);
  CAPSTAN_RETURN_IF_ERROR(Annotate(files.status(), "conditions"));
  absl::StatusOr<std::map<std::string, RegoProgram, std::less<>>> programs =
      CompileConditions(*files, options.limits);
  CAPSTAN_RETURN_IF_ERROR(Annotate(programs.status(), "conditions"));
  return ConditionSet(*std::move(programs), files->digest, clock);
}

absl::StatusOr<ConditionSet> ConditionSet::Embedded(const RegoLimits& limits, Clock& clock) {
  CAPSTAN_ASSIGN_OR_RETURN(const BundleFiles files,
                           ConditionFiles("embedded conditions", kEmbeddedConditions));
  CAPSTAN_ASSIGN_OR_RETURN(auto programs, CompileConditions(files, limits));
  ConditionSet set(std::move(programs), files.digest, clock);
  set.embedded_ = true;
  return set;
}

absl::StatusOr<ConditionSet> ConditionSet::LoadOrEmbedded(const Options& options, Clock& clock) {
  absl::StatusOr<ConditionSet> loaded = Load(options, clock);
  const absl::Status& why = loaded.status();
  if (!absl::IsNotFound(why) && !absl::IsFailedPrecondition(why) && !absl::IsUnavailable(why))
    return loaded;
  absl::StatusOr<ConditionSet> embedded = Embedded(options.limits, clock);
  if (!embedded.ok()) return embedded;
  Log(Level::kWarning, "conditions could not be loaded; those of this build are used instead",
      {{"reason", why.ToString()}, {"digest", embedded->digest()}});
  return embedded;
}

ConditionAnswer ConditionSet::Evaluate(std::string_view name, const json& input,
                                       absl::Duration timeout) const {
  const auto found = programs_.find(name);
  if (found == programs_.end()) {
    return NotEvaluated(absl::StrCat("there is no condition named ", std::string(name)));
  }
  std::string text;
  try {
    text = input.dump();
  } catch (const std::exception& error) {
    return NotEvaluated(absl::StrCat("the input cannot be written as JSON: ", error.what()));
  }

  const absl::Duration start = clock_->BootTime();
  const auto late = [&] { return clock_->BootTime() - start > timeout; };
  const absl::StatusOr<std::string> result = found->second.Evaluate(ResultRule(name), text);
  ConditionAnswer answer = !result.ok() ? NotEvaluated(Why(result.status()))
                           : late()     ? NotEvaluated("timed out")
                                        : ReadConditionResult(*result);
  answer.took = clock_->BootTime() - start;
  return answer;
}

std::vector<std::string> ConditionSet::names() const {
  std::vector<std::string> names;
  for (const auto& [name, program] : programs_) names.push_back(name);
  return names;
}

}  // namespace capstan::policy
