#include "worker/phases/stream_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One turn with a tool, as the CLI writes it, shortened.
constexpr char kTurn[] =
    R"({"type":"system","subtype":"init","session_id":"s"}
{"type":"system","subtype":"status","status":"requesting"}
{"type":"stream_event","event":{"type":"message_start","message":{"model":"claude-haiku-4-5","usage":{"input_tokens":100,"cache_read_input_tokens":7,"output_tokens":1}}}}
{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"I write"}}}
{"type":"assistant","message":{"content":[{"type":"text","text":"I write"}]}}
{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t1","name":"Write","input":{"a":1}}]}}
{"type":"stream_event","event":{"type":"message_delta","usage":{"output_tokens":20}}}
{"type":"stream_event","event":{"type":"message_stop"}}
)";
constexpr char kToolResult[] =
    R"({"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"no"}],"is_error":true}]}}
)";

class StreamJsonTest : public ::testing::Test {
 protected:
  Listener listener_;
  StreamJson stream_{listener_};
};

TEST_F(StreamJsonTest, TextToolsAndResultsAreTold) {
  stream_.Add(kTurn);
  stream_.Add(kToolResult);

  EXPECT_EQ(listener_.text, "I write");
  EXPECT_THAT(listener_.calls, ElementsAre("Write"));
  EXPECT_THAT(listener_.inputs, ElementsAre(R"({"a":1})"));
  EXPECT_THAT(listener_.results, ElementsAre("Write failed: no"));
}

TEST_F(StreamJsonTest, ASplitAtAnyByteChangesNothing) {
  const std::string all = std::string(kTurn) + kToolResult;
  std::vector<std::string> texts;

  for (std::size_t at = 0; at <= all.size(); ++at) {
    Listener listener;
    StreamJson stream(listener);
    stream.Add(all.substr(0, at));
    stream.Add(all.substr(at));
    texts.push_back(listener.text + (listener.results.size() == 1 ? " told" : " lost"));
  }

  EXPECT_THAT(texts, ::testing::Each("I write told"));
}

TEST_F(StreamJsonTest, AWholeCallIsCountedAndNothingIsInFlightWhileAToolRuns) {
  stream_.Add(kTurn);

  EXPECT_EQ(Only(stream_.usage()).effective_input(), 107);
  EXPECT_EQ(Only(stream_.usage()).output_tokens, 20);
  EXPECT_EQ(stream_.in_flight(), std::nullopt);
}

TEST_F(StreamJsonTest, AfterAToolsResultACallMayBeInFlight) {
  stream_.Add(kTurn);
  stream_.Add(kToolResult);

  ASSERT_NE(stream_.in_flight(), std::nullopt);
  EXPECT_EQ(stream_.in_flight()->effective_input(), 0);
}

TEST_F(StreamJsonTest, WithoutPiecesTheWholeTextIsTold) {
  stream_.Add(R"({"type":"assistant","message":{"content":[{"type":"text","text":"whole"}]}})"
              "\n");

  EXPECT_EQ(listener_.text, "whole");
}

TEST_F(StreamJsonTest, ALastLineWithoutItsEndCounts) {
  stream_.Add(R"({"type":"result","subtype":"success"})");
  ASSERT_FALSE(stream_.result().has_value());

  stream_.End();

  EXPECT_TRUE(stream_.result().has_value());
}

TEST_F(StreamJsonTest, WhatItDoesNotKnowIsPassedOver) {
  stream_.Add("Warning: something\n\n[1,2]\n{\"type\":7}\n{\"type\":\"user\",\"message\":3}\n");
  stream_.Add("{\"type\":\"assistant\",\"message\":{\"content\":\"text\"}}\n");
  stream_.Add("{\"type\":\"stream_event\",\"event\":{\"type\":\"message_stop\"}}\n\xff\xfe\n");
  stream_.Add("{\"type\":\"hologram\",\"deep\":" + std::string(100, '[') + "\n");

  EXPECT_THAT(listener_.text, IsEmpty());
  EXPECT_EQ(stream_.result(), std::nullopt);
  EXPECT_THAT(stream_.noise(), HasSubstr("Warning: something"));
}

TEST_F(StreamJsonTest, ALineThatIsTooLongIsPassedOverAndTheNextIsRead) {
  for (int i = 0; i < 20; ++i) stream_.Add(std::string(1 << 20, 'x'));
  stream_.Add("\n{\"type\":\"result\"}\n");

  EXPECT_TRUE(stream_.result().has_value());
  EXPECT_THAT(stream_.noise(), IsEmpty());
}

TEST_F(StreamJsonTest, NoiseIsKeptToALimit) {
  for (int i = 0; i < 100; ++i) stream_.Add(std::string(100, 'x') + "\n");

  EXPECT_EQ(stream_.noise().size(), StreamJson::kMaxNoiseBytes);
}

TEST_F(StreamJsonTest, ARetryIsToldAndALostConnectionIsCounted) {
  stream_.Add(
      R"({"type":"system","subtype":"api_retry","attempt":1,"retry_delay_ms":500,"error_status":429}
{"type":"system","subtype":"api_retry","attempt":2,"retry_delay_ms":900,"error_status":null}
)");

  EXPECT_THAT(listener_.retries, ElementsAre(PhaseError::kRateLimited, PhaseError::kTransient));
  EXPECT_THAT(listener_.waits, ElementsAre(absl::Milliseconds(500), absl::Milliseconds(900)));
  EXPECT_EQ(stream_.lost_tries(), 2);
}

}  // namespace
}  // namespace capstan::phases
