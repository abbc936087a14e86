// The seam between the runner and whatever evaluates the safety rules.
#pragma once

#include <functional>

#include "core/clock.h"
#include "worker/policy/decision.h"
#include "worker/policy/policy_input.h"

namespace capstan::policy {

class PolicyEngine {
 public:
  virtual ~PolicyEngine() = default;

  // Any thread, any number at once. Never throws, never fails: whatever goes wrong is a deny that
  // says why. Tries a time-out again by itself; the caller does not retry. Blocks for less than
  // twice the engine's time limit.
  virtual Decision Evaluate(const PolicyInput& input) = 0;
};

// What every engine does around its own part: a decision with its input as JSON and how long it
// took. `decide` is asked only when the input can be written.
Decision DecideOn(const PolicyInput& input, Clock& clock,
                  const std::function<void(Decision&)>& decide);

}  // namespace capstan::policy
