#include "core/workflow/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::workflow {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnresolved = absl::StatusCode::kFailedPrecondition;

Values SomeValues() {
  Values values;
  values.variables = {{"TASK_ID", "T-1"},    {"EMPTY", ""},
                      {"NO", "false"},       {"ZERO", "0"},
                      {"REVIEW_ROUND", "2"}, {"EVIL", "{{TASK_ID}} {{#if TASK_ID}}"}};
  values.steps = nlohmann::json::parse(R"({"review": {"state": "succeeded", "output": {
      "summary": "two issues", "round": 2, "ok": true, "none": null, "empty": [],
      "issues": [{"file": "a.cc", "line": 3}, {"file": "b.cc"}]}}})");
  return values;
}

absl::StatusOr<std::string> RenderSome(std::string_view text) { return Render(text, SomeValues()); }

TEST(RenderTest, PutsInVariablesWithAndWithoutBlanks) {
  EXPECT_THAT(RenderSome("id {{TASK_ID}}/{{ TASK_ID }}."), IsOkAndHolds("id T-1/T-1."));
  EXPECT_THAT(RenderSome(""), IsOkAndHolds(""));
  EXPECT_THAT(RenderSome("no tags } }} {"), IsOkAndHolds("no tags } }} {"));
}

TEST(RenderTest, S4_8_PutsInAnswersByPathAndObjectsAsJson) {
  EXPECT_THAT(RenderSome("{{steps.review.output.summary}}, {{steps.review.output.round}}, "
                         "{{steps.review.output.ok}}, {{steps.review.state}}"),
              IsOkAndHolds("two issues, 2, true, succeeded"));
  EXPECT_THAT(RenderSome("{{steps.review.output.issues[0].file}}"), IsOkAndHolds("a.cc"));
  EXPECT_THAT(RenderSome("{{steps.review.output.issues[1]}}"), IsOkAndHolds(R"({"file":"b.cc"})"));
  EXPECT_THAT(RenderSome("<{{steps.review.output.none}}>"), IsOkAndHolds("<>"));
}

TEST(RenderTest, S1_14_NamesEverythingThatIsNotResolved) {
  EXPECT_THAT(
      RenderSome("{{MISSING}} {{TASK_ID}} {{steps.review.output.issues[2].file}} {{OTHER}}"),
      StatusIs(kUnresolved,
               AllOf(HasSubstr("MISSING"), HasSubstr("OTHER"),
                     HasSubstr("steps.review.output.issues[2].file"), Not(HasSubstr("TASK_ID")))));
}

TEST(RenderTest, ABlockIsThereOnlyWhenItsNameHasAValue) {
  EXPECT_THAT(RenderSome("{{#if TASK_ID}}yes{{/if}}"), IsOkAndHolds("yes"));
  EXPECT_THAT(
      RenderSome("{{#if MISSING}}a {{MISSING}}{{/if}}{{#if EMPTY}}b{{/if}}{{#if NO}}c{{/if}}"
                 "{{#if ZERO}}d{{/if}}{{#if steps.review.output.empty}}e{{/if}}"
                 "{{#if steps.review.output.none}}f{{/if}}"),
      IsOkAndHolds(""));
  EXPECT_THAT(RenderSome("{{#unless MISSING}}a{{/unless}}{{#unless TASK_ID}}b{{/unless}}"),
              IsOkAndHolds("a"));
}

TEST(RenderTest, S1_13_ABlockOfAReviewRoundAppearsOrVanishesAsAUnit) {
  const std::string_view text =
      "{{#if REVIEW_ROUND = 1}}\nfirst {{MISSING}}\n{{/if}}\n"
      "{{#if REVIEW_ROUND = 2}}\nsecond {{TASK_ID}}\n{{/if}}\nend\n";

  EXPECT_THAT(RenderSome(text), IsOkAndHolds("second T-1\nend\n"));
}

TEST(RenderTest, BlocksNest) {
  EXPECT_THAT(RenderSome("{{#if TASK_ID}}a{{#unless NO}}b{{#if EMPTY}}c{{/if}}{{/unless}}{{/if}}d"),
              IsOkAndHolds("abd"));
}

