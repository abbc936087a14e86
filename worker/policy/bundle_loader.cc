#include "worker/policy/bundle_loader.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/substitute.h"
#include "core/status_macros.h"
#include "worker/policy/rego_tests.h"

namespace capstan::policy {
namespace {

constexpr char kDecisionPath[] = "capstan/decision.rego";
constexpr char kRulesPackage[] = "capstan.safety.rules.";

// $0 is the bundle, $1 its package.
constexpr char kBundleRules[] = R"(
bundles contains "$0"

violations_of["$0"] := data.$1.violations

warnings_of["$0"] := data.$1.warnings

obligations_of["$0"] := data.$1.obligations

approval_of["$0"] := data.$1.requires_approval
)";

constexpr char kDecision[] = R"(package capstan.safety

import rego.v1

decision := {
	"allow": count(violations) == 0,
	"violations": violations,
	"requires_approval": requires_approval,
	"warnings": warnings,
	"obligations": obligations,
	"bundles": bundles,
}

violations contains violation if {
	some bundle
	some violation in violations_of[bundle]
}

# Not in one rule with its negation: opa takes `not is_set(undefined)` for undefined.
well_formed contains bundle if {
	some bundle in bundles
	is_set(violations_of[bundle])
}

violations contains {
	"id": "capstan/malformed-bundle",
	"message": sprintf("bundle %s: violations is not a set", [bundle]),
} if {
	some bundle in bundles
	not bundle in well_formed
}

violations contains {
	"id": "capstan/malformed-bundle",
	"message": sprintf("bundle %s: warnings and obligations must be sets", [bundle]),
} if {
	some collection in [warnings_of, obligations_of]
	some bundle, value in collection
	not is_set(value)
}

warnings contains warning if {
	some bundle
	some warning in warnings_of[bundle]
}

obligations contains obligation if {
	some bundle
	some obligation in obligations_of[bundle]
}

default requires_approval := false

# Whatever is not plainly false asks for approval.
requires_approval if {
	some value in approval_of
	value != false
}
)";

std::vector<RegoModule> Modules(const BundleFiles& files, bool with_tests) {
  std::vector<RegoModule> modules;
  for (const PolicyFile& file : files.files) {
    if (with_tests || !file.is_test()) modules.push_back({file.path, file.source});
  }
  return modules;
}

// What every file of a bundle must look like.
absl::Status CheckConventions(const BundleFiles& files) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<RegoModuleInfo> infos,
                           DescribeRego(Modules(files, true)));
  std::set<std::string> deciding;
  for (std::size_t i = 0; i < infos.size(); ++i) {
    const PolicyFile& file = files.files[i];
    const std::string want =
        absl::StrCat(kRulesPackage, PackageName(file.bundle), file.is_test() ? "_test" : "");
    const std::string got = absl::StrJoin(infos[i].package, ".");
    if (got != want) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.path, ": package is ", got, ", want ", want));
    }
    if (!infos[i].imports_rego_v1) {
      return absl::InvalidArgumentError(absl::StrCat(file.path, ": lacks `import rego.v1`"));
    }
    const std::vector<std::string>& rules = infos[i].rules;
    if (!file.is_test() && std::find(rules.begin(), rules.end(), "violations") != rules.end()) {
      deciding.insert(file.bundle);
    }
  }
  for (const std::string& bundle : files.bundles) {
    if (!deciding.contains(bundle)) {
      return absl::InvalidArgumentError(
          absl::StrCat("bundle ", bundle, ": no file declares `violations`"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RegoProgram> Compile(const BundleFiles& files, bool with_tests,
                                    const RegoLimits& limits) {
  if (files.bundles.empty()) return absl::InvalidArgumentError("no bundle has a rule");
  CAPSTAN_RETURN_IF_ERROR(CheckConventions(files));
  std::vector<RegoModule> modules = Modules(files, with_tests);
  modules.push_back({kDecisionPath, DecisionModule(files.bundles)});
  return RegoProgram::Compile(modules, kDecisionRule, limits);
}

}  // namespace

std::string DecisionModule(const std::vector<std::string>& bundles) {
  std::string module = kDecision;
  for (const std::string& bundle : bundles) {
    absl::SubstituteAndAppend(&module, kBundleRules, bundle,
                              absl::StrCat(kRulesPackage, PackageName(bundle)));
  }
  return module;
}

absl::StatusOr<RegoProgram> CompileBundles(const BundleFiles& files, const RegoLimits& limits) {
  return Compile(files, /*with_tests=*/false, limits);
}

absl::Status TestBundles(const BundleFiles& files, const RegoLimits& limits) {
  CAPSTAN_ASSIGN_OR_RETURN(const RegoProgram program, Compile(files, /*with_tests=*/true, limits));
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<RegoModuleInfo> infos,
                           DescribeRego(Modules(files, true)));
  const std::vector<std::string> problems = FailedTests(program, infos);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace capstan::policy
