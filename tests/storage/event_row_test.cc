#include "storage/event_row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::SizeIs;

const ExecutionId kId = *ExecutionId::Parse("01a1e1a7-4c00-7000-8000-000000000001");
constexpr absl::Time kTime = absl::FromUnixSeconds(1'800'000'001);

TEST(EventRow, EventsComeBackAsTheyWentInNumberedUpToTheLastOne) {
  const std::vector<EventBody> events = {"first", std::string("\0\xff", 2), ""};

  const auto read = DecodeEvents(kId, 7, kTime, EncodeEvents(events));

  ASSERT_OK(read);
  ASSERT_THAT(*read, SizeIs(3));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((*read)[i].execution, kId);
    EXPECT_EQ((*read)[i].seq, 5 + i);
    EXPECT_EQ((*read)[i].time, kTime);
    EXPECT_EQ((*read)[i].body, events[i]);
  }
}

TEST(EventRow, BytesThatAreNoRowAreDataLoss) {
  const std::vector<EventBody> events = {"a", "b"};
  const std::string two = EncodeEvents(events);

  EXPECT_THAT(DecodeEvents(kId, 2, kTime, "\xff"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeEvents(kId, 2, kTime, ""), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeEvents(kId, 1, kTime, two), StatusIs(absl::StatusCode::kDataLoss))
      << "more events than numbers";
  EXPECT_OK(DecodeEvents(kId, 2, kTime, two));
}

}  // namespace
}  // namespace capstan::storage
