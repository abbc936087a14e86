#include "worker/policy/rego_policy_engine.h"

#include <memory>
#include <string>
#include <utility>

#include "worker/policy/bundle_loader.h"

namespace capstan::policy {
namespace {

using Error = Decision::Error;

Error ErrorOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return Error::kTimeout;
    case absl::StatusCode::kNotFound:
      return Error::kBadResult;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
      return Error::kBadInput;
    default:
      return Error::kEvaluation;
  }
}

void Decide(const PolicySet& policies, Decision& decision) {
  decision.bundle_digest = policies.digest;
  if (policies.program == nullptr) return Deny(decision, Error::kUnavailable, policies.unavailable);
  DecideByRules(*policies.program, decision);
}

}  // namespace

void DecideByRules(const RegoProgram& program, Decision& decision) {
  const absl::StatusOr<std::string> result = program.Evaluate(kDecisionRule, decision.input_json);
  if (result.ok()) return ReadDecision(*result, decision);
  Deny(decision, ErrorOf(result.status()), std::string(result.status().message()));
}

Decision RegoPolicyEngine::Evaluate(const PolicyInput& input) {
  return DecideOn(input, clock_,
                  [this](Decision& decision) { Decide(*store_.Current(), decision); });
}

}  // namespace capstan::policy