TEST(RenderTest, ATagAloneOnItsLineTakesTheLineWithIt) {
  EXPECT_THAT(RenderSome("a\n  {{#if TASK_ID}}  \nb\n  {{/if}}\nc"), IsOkAndHolds("a\nb\nc"));
  EXPECT_THAT(RenderSome("a\r\n{{#if TASK_ID}}\r\nb\r\n{{/if}}"), IsOkAndHolds("a\r\nb\r\n"));
  EXPECT_THAT(RenderSome("a {{#if TASK_ID}}\nb\n{{/if}} c"), IsOkAndHolds("a \nb\n c"));
  EXPECT_THAT(RenderSome("a\n{{TASK_ID}}\nb"), IsOkAndHolds("a\nT-1\nb"));
}

TEST(RenderTest, ValuesAreNeverInterpretedAgain) {
  EXPECT_THAT(RenderSome("{{EVIL}}{{#if EVIL}}!{{/if}}"),
              IsOkAndHolds("{{TASK_ID}} {{#if TASK_ID}}!"));
}

TEST(RenderTest, RefusesATextThatGrowsBeyondTheLimit) {
  Values values;
  values.variables["BIG"] = std::string(kMaxRenderedBytes / 2, 'x');

  EXPECT_THAT(Render("{{BIG}}{{BIG}}", values), ::capstan::testing::IsOk());
  EXPECT_THAT(Render("{{BIG}}{{BIG}}!", values), StatusIs(kUnresolved, HasSubstr("bytes")));
}

struct NoTemplate {
  const char* name;
  std::string text;
  const char* message;
};

class NoTemplateTest : public ::testing::TestWithParam<NoTemplate> {};

TEST_P(NoTemplateTest, IsRefusedWithItsLine) {
  EXPECT_THAT(References(GetParam().text), StatusIs(kInvalid, HasSubstr(GetParam().message)));
  EXPECT_THAT(RenderSome(GetParam().text), StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

std::string Nested(int levels) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += "{{#if TASK_ID}}";
  for (int i = 0; i < levels; ++i) text += "{{/if}}";
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Texts, NoTemplateTest,
    ::testing::Values(
        NoTemplate{"OpenTag", "a\n{{TASK_ID", "line 2: got \"{{TASK_ID\", want closing }}"},
        NoTemplate{"EmptyTag", "{{ }}", "line 1: got \"\", want a variable"},
        NoTemplate{"SmallLetters", "\n\n{{task_id}}", "line 3: got \"task_id\", want a variable"},
        NoTemplate{"OpenBlock", "x\n{{#if TASK_ID}}\na\n", "line 2: got a block without end"},
        NoTemplate{"ClosedTwice", "{{#if A}}{{/if}}\n{{/if}}",
                   "line 2: got \"{{/if}}\", want a block"},
        NoTemplate{"CrossedBlocks", "{{#if A}}{{#unless B}}{{/if}}{{/unless}}",
                   "got \"{{/if}}\", want {{/unless}}"},
        NoTemplate{"UnknownBlock", "{{#each A}}{{/each}}", "want {{#if NAME}} or {{#unless NAME}}"},
        NoTemplate{"ShortPath", "{{steps.review}}", "want a variable"},
        NoTemplate{"UnknownPart", "{{steps.review.result}}", "steps.<name>.output"},
        NoTemplate{"BadIndex", "{{steps.review.output.a[x]}}", "want a variable"},
        NoTemplate{"TooDeep", Nested(17), "want at most 16 blocks in blocks"}),
    [](const auto& info) { return info.param.name; });

TEST(ReferencesTest, NamesEachOnceAlsoInBlocksThatMayVanish) {
  EXPECT_THAT(
      References("{{B}}{{#if A = 2}}{{steps.x.output.y}}{{B}}{{/if}}{{#unless C}}{{/unless}}"),
      IsOkAndHolds(ElementsAre("B", "A", "steps.x.output.y", "C")));
  EXPECT_OK(References(Nested(16)));
}

TEST(FindTest, GivesWhatIsAtAPathOrNull) {
  const nlohmann::json root = nlohmann::json::parse(R"({"a": {"b-c": [1, [2]]}})");

  EXPECT_EQ(*Find(root, "a.b-c[1][0]"), 2);
  EXPECT_EQ(Find(root, "a.b-c[2]"), nullptr);
  EXPECT_EQ(Find(root, "a.b-c.d"), nullptr);
  EXPECT_EQ(Find(root, "a[0]"), nullptr);
  EXPECT_EQ(Find(root, "x"), nullptr);
  EXPECT_EQ(Find(root, "a..b"), nullptr);
  EXPECT_EQ(Find(root, ""), nullptr);
  EXPECT_EQ(Find(root, "a.b-c[99999999999999999999]"), nullptr);
}

}  // namespace
}  // namespace capstan::workflow
