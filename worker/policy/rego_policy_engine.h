// PolicyEngine on regorus, in process.
#pragma once

#include "core/clock.h"
#include "worker/policy/policy_engine.h"
#include "worker/policy/policy_store.h"
#include "worker/policy/rego_program.h"

namespace capstan::policy {

// What these rules say to decision.input_json, as the engine decides.
void DecideByRules(const RegoProgram& program, Decision& decision);

class RegoPolicyEngine final : public PolicyEngine {
 public:
  RegoPolicyEngine(const PolicyStore& store, Clock& clock) : store_(store), clock_(clock) {}

  Decision Evaluate(const PolicyInput& input) override;

 private:
  const PolicyStore& store_;
  Clock& clock_;
};

}  // namespace capstan::policy
