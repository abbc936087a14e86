#include "worker/phases/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string AnswerOf(const Script& script, const std::string& step, int iteration, int attempt) {
  PhaseRequest request;
  request.step = step;
  request.iteration = iteration;
  request.attempt = attempt;
  const ScriptedReply* reply = script.Find(request);
  return reply == nullptr ? "none" : reply->answer;
}

TEST(ScriptTest, TheFirstReplyThatFitsIsGiven) {
  const auto script = Script::Parse("s.yaml", R"(
replies:
  - {step: build, iteration: 2, answer: second}
  - {step: build, attempt: 3, answer: third try}
  - {step: build, answer: any}
default: {answer: otherwise}
)");

  ASSERT_OK(script);
  EXPECT_EQ(AnswerOf(*script, "build", 2, 3), "second");
  EXPECT_EQ(AnswerOf(*script, "build", 1, 3), "third try");
  EXPECT_EQ(AnswerOf(*script, "build", 1, 1), "any");
  EXPECT_EQ(AnswerOf(*script, "test", 1, 1), "otherwise");
}

TEST(ScriptTest, AJudgementHasRepliesOfItsOwnAndNoDefault) {
  const auto script = Script::Parse("s.yaml", R"(
replies:
  - {step: build, judgement: true, answer: good}
  - {step: build, answer: built}
default: {answer: otherwise}
)");
  ASSERT_OK(script);
  PhaseRequest judgement;
  judgement.step = "build";
  judgement.judgement = true;

  ASSERT_NE(script->Find(judgement), nullptr);
  EXPECT_EQ(script->Find(judgement)->answer, "good");
  EXPECT_EQ(AnswerOf(*script, "build", 1, 1), "built");
  judgement.step = "test";
  EXPECT_EQ(script->Find(judgement), nullptr) << "an answer that was not meant as one is none";
}

TEST(ScriptTest, WithoutADefaultAStepCanHaveNoReply) {
  const auto script = Script::Parse("s.yaml", "replies: [{step: build, answer: a}]");

  ASSERT_OK(script);
  EXPECT_EQ(AnswerOf(*script, "test", 1, 1), "none");
}

TEST(ScriptTest, AMappingBecomesJsonWithItsTypes) {
  const auto script = Script::Parse("s.yaml", R"(default:
  answer: {status: complete, count: 3, ratio: 0.5, ok: true, gone: null, text: "3", list: [a, {b: c}]}
)");

  ASSERT_OK(script);
  EXPECT_EQ(nlohmann::json::parse(AnswerOf(*script, "x", 1, 1)), nlohmann::json::parse(R"(
    {"status": "complete", "count": 3, "ratio": 0.5, "ok": true, "gone": null, "text": "3",
     "list": ["a", {"b": "c"}]})"));
}

TEST(ScriptTest, JsonIsAScriptToo) {
  const auto script = Script::Parse("s.json", R"({"default": {"answer": {"status": "complete"}}})");

  ASSERT_OK(script);
  EXPECT_EQ(AnswerOf(*script, "x", 1, 1), R"({"status":"complete"})");
}

TEST(ScriptTest, EveryMistakeIsToldWithFileAndLine) {
  const auto script = Script::Parse("s.yaml", R"(replies:
  - step: build
    iteration: 0
    error: catastrophe
    files:
      - {path: ../out, content: x}
    colour: red
  - 7
)");

  EXPECT_THAT(script, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("s.yaml:3: replies[0].iteration: got 0"),
                                     HasSubstr("s.yaml:4: replies[0].error: got catastrophe"),
                                     HasSubstr("s.yaml:6: replies[0].files[0].path: path: got"),
                                     HasSubstr("s.yaml:7: replies[0].colour: unknown key"),
                                     HasSubstr("s.yaml:8: replies[1]: want a mapping"))));
}

TEST(ScriptTest, AnAnswerThatGrowsByAliasesIsRefused) {
  std::string text = "default:\n  answer:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "    a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) text += ", " + before;
    text += "]\n";
  }

  EXPECT_THAT(Script::Parse("s.yaml", text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("answer: want at most")));
}

}  // namespace
}  // namespace capstan::phases
