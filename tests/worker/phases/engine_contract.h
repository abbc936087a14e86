// What every model engine must do, whatever stands behind it. The tests are in
// engine_contract_test.cc; each engine is instantiated where it can run.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "nlohmann/json.hpp"
#include "tests/support/temporary_directory.h"
#include "tests/worker/phases/phase_fixture.h"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// An engine whose model does what a test says. One call of Will… a test, before engine().
class EngineUnderTest {
 public:
  virtual ~EngineUnderTest() = default;

  virtual void WillAnswer(const nlohmann::json& answer) = 0;
  virtual void WillRefuseTheRequest() = 0;
  virtual void WillSaySomethingAndHang() = 0;
  virtual PhaseEngine& engine() = 0;
  // Waits until nobody works on the hanging call any more; false: somebody does.
  virtual bool IsOver() = 0;
};

using MakeEngineUnderTest = std::function<std::unique_ptr<EngineUnderTest>()>;

class EngineContract : public ::testing::TestWithParam<MakeEngineUnderTest> {
 protected:
  EngineContract() : under_test_(GetParam()()) {
    request_.execution = "0198c0de-0000-7000-8000-0000000000aa";
    request_.step = "judge";
    request_.session = "0198c0de-0000-7000-8000-000000000001";
    request_.model = "fast";
    request_.prompt = "Is all well?";
    request_.schema = kAnswerSchema;
    request_.workspace = workspace_.path();
    request_.tools = {"Read"};
    request_.timeout = absl::Seconds(60);
  }

  PhaseResult Run() { return under_test_->engine().Run(request_, listener_, stop_.get_token()); }

  std::unique_ptr<EngineUnderTest> under_test_;
  testing::TemporaryDirectory workspace_;
  PhaseRequest request_;
  Listener listener_;
  std::stop_source stop_;
};

}  // namespace capstan::phases
