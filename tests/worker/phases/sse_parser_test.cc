#include "worker/phases/sse_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace capstan::phases {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

using Events = std::vector<std::pair<std::string, std::string>>;

Events Parse(const std::vector<std::string>& pieces) {
  Events events;
  SseParser parser(
      [&](std::string_view event, std::string_view data) { events.emplace_back(event, data); });
  for (const std::string& piece : pieces) parser.Add(piece);
  return events;
}

constexpr char kStream[] =
    ": a comment\r\nevent: message_start\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n"
    "data:no space\n\nevent: ping\n\nid: 3\nretry\rdata: last\r\r";

TEST(SseParserTest, FieldsLinesAndEventsAreTakenApart) {
  EXPECT_THAT(Parse({kStream}), ElementsAre(Pair("message_start", "{\"a\":\n1}"),
                                            Pair("message", "no space"), Pair("message", "last")));
}

TEST(SseParserTest, ASplitAtAnyByteChangesNothing) {
  const std::string stream = kStream;
  const Events whole = Parse({stream});
  std::vector<Events> split;

  for (std::size_t at = 0; at <= stream.size(); ++at) {
    split.push_back(Parse({stream.substr(0, at), stream.substr(at)}));
  }

  EXPECT_THAT(split, ::testing::Each(whole));
}

TEST(SseParserTest, ByteByByteGivesTheSame) {
  std::vector<std::string> bytes;
  for (char c : std::string(kStream)) bytes.emplace_back(1, c);

  EXPECT_EQ(Parse(bytes), Parse({kStream}));
}

TEST(SseParserTest, AnEventWithoutItsEmptyLineIsNotGiven) {
  EXPECT_THAT(Parse({"event: message_stop\ndata: {}\n"}), IsEmpty());
}

TEST(SseParserTest, AnEventLargerThanTheLimitEndsTheParsing) {
  Events events;
  SseParser parser(
      [&](std::string_view event, std::string_view data) { events.emplace_back(event, data); });
  const std::string line = "data: " + std::string(1 << 20, 'x') + "\n";

  bool good = true;
  int lines = 0;
  for (; good && lines < 100; ++lines) good = parser.Add(line);

  EXPECT_FALSE(good);
  EXPECT_LE(lines, 9);
  EXPECT_FALSE(parser.Add("\n\ndata: after\n\n"));
  EXPECT_THAT(events, IsEmpty());
}

}  // namespace
}  // namespace capstan::phases
