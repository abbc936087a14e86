#include "worker/phases/engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/text.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/phases/engine_contract.h"
#include "worker/phases/json.h"
#include "worker/phases/scripted_engine.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

// ---- the contract ---------------------------------------------------------------------------

class ScriptedUnderTest final : public EngineUnderTest {
 public:
  void WillAnswer(const nlohmann::json& answer) override {
    script_ = Cat("default: {text: I judge., answer: ", answer.dump(),
                  ", usage: {input_tokens: 10, output_tokens: 5, cost_microusd: 1}}");
  }
  void WillRefuseTheRequest() override { script_ = "default: {error: invalid_request}"; }
  void WillSaySomethingAndHang() override { script_ = "default: {text: I judge., hold: true}"; }
  PhaseEngine& engine() override {
    engine_ = std::make_unique<ScriptedEngine>(Script::Parse("script", script_).value(), clock_);
    return *engine_;
  }
  bool IsOver() override { return true; }

 private:
  SystemClock clock_;
  std::string script_;
  std::unique_ptr<ScriptedEngine> engine_;
};

class MessagesUnderTest final : public EngineUnderTest {
 public:
  void WillAnswer(const nlohmann::json& answer) override { stub_->Push({.text = answer.dump()}); }
  void WillRefuseTheRequest() override {
    stub_->Push({.status = 400, .error_type = "invalid_request_error"});
  }
  void WillSaySomethingAndHang() override { stub_->Push({.text = "I judge.", .stall_after = 3}); }
  PhaseEngine& engine() override { return engine_; }
  bool IsOver() override { return stub_->WaitForHangUps(1); }

 private:
  static MessagesOptions Options(const testing::ModelStub& stub) {
    MessagesOptions options;
    options.base_url = stub.Url();
    return options;
  }

  std::unique_ptr<testing::ModelStub> stub_ = StartStub();
  SystemClock clock_;
  MessagesEngine engine_{Options(*stub_), ShippedModels(), clock_};
};

INSTANTIATE_TEST_SUITE_P(Scripted, EngineContract,
                         ::testing::Values([] { return std::make_unique<ScriptedUnderTest>(); }));
INSTANTIATE_TEST_SUITE_P(MessagesApi, EngineContract,
                         ::testing::Values([] { return std::make_unique<MessagesUnderTest>(); }));

// ---- from configuration -----------------------------------------------------------------------

class NoRunner final : public process::Runner {
 public:
  process::Result Run(const process::Spec&,
                      const std::function<void(process::Stream, std::string_view)>&,
                      std::stop_token) override {
    return {};
  }
};

class MakeEnginesTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<std::unique_ptr<PhaseEngine>>> Make() {
    return MakeEngines(options_, runner_, clock_);
  }
  ClaudeOptions Claude() {
    ClaudeOptions claude;
    claude.program = "/bin/true";
    claude.scratch = directory_.path() + "/scratch";
    return claude;
  }

  testing::TemporaryDirectory directory_;
  EngineOptions options_;
  NoRunner runner_;
  SystemClock clock_;
};

TEST_F(MakeEnginesTest, EachEngineThatIsConfiguredIsThere) {
  options_.claude_cli = Claude();
  options_.messages_api = MessagesOptions();
  options_.script_file = directory_.Write("script.yaml", "default: {answer: yes}");

  const auto engines = Make();

  ASSERT_OK(engines);
  ASSERT_EQ(engines->size(), 3u);
  EXPECT_EQ((*engines)[0]->name(), "claude_cli");
  EXPECT_EQ((*engines)[1]->name(), "messages_api");
  EXPECT_EQ((*engines)[2]->name(), "scripted");
}

TEST_F(MakeEnginesTest, WithoutConfigurationThereIsNone) {
  options_.models_file = "/nowhere/models.yaml";

  const auto engines = Make();

  ASSERT_OK(engines);
  EXPECT_TRUE(engines->empty());
}

TEST_F(MakeEnginesTest, AWrongSettingStopsTheStartAndNamesItsField) {
  options_.messages_api = MessagesOptions();
  options_.messages_api->default_model = "gpt-9";
  EXPECT_THAT(Make(), StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("messages_api.default_model: got \"gpt-9\"")));

  options_.messages_api = MessagesOptions();
  options_.messages_api->api_key_file = "/nowhere/key";
  EXPECT_THAT(Make(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("messages_api.api_key_file")));

  options_.messages_api = MessagesOptions();
  options_.messages_api->base_url = "api.example.com";
  EXPECT_THAT(Make(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("messages_api.base_url")));
}

TEST_F(MakeEnginesTest, ACliThatIsNotThereStopsTheStart) {
  options_.claude_cli = Claude();
  options_.claude_cli->program = "/nowhere/claude";
  EXPECT_THAT(Make(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/claude")));

  options_.claude_cli = Claude();
  options_.claude_cli->scratch = "relative";
  EXPECT_THAT(Make(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("claude_cli.scratch: got \"relative\"")));
}

}  // namespace
}  // namespace capstan::phases
