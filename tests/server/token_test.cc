// Page tokens and cursors: good for what they were made for, and for nothing else.
#include "server/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/cursor.h"
#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ExecutionId kId = *ExecutionId::Parse("0190a6f0-0000-7000-8000-000000000001");

TEST(TokenTest, AnyServerOfTheDatabaseTakesAToken) {
  const TokenMaker one("7-1"), two("7-1");

  EXPECT_THAT(ReadListToken(two, "state = FAILED", MakeListToken(one, "state = FAILED", kId)),
              IsOkAndHolds(kId));
  EXPECT_THAT(ReadEventsToken(two, kId, MakeEventsToken(one, kId, 7)), IsOkAndHolds(7));
}

TEST(TokenTest, ATokenOfOtherArgumentsAnotherDatabaseOrAnotherCallIsRefused) {
  const TokenMaker maker("7-1"), other("8-1");
  const auto refused =
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token: got a token"));
  const std::string token = MakeListToken(maker, "", kId);

  EXPECT_THAT(ReadListToken(maker, "state = FAILED", token), refused);
  EXPECT_THAT(ReadListToken(other, "", token), refused);
  EXPECT_THAT(ReadEventsToken(maker, kId, token), refused);
  EXPECT_THAT(ReadListToken(maker, "", ""), refused);
  EXPECT_THAT(ReadListToken(maker, "", "!!!"), refused);
}

TEST(TokenTest, EveryChangedByteIsNoticed) {
  const TokenMaker maker("7-1");
  const std::string token = MakeListToken(maker, "", kId);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i + 1 < token.size(); ++i) {  // the last char holds padding bits
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    accepted += ReadListToken(maker, "", changed).ok();
  }

  EXPECT_EQ(accepted, 0u);
}

TEST(CursorTest, AllOfItComesBack) {
  const TokenMaker maker("7-1");
  WatchCursor cursor;
  cursor.position = {.xid = 123456789012, .position = 42};
  cursor.scanned = kId;
  cursor.followed = {{1, 5, false}, {0xffffffffffffffff, 9, true}};

  const auto read =
      ReadCursor(maker, "7-1", "action = A", MakeCursor(maker, "7-1", "action = A", cursor));

  ASSERT_OK(read);
  EXPECT_EQ(read->position, cursor.position);
  EXPECT_EQ(read->scanned, cursor.scanned);
  EXPECT_EQ(read->followed, cursor.followed);
}

TEST(CursorTest, AnotherDatabaseIsOutOfRangeAndAnotherFilterInvalid) {
  const TokenMaker maker("7-1"), restored("7-2");
  const std::string cursor = MakeCursor(maker, "7-1", "", {});

  EXPECT_THAT(ReadCursor(restored, "7-2", "", cursor), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(ReadCursor(maker, "7-1", "action = A", cursor),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cursor: ")));
  EXPECT_THAT(ReadCursor(maker, "7-1", "", "abc"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadCursor(maker, "7-1", "", cursor.substr(0, cursor.size() - 4)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace capstan::server
