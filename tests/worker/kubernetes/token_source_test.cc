#include "worker/kubernetes/token_source.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/instant_clock.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;

class TokenSourceTest : public ::testing::Test {
 protected:
  ~TokenSourceTest() override { std::remove(path_.c_str()); }
  void Write(const std::string& token) { std::ofstream(path_) << token; }

  const std::string path_ = ::testing::TempDir() + "/capstan_token_source_test";
  InstantClock clock_;
};

TEST_F(TokenSourceTest, AFileIsReadAgainAfterAMinute) {
  Write("one\n");
  TokenSource source({.token_file = path_}, clock_);
  ASSERT_THAT(source.Token(), IsOkAndHolds("one"));
  Write("two\n");

  clock_.Advance(absl::Seconds(59));
  EXPECT_THAT(source.Token(), IsOkAndHolds("one"));

  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(source.Token(), IsOkAndHolds("two"));
}

TEST_F(TokenSourceTest, ADroppedTokenIsReadAgainAtOnce) {
  Write("one");
  TokenSource source({.token_file = path_}, clock_);
  ASSERT_THAT(source.Token(), IsOkAndHolds("one"));
  Write("two");

  EXPECT_TRUE(source.Drop());

  EXPECT_THAT(source.Token(), IsOkAndHolds("two"));
}

TEST_F(TokenSourceTest, AnUnreadableFileLeavesTheLastToken) {
  Write("one");
  TokenSource source({.token_file = path_}, clock_);
  ASSERT_THAT(source.Token(), IsOkAndHolds("one"));
  std::remove(path_.c_str());

  clock_.Advance(absl::Hours(1));

  EXPECT_THAT(source.Token(), IsOkAndHolds("one"));
}

TEST_F(TokenSourceTest, WithoutAnyTokenTheFileIsNamed) {
  TokenSource source({.token_file = path_}, clock_);

  EXPECT_THAT(source.Token(),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr(path_)));
}

TEST_F(TokenSourceTest, AConstantTokenIsNotWorthDropping) {
  TokenSource source({.token = "t"}, clock_);

  EXPECT_FALSE(source.Drop());
  EXPECT_THAT(source.Token(), IsOkAndHolds("t"));
}

}  // namespace
}  // namespace capstan::kubernetes
