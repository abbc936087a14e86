#include "worker/phases/message_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/support/model_stub/message_frames.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StreamFrames;
using ::capstan::testing::StubFrame;

constexpr char kAnswer[] = R"({"status":"complete"})";

std::vector<StubFrame> Frames() { return StreamFrames({.text = kAnswer}, "m", 1); }

TEST(MessageStreamTest, AWholeStreamIsAnAnswer) {
  MessageStream stream([](std::string_view) {});

  for (const StubFrame& frame : Frames()) stream.OnEvent(frame.data);

  EXPECT_EQ(stream.health(), MessageStream::Health::kGood);
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(stream.text(), kAnswer);
  EXPECT_EQ(stream.stop_reason(), "end_turn");
}

TEST(MessageStreamTest, EventsOfAnyShapeDoNoHarm) {
  MessageStream stream([](std::string_view) {});
  for (const char* data :
       {R"({"type":7})", R"({})", R"({"type":"message_start","message":7})",
        R"({"type":"content_block_delta"})", R"({"type":"content_block_delta","delta":[]})",
        R"({"type":"message_delta","usage":"many","delta":{"stop_reason":7}})",
        R"({"type":"hologram"})", R"({"type":"ping"})"}) {
    EXPECT_EQ(stream.OnEvent(data), MessageStream::Health::kGood) << data;
  }

  EXPECT_FALSE(stream.ended());
  EXPECT_FALSE(stream.has_output_usage());
}

TEST(MessageStreamTest, WhatIsNoJsonObjectBreaksTheStream) {
  for (const std::string& data :
       {std::string("{\"type\":"), std::string("[1]"), std::string("\xff"), std::string("\0", 1),
        std::string(200, '['), std::string("{\"type\":\"x\",\"a\":\"\xc3\x28\"}")}) {
    MessageStream stream([](std::string_view) {});
    EXPECT_EQ(stream.OnEvent(data), MessageStream::Health::kBroken);
  }
}

// Changed at random places: the text is never anything but what was sent and readable, and a broken
// stream stays broken.
TEST(MessageStreamTest, ChangedBytesNeverMakeAnAnswerOfABrokenStream) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<StubFrame> frames = Frames();
    std::string& data = frames[random() % frames.size()].data;
    data[random() % data.size()] = static_cast<char>(random());
    MessageStream stream([](std::string_view) {});
    bool broken = false;
    for (const StubFrame& frame : frames) {
      broken = stream.OnEvent(frame.data) != MessageStream::Health::kGood || broken;
    }
    ASSERT_EQ(broken, stream.health() != MessageStream::Health::kGood) << data;
    ASSERT_LE(stream.text().size(), sizeof(kAnswer)) << data;
  }
}

}  // namespace
}  // namespace capstan::phases
