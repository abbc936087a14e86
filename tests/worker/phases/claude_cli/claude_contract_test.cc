#include <cstdlib>
#include <filesystem>

#include "core/status_macros.h"
#include "tests/worker/phases/engine_contract.h"
#include "worker/phases/claude_engine.h"

namespace capstan::phases {
namespace {

class ClaudeUnderTest final : public EngineUnderTest {
 public:
  ClaudeUnderTest() {
    const char* program = std::getenv("CAPSTAN_CLAUDE");
    CAPSTAN_CHECK(program != nullptr);  // run by tests/support/model_stub/claude_cli.sh run
    process::Options process_options;
    process_options.supervisor = CAPSTAN_SUPERVISOR;
    process_options.grace = absl::Seconds(1);
    auto runner = process::MakeRunner(process_options);
    CAPSTAN_CHECK(runner.ok());
    runner_ = *std::move(runner);
    ClaudeOptions options;
    options.program = program;
    options.base_url = stub_->Url();
    options.scratch = scratch_.path();
    engine_ = std::make_unique<ClaudeEngine>(options, ShippedModels(), *runner_, clock_);
  }

  void WillAnswer(const nlohmann::json& answer) override {
    stub_->Push({.text = "I judge.", .tool_uses = {{"StructuredOutput", answer}}});
  }
  void WillRefuseTheRequest() override {
    stub_->Push({.status = 400, .error_type = "invalid_request_error"});
  }
  void WillSaySomethingAndHang() override { stub_->Push({.text = "I judge.", .stall_after = 3}); }
  PhaseEngine& engine() override { return *engine_; }
  // The CLI may have been ended before its call.
  bool IsOver() override {
    const bool asked = !stub_->Requests().empty();
    return (!asked || stub_->WaitForHangUps(1)) && std::filesystem::is_empty(scratch_.path());
  }

 private:
  std::unique_ptr<testing::ModelStub> stub_ = StartStub();
  testing::TemporaryDirectory scratch_;
  SystemClock clock_;
  std::unique_ptr<process::Runner> runner_;
  std::unique_ptr<ClaudeEngine> engine_;
};

INSTANTIATE_TEST_SUITE_P(ClaudeCli, EngineContract,
                         ::testing::Values([] { return std::make_unique<ClaudeUnderTest>(); }));

}  // namespace
}  // namespace capstan::phases
