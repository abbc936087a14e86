#include "action_program/command_line.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"

namespace capstan::action_program {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

absl::StatusOr<Command> Parse(const std::vector<std::string>& args) {
  return ParseCommandLine(args);
}

TEST(CommandLineTest, AnOperandAfterTheDashesIsTheName) {
  const auto command = Parse({"delete-pod", "--namespace=shop", "--uid=u-1", "--", "web-0"});

  ASSERT_OK(command);
  EXPECT_EQ(command->verb, Verb::kDeletePod);
  EXPECT_EQ(command->name_space, "shop");
  EXPECT_EQ(command->uid, "u-1");
  EXPECT_EQ(command->name, "web-0");
  EXPECT_EQ(command->grace_seconds, 30);
}

TEST(CommandLineTest, APatchWithCommasBracketsAndDashesIsOneValue) {
  const std::string patch =
      R"([{"op":"add","path":"/data/a","value":"--x=[1,2], 'q' \"w\""},{"op":"remove","path":"/data/b"}])";

  const auto command = Parse({"patch-config-map", "--namespace=shop", "--resource-version=7",
                              "--patch=" + patch, "--", "web"});

  ASSERT_OK(command);
  EXPECT_EQ(command->patch, nlohmann::json::parse(patch));
}

TEST(CommandLineTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(Parse({"delete-pod", "--namespace=shop", "--", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--uid")));
  EXPECT_THAT(Parse({"delete-pod", "--namespace=shop", "--uid=u"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
  EXPECT_THAT(Parse({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("subcommand")));
}

TEST(CommandLineTest, AnEmptyValueIsRefused) {
  EXPECT_THAT(Parse({"delete-pod", "--namespace=shop", "--uid=", "--", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--uid")));
  EXPECT_THAT(Parse({"delete-pod", "--namespace=", "--uid=u", "--", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--namespace")));
  EXPECT_THAT(Parse({"delete-pod", "--namespace=shop", "--uid", "", "--", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--uid")));
  EXPECT_THAT(Parse({"delete-pod", "--namespace=shop", "--uid=u", "--", ""}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name")));
}

TEST(CommandLineTest, UnknownOptionsVerbsAndOperandsAreRefused) {
  EXPECT_FALSE(Parse({"delete-pod", "--namespace=shop", "--uid=u", "--all", "--", "web"}).ok());
  EXPECT_FALSE(Parse({"delete-pod", "--namespace=shop", "--uid=u", "--", "web", "api"}).ok());
  EXPECT_FALSE(Parse({"delete-node", "--", "web"}).ok());
}

TEST(CommandLineTest, TimesAndGraceHaveBounds) {
  EXPECT_THAT(Parse({"restart-deployment", "--namespace=shop", "--at=noon", "--", "web"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("--at: got \"noon\""), HasSubstr("want a time"))));
  EXPECT_THAT(
      Parse({"delete-pod", "--namespace=shop", "--uid=u", "--grace=3601", "--", "web"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--grace: got 3601, want 0 to 3600")));
  EXPECT_FALSE(Parse({"delete-pod", "--namespace=shop", "--uid=u", "--grace=-1", "--", "w"}).ok());
}

TEST(CommandLineTest, HelpAndVersionAreForStandardOutput) {
  EXPECT_THAT(Parse({"--help"}), StatusIs(absl::StatusCode::kCancelled, HasSubstr("patch-secret")));
  EXPECT_THAT(Parse({"delete-pod", "--help"}),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("--grace")));
  EXPECT_THAT(Parse({"--version"}),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("capstan-action ")));
}

}  // namespace
}  // namespace capstan::action_program
