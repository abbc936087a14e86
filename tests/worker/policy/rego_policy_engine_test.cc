// The Rego engine keeps the contract of every PolicyEngine.
#include "worker/policy/rego_policy_engine.h"

#include <gtest/gtest.h>

#include "tests/worker/policy/policy_engine_contract.h"

namespace capstan::policy {
namespace {

class RegoEngine final : public EngineUnderTest {
 public:
  explicit RegoEngine(const PolicyStore::Options& options) : policies_(options) {}
  Decision Evaluate(const PolicyInput& input) override { return policies_.Evaluate(input); }

 private:
  Policies policies_;
};

std::unique_ptr<EngineUnderTest> MakeRegoEngine(const PolicyDirectory& directory,
                                                const std::vector<std::string>& required,
                                                const RegoLimits& limits) {
  PolicyStore::Options options = StoreOptions(directory, required);
  options.limits = limits;
  return std::make_unique<RegoEngine>(options);
}

INSTANTIATE_TEST_SUITE_P(Rego, PolicyEngineContract, ::testing::Values(MakeRegoEngine));

}  // namespace
}  // namespace capstan::policy
