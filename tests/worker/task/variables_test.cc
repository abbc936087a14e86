// Variables of services; scripts are in tests/scenarios/task_calls_test.cc.
#include "worker/task/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/workflow/templates.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_server/scripted_server.h"

namespace capstan::worker {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::CutWithoutAnswer;
using ::capstan::testing::ManualClock;
using ::capstan::testing::ReceivedRequest;
using ::capstan::testing::ScriptedReply;
using ::capstan::testing::ScriptedServer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class NoPrograms final : public process::Runner {
 public:
  process::Result Run(const process::Spec&,
                      const std::function<void(process::Stream, std::string_view)>&,
                      std::stop_token) override {
    CAPSTAN_CHECK(false);
    return {};
  }
};

class VariableSourcesTest : public ::testing::Test {
 protected:
  VariableSourcesTest()
      : service_([this](const ReceivedRequest& request) { return reply_(request); }),
        calls_({{ParseAllowedHost(service_.Url()).value()}, {}, {}}, redactor_, clock_),
        sources_(StepTools{options_, programs_, engines_, redactor_, actions_, calls_, clock_,
                           [] { return absl::UnixEpoch(); }}),
        transcript_(std::make_shared<Transcript>(
            1, [](auto, auto) { return absl::OkStatus(); }, [](auto, auto) {})) {
    v1::WorkflowVariable& variable = *workflow_->add_variables();
    variable.set_name("V");
    variable.mutable_http()->set_url(absl::StrCat(service_.Url(), "/of/{{TASK_TITLE}}"));
  }

  v1::WorkflowVariable& variable() { return *workflow_->mutable_variables(0); }

  StepContext ContextOf(std::uint8_t task, const std::string& title = "t") const {
    StepContext context;
    std::array<std::uint8_t, 16> id = {};
    id[15] = task;
    context.id = ExecutionId(id);
    context.workflow = workflow_;
    context.facts.task.title = title;
    context.values = workflow::BuildValues(*workflow_, context.facts.task, context.facts.step, {});
    return context;
  }

  std::optional<VariableProblem> Fetch(StepContext& context) {
    IterationTranscript said(*transcript_, redactor_, "s", 1, 1);
    return sources_.Fetch({&variable()}, context, said, {}, warnings_);
  }

  // What it is in an iteration of its own.
  std::string ValueFor(std::uint8_t task, const std::string& title = "t") {
    StepContext context = ContextOf(task, title);
    const std::optional<VariableProblem> problem = Fetch(context);
    EXPECT_FALSE(problem.has_value()) << problem->message;
    return context.values.variables["V"];
  }

  std::function<ScriptedReply(const ReceivedRequest&)> reply_ = [](const ReceivedRequest& request) {
    return Answer(200, absl::StrCat(request.number, "\n"));
  };
  ScriptedServer service_;
  ManualClock clock_;
  const catalog::Catalog actions_ = *catalog::Catalog::Make({});
  const Redactor redactor_;
  const StepOptions options_;
  const phases::PhaseEngines engines_;
  NoPrograms programs_;
  const HttpCalls calls_;
  VariableSources sources_;
  std::shared_ptr<Transcript> transcript_;
  std::shared_ptr<v1::Workflow> workflow_ = std::make_shared<v1::Workflow>();
  std::vector<std::string> warnings_;
};

TEST_F(VariableSourcesTest, S4_7_AValueIsRememberedForItsTaskAndItsTime) {
  variable().mutable_http()->mutable_cache_ttl()->set_seconds(60);

  EXPECT_EQ(ValueFor(1), "0");
  EXPECT_EQ(ValueFor(1), "0");
  EXPECT_EQ(ValueFor(2), "1") << "of another task";
  EXPECT_EQ(ValueFor(1, "u"), "2") << "from another URL";
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(ValueFor(1), "0");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(ValueFor(1), "3");
}

TEST_F(VariableSourcesTest, WithoutATimeItIsAskedForInEachIterationOnce) {
  StepContext context = ContextOf(1);
  EXPECT_FALSE(Fetch(context).has_value());
  EXPECT_FALSE(Fetch(context).has_value());
  EXPECT_EQ(context.values.variables["V"], "0");
  EXPECT_EQ(ValueFor(1), "1");
}

TEST_F(VariableSourcesTest, S4_7_APartOfAnAnswerIsAValue) {
  reply_ = [](const auto&) { return Answer(200, R"({"items": [{"name": "v2", "n": [1]}]})"); };
  const auto part = [&](const std::string& path) {
    variable().mutable_http()->set_path(path);
    return ValueFor(1);
  };
  EXPECT_EQ(part("items[0].name"), "v2");
  EXPECT_EQ(part("items[0].n"), "[1]");
}

TEST_F(VariableSourcesTest, S4_7_WithoutAValueItsDefaultCountsWithAWarning) {
  reply_ = [](const auto&) { return Answer(404, ""); };
  variable().set_default_value("none");

  EXPECT_EQ(ValueFor(1), "none");
  ASSERT_THAT(warnings_, SizeIs(1));
  EXPECT_THAT(warnings_[0], HasSubstr("HTTP 404; its default is used"));
}

TEST_F(VariableSourcesTest, AProblemSaysWhetherItMayGoBetterAnotherTime) {
  variable().mutable_http()->set_path("a");
  const auto problem = [&](ScriptedReply reply) {
    reply_ = [reply](const auto&) { return reply; };
    StepContext context = ContextOf(1);
    return Fetch(context).value();
  };
  EXPECT_TRUE(problem(CutWithoutAnswer()).transient);
  EXPECT_TRUE(problem(Answer(503, "")).transient);
  EXPECT_FALSE(problem(Answer(404, "")).transient);
  EXPECT_THAT(problem(Answer(200, "no JSON")).message, HasSubstr("variable V: its answer: "));
  EXPECT_EQ(problem(Answer(200, "{}")).message, "variable V: its answer has nothing at a");
  EXPECT_THAT(problem(Answer(200, std::string(1'000'001, 'x'))).message,
              HasSubstr("got a body of more than 1000000 bytes"));
}

}  // namespace
}  // namespace capstan::worker
