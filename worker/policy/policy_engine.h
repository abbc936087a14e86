// The seam between the runner and whatever evaluates the safety rules.
#pragma once

#include "worker/policy/decision.h"
#include "worker/policy/policy_input.h"

namespace capstan::policy {

class PolicyEngine {
 public:
  virtual ~PolicyEngine() = default;

  // Any thread, any number at once. Never throws, never fails: whatever goes wrong is a deny that
  // says why. Tries a time-out again by itself; the caller does not retry. Blocks for at most a few
  // times the engine's time limit.
  virtual Decision Evaluate(const PolicyInput& input) = 0;
};

}  // namespace capstan::policy
