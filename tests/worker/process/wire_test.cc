#include "worker/process/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace capstan::process {
namespace {

using testing::StatusIs;

Order SomeOrder() {
  Order order;
  order.spec.argv = {"program", "", std::string("\xff\n", 2)};
  order.spec.directory = "/srv/x";
  order.spec.environment = {{"A", "b"}};
  order.spec.secret_files = {{"token", std::string("\0x", 2)}};
  order.spec.limits = {absl::Milliseconds(1500), 1, 2, 1.5, 3, 4};
  order.spec.sandbox = {true, {"/w"}, {"/r", "/s"}, true};
  order.grace = absl::Seconds(3);
  order.silence = absl::Seconds(4);
  order.user = 4'000'000'000;
  order.group = 7;
  order.cgroup = "/capstan";
  return order;
}

TEST(WireTest, AnOrderComesBackAsItWas) {
  const absl::StatusOr<Order> back = DecodeOrder(Encode(SomeOrder()));

  ASSERT_OK(back);
  EXPECT_EQ(Encode(*back), Encode(SomeOrder()));
  EXPECT_EQ(back->spec.argv, SomeOrder().spec.argv);
  EXPECT_EQ(back->spec.limits.cpus, 1.5);
  EXPECT_EQ(back->user, 4'000'000'000);
  EXPECT_TRUE(back->spec.sandbox.network);
}

TEST(WireTest, AResultComesBackAsItWas) {
  Result result{Result::End::kTimedOut, 1, 9, "late", 5, {{3, "sleep"}}, absl::Seconds(2)};

  const absl::StatusOr<Result> back = DecodeResult(Encode(result));

  ASSERT_OK(back);
  EXPECT_EQ(Encode(*back), Encode(result));
  EXPECT_EQ(back->orphans[0].command, "sleep");
}

TEST(WireTest, EveryCutIsFoundOut) {
  const std::string bytes = Encode(SomeOrder());

  int accepted = 0;
  for (size_t size = 0; size < bytes.size(); ++size)
    accepted += DecodeOrder(std::string_view(bytes).substr(0, size)).ok() ? 1 : 0;

  EXPECT_EQ(accepted, 0);
  EXPECT_THAT(DecodeOrder(bytes + "x"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(DecodeResult(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace capstan::process
