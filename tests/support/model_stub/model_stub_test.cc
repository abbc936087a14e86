#include "tests/support/model_stub/model_stub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/model_stub/message_frames.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string AllFrames(const StubReply& reply) {
  std::string all;
  for (const StubFrame& frame : StreamFrames(reply, "m", 1)) all += FrameText(frame);
  return all;
}

std::vector<std::string> Events(const StubReply& reply) {
  std::vector<std::string> events;
  for (const StubFrame& frame : StreamFrames(reply, "m", 1)) events.push_back(frame.event);
  return events;
}

TEST(ModelStubTest, AReplyIsReadFromJson) {
  const auto reply = ReadStubReply(Json::parse(R"({
    "text": "hi", "tool_uses": [{"name": "Write", "input": {"a": 1}}], "cut_after": 3,
    "usage": {"input": 7, "cache_read": 9}, "headers": {"retry-after": "1"},
    "frame_delay_ms": 5, "omit_message_stop": true})"));

  ASSERT_OK(reply);
  EXPECT_EQ(reply->text, "hi");
  EXPECT_EQ(reply->tool_uses[0].input["a"], 1);
  EXPECT_EQ(reply->cut_after, 3);
  EXPECT_EQ(reply->usage.cache_read, 9);
  EXPECT_EQ(reply->frame_delay, absl::Milliseconds(5));
  EXPECT_TRUE(reply->omit_message_stop);
}

TEST(ModelStubTest, AnUnknownKeyOrAWrongTypeIsNamed) {
  EXPECT_THAT(ReadStubReply({{"colour", "red"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reply.colour")));
  EXPECT_THAT(ReadStubReply({{"text", 7}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reply.text: got 7")));
  EXPECT_THAT(ReadStubReply({{"usage", {{"tokens", 7}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reply.usage")));
}

TEST(ModelStubTest, AStreamHasTheEventsOfTheRealOne) {
  EXPECT_THAT(Events({.text = "hi"}),
              ::testing::ElementsAre("message_start", "content_block_start", "content_block_delta",
                                     "content_block_stop", "message_delta", "message_stop"));
  EXPECT_THAT(AllFrames({.thinking = "hm"}), HasSubstr("signature_delta"));
  EXPECT_THAT(AllFrames({.tool_uses = {{"Write", {{"a", 1}}}}}), HasSubstr("input_json_delta"));
}

TEST(ModelStubTest, FaultsStandWhereTheyWereAskedFor) {
  EXPECT_EQ(Events({.text = "hi", .error_after = 2}).size(), 3u);
  EXPECT_EQ(Events({.text = "hi", .error_after = 2})[2], "error");
  EXPECT_EQ(Events({.text = "hi", .garbage_after = 2}).size(), 7u);
  EXPECT_EQ(Events({.text = "hi", .omit_message_stop = true}).back(), "message_delta");
}

TEST(ModelStubTest, CharactersAreNotCutInTwo) {
  EXPECT_THAT(AllFrames({.text = "a\xC3\xA4\xC3\xA4", .chunk = 1}), HasSubstr("\xC3\xA4"));
}

}  // namespace
}  // namespace capstan::testing
