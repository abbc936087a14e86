// capstan-policy-check: compiles a policy directory and runs its tests. The worker runs it on every
// new version of its policies before it loads them, so that a policy that crashes the engine
// crashes this process; people and CI run it by hand.
//
// Exit: 0 fine, 1 the policies are bad (the problems are on standard output), 2 wrong usage, 3 the
// files are not those with the expected digest.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "worker/policy/bundle_check.h"
#include "worker/policy/bundle_loader.h"

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
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const rlimit stack{kCheckStackBytes, kCheckStackBytes};
  setrlimit(RLIMIT_STACK, &stack);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{kCheckMemoryBytes, kCheckMemoryBytes};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

// One input document a line on standard input, one decision a line on standard output.
int Decide(const RegoProgram& program) {
  int result = kCheckGood;
  for (std::string input; std::getline(std::cin, input);) {
    const absl::StatusOr<std::string> decision = program.Evaluate(kDecisionRule, input);
    if (!decision.ok()) result = kCheckBad;
    std::printf("%s\n", decision.ok() ? decision->c_str() : decision.status().ToString().c_str());
  }
  return result;
}

struct Arguments {
  std::string directory;
  std::vector<std::string> required;
  std::string digest;
  bool decide = false;
  bool decision_module = false;
};

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
  if (arguments.decide) return Decide(*program);
  if (arguments.decision_module) {
    std::printf("%s", DecisionModule(files->bundles).c_str());
    return kCheckGood;
  }
  const absl::Status tests = TestBundles(*files, RegoLimits{});
  if (!tests.ok()) return Problem(std::string(tests.message()));
  std::printf("ok: bundles %s, digest %s\n", absl::StrJoin(files->bundles, ", ").c_str(),
              files->digest.c_str());
  return kCheckGood;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compiles Capstan policies and runs their tests.");
  Arguments arguments;
  app.add_option("directory", arguments.directory, "Policy directory: one folder a bundle")
      ->required();
  app.add_option("--required", arguments.required,
                 "Bundles that must be there (repeat, or separate by commas)")
      ->delimiter(',');
  app.add_option("--expect-digest", arguments.digest,
                 "Check only if the files have this digest, else exit 3");
  app.add_flag("--decide", arguments.decide,
               "Read input documents, one a line, and print the decision of each; run no tests");
  app.add_flag("--decision-module", arguments.decision_module,
               "Print the built-in Rego that gathers these bundles, run no tests");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kCheckGood : kCheckUsage;
  }
  LimitResources();
  return Check(arguments);
}
