#include "server/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using v1::Execution;

absl::StatusOr<storage::ExecutionFilter> Parse(std::string_view text) {
  return ParseFilter(text, StateTerms::kAllowed);
}

auto Refused(const std::string& message) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
}

TEST(FilterTest, NothingMatchesEverything) {
  const auto filter = Parse("  ");

  ASSERT_OK(filter);
  EXPECT_FALSE(filter->action.has_value());
  EXPECT_TRUE(filter->states.empty());
}

TEST(FilterTest, EveryFieldAtOnce) {
  const auto filter =
      Parse(R"(action = "ScaleDeployment" AND parent != wf-1 AND labels.team = "a b" AND )"
            "(state = FAILED OR state = CANCELLED)");

  ASSERT_OK(filter);
  EXPECT_EQ(filter->action, "ScaleDeployment");
  EXPECT_FALSE(filter->action_not);
  EXPECT_EQ(filter->parent, "wf-1");
  EXPECT_TRUE(filter->parent_not);
  EXPECT_THAT(filter->labels, ElementsAre(Pair("team", "a b")));
  EXPECT_THAT(filter->states, ElementsAre(Execution::STATE_FAILED, Execution::STATE_CANCELLED));
}

TEST(FilterTest, OrBindsTighterThanAnd) {
  const auto filter = Parse("state = FAILED OR state = SUCCEEDED AND action = A");

  ASSERT_OK(filter);
  EXPECT_THAT(filter->states, ElementsAre(Execution::STATE_FAILED, Execution::STATE_SUCCEEDED));
  EXPECT_EQ(filter->action, "A");
}

TEST(FilterTest, QuotedTextsMayHoldQuotesAndBackslashes) {
  const auto filter = Parse(R"(parent = "a\"b\\c")");

  ASSERT_OK(filter);
  EXPECT_EQ(filter->parent, R"(a"b\c)");
}

TEST(FilterTest, LabelKeysMayHoldDotsAndSlashes) {
  const auto filter = Parse("labels.example.com/team = a");

  ASSERT_OK(filter);
  EXPECT_THAT(filter->labels, ElementsAre(Pair("example.com/team", "a")));
}

TEST(FilterTest, ErrorsNameTheirPlace) {
  EXPECT_THAT(Parse("owner = me"), Refused("filter: at 1: got \"owner\""));
  EXPECT_THAT(Parse("action = A AND owner = me"), Refused("filter: at 16: got \"owner\""));
  EXPECT_THAT(Parse("labels. = a"), Refused("at 1: got \"labels.\""));
  EXPECT_THAT(Parse("action ="), Refused("at 9: got the end, want a value"));
  EXPECT_THAT(Parse("action A"), Refused("at 8: got \"A\", want = or !="));
  EXPECT_THAT(Parse("action = A parent = b"), Refused("at 12: got \"parent\", want AND"));
  EXPECT_THAT(Parse("action = \"A"), Refused("at 10: got a text without its end"));
  EXPECT_THAT(Parse("action > A"), Refused("at 8: got \">\""));
  EXPECT_THAT(Parse("(action = A"), Refused("got the end, want OR or )"));
  EXPECT_THAT(Parse("= A"), Refused("at 1: got \"=\", want a field"));
}

TEST(FilterTest, TasksAreFoundByTheirWorkflow) {
  EXPECT_EQ(Parse("workflow = medium")->action, "workflows/medium");
  EXPECT_TRUE(Parse("workflow != medium")->action_not);
  EXPECT_THAT(Parse("workflow = medium AND action = A"), Refused("want each field once"));
}

TEST(FilterTest, WhatTheLanguageLacksIsRefused) {
  EXPECT_THAT(Parse("state = DONE"), Refused("at 9: got \"DONE\", want a state"));
  EXPECT_THAT(Parse("state = UNSPECIFIED"), Refused("want a state"));
  EXPECT_THAT(Parse("state != FAILED"), Refused("(!= is for action, workflow and parent)"));
  EXPECT_THAT(Parse("labels.team != a"), Refused("(!= is for action, workflow and parent)"));
  EXPECT_THAT(Parse("action = A OR action = B"), Refused("want OR between states only"));
  EXPECT_THAT(Parse("state = FAILED OR action = B"), Refused("want OR between states only"));
  EXPECT_THAT(Parse("action = A AND action = B"), Refused("want each field once"));
  EXPECT_THAT(Parse("state = FAILED AND state = PENDING"), Refused("want each field once"));
  EXPECT_THAT(Parse("labels.a = 1 AND labels.a = 2"), Refused("want each field once"));
}

TEST(FilterTest, StatesAreRefusedWhereTheyMeanNothing) {
  EXPECT_THAT(ParseFilter("state = FAILED", StateTerms::kRefused), Refused("at 1: got \"state\""));
}

TEST(FilterTest, LengthAndTermsHaveLimits) {
  std::string states = "state = FAILED";
  for (int i = 0; i < kMaxFilterComparisons; ++i) states += " OR state = FAILED";

  EXPECT_THAT(Parse(std::string(kMaxFilterBytes + 1, ' ')), Refused("want at most 2048"));
  EXPECT_THAT(Parse(states), Refused("want at most 32"));
}

}  // namespace
}  // namespace capstan::server
