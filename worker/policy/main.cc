// capstan-policy-check: compiles a directory of policies or conditions and runs its tests. The
// worker runs it on every new version of its policies before it loads them, so that a policy that
// crashes the engine crashes this process; people and CI run it by hand.
//
// Exit: 0 fine, 1 the policies are bad (the problems are on standard output), 2 wrong usage, 3 the
// files are not those with the expected digest.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "worker/policy/bundle_check.h"
#include "worker/policy/bundle_loader.h"
#include "worker/policy/condition_set.h"
#include "worker/policy/rego_policy_engine.h"

namespace {

using namespace capstan::policy;  // NOLINT(google-build-using-namespace): this program is about
                                  // nothing else

int Problem(const std::string& problem) {
  std::printf("%s\n", problem.c_str());
  return kCheckBad;
}

// A policy may not take the machine with it. The stack is much smaller than that of a worker's
// thread, so that what gets near its end is refused here. Sanitizers reserve address space far
// beyond any limit.
void LimitResources() {
  // What runs out of memory would need memory to say where.
  setenv("RUST_BACKTRACE", "0", /*overwrite=*/1);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const rlimit stack{kCheckStackBytes, kCheckStackBytes};
  setrlimit(RLIMIT_STACK, &stack);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{kCheckMemoryBytes, kCheckMemoryBytes};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

// One input document a line on standard input, the value of the rule a line on standard output.
int Decide(const RegoProgram& program, const std::string& rule) {
  int result = kCheckGood;
  for (std::string input; std::getline(std::cin, input);) {
    const absl::StatusOr<std::string> decision = program.Evaluate(rule, input);
    if (!decision.ok()) result = kCheckBad;
    std::printf("%s\n", decision.ok() ? decision->c_str() : decision.status().ToString().c_str());
  }
  return result;
}

// One stored input a line on standard input; on standard output, as soon as it is made, the
// decision of each as it would be stored, with the digest of the rules.
int Replay(const RegoProgram& program, const std::string& digest) {
  for (std::string input; std::getline(std::cin, input);) {
    Decision decision;
    decision.input_json = std::move(input);
    DecideByRules(program, decision);
    std::printf("{\"bundle_digest\":\"%s\",\"result\":%s}\n", digest.c_str(),
                ResultJson(decision).c_str());
    std::fflush(stdout);
  }
  return kCheckGood;
}

struct Arguments {
  std::string directory;
  std::vector<std::string> required;
  std::string digest;
  bool decide = false;
  bool replay = false;
  bool decision_module = false;
  bool conditions = false;
  std::string condition;
};

int Passed(const BundleFiles& files, const char* what) {
  std::printf("ok: %s %s, digest %s\n", what, absl::StrJoin(files.bundles, ", ").c_str(),
              files.digest.c_str());
  return kCheckGood;
}

int CheckConditions(const Arguments& arguments) {
  const absl::StatusOr<BundleFiles> files = ReadConditionFiles(arguments.directory);
  if (!files.ok()) return Problem(std::string(files.status().message()));
  if (!arguments.digest.empty() && files->digest != arguments.digest) return kCheckOtherFiles;
  if (!arguments.condition.empty()) {
    const auto programs = CompileConditions(*files, RegoLimits{});
    if (!programs.ok()) return Problem(std::string(programs.status().message()));
    const auto program = programs->find(arguments.condition);
    if (program == programs->end()) return Problem("no condition " + arguments.condition);
    return Decide(program->second, "data.capstan.conditions." + arguments.condition + ".result");
  }
  const absl::Status tests = TestConditions(*files, RegoLimits{});
  if (!tests.ok()) return Problem(std::string(tests.message()));
  return Passed(*files, "conditions");
}

int Check(const Arguments& arguments) {
  const absl::StatusOr<BundleFiles> files =
      ReadBundleFiles(arguments.directory, arguments.required);
  if (!files.ok()) return Problem(std::string(files.status().message()));
  if (!arguments.digest.empty() && files->digest != arguments.digest) return kCheckOtherFiles;
  if (!files->missing.empty()) {
    return Problem("missing or empty: " + absl::StrJoin(files->missing, ", "));
  }
  const absl::StatusOr<RegoProgram> program = CompileBundles(*files, RegoLimits{});
  if (!program.ok()) return Problem(std::string(program.status().message()));
  if (arguments.decide) return Decide(*program, kDecisionRule);
  if (arguments.replay) return Replay(*program, files->digest);
  if (arguments.decision_module) {
    std::printf("%s", DecisionModule(files->bundles).c_str());
    return kCheckGood;
  }
  const absl::Status tests = TestBundles(*files, RegoLimits{});
  if (!tests.ok()) return Problem(std::string(tests.message()));
  // What the rules say to nothing does not matter; that they do not crash on it does.
  (void)program->Evaluate(kDecisionRule, "{}");
  return Passed(*files, "bundles");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compiles Capstan policies or conditions and runs their tests.");
  Arguments arguments;
  app.add_option("directory", arguments.directory,
                 "Policy directory: one folder a bundle; or conditions")
      ->required();
  app.add_option("--required", arguments.required,
                 "Bundles that must be there (repeat, or separate by commas)")
      ->delimiter(',');
  app.add_option("--expect-digest", arguments.digest,
                 "Check only if the files have this digest, else exit 3");
  app.add_flag("--decide", arguments.decide,
               "Read input documents, one a line, and print the decision of each; run no tests");
  app.add_flag(
      "--replay", arguments.replay,
      "Like --decide, but print decisions as the worker stores them, one line each as soon "
      "as it is made");
  app.add_flag("--decision-module", arguments.decision_module,
               "Print the built-in Rego that gathers these bundles, run no tests");
  app.add_flag("--conditions", arguments.conditions,
               "The directory holds conditions: <name>.rego and <name>_test.rego");
  app.add_option("--condition", arguments.condition,
                 "Read input documents, one a line, and print what this condition answers; run no "
                 "tests");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kCheckGood : kCheckUsage;
  }
  LimitResources();
  const bool conditions = arguments.conditions || !arguments.condition.empty();
  return conditions ? CheckConditions(arguments) : Check(arguments);
}
