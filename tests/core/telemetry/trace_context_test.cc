#include "core/telemetry/trace_context.h"

#include <gtest/gtest.h>

namespace capstan::telemetry {
namespace {

constexpr char kSampled[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContextTest, ReadsAndWritesTraceparent) {
  TraceContext context = ParseTraceparent(kSampled, "vendor=value");

  EXPECT_TRUE(context.IsValid());
  EXPECT_TRUE(context.IsSampled());
  EXPECT_EQ(context.TraceIdHex(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(context.SpanIdHex(), "b7ad6b7169203331");
  EXPECT_EQ(context.tracestate, "vendor=value");
  EXPECT_EQ(FormatTraceparent(context), kSampled);
}

TEST(TraceContextTest, KeepsTheDecisionNotToSample) {
  TraceContext context =
      ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");

  EXPECT_TRUE(context.IsValid());
  EXPECT_FALSE(context.IsSampled());
}

TEST(TraceContextTest, ReadsTheKnownPartOfALaterVersion) {
  EXPECT_TRUE(
      ParseTraceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").IsValid());
}

TEST(TraceContextTest, DropsATracestateThatIsTooLong) {
  TraceContext context = ParseTraceparent(kSampled, std::string(513, 'a'));

  EXPECT_TRUE(context.IsValid());
  EXPECT_EQ(context.tracestate, "");
}

TEST(TraceContextTest, FormatsAnInvalidContextAsNothing) {
  EXPECT_EQ(FormatTraceparent(TraceContext{}), "");
}

class MalformedTraceparentTest : public ::testing::TestWithParam<const char*> {};

TEST_P(MalformedTraceparentTest, IsNoTrace) {
  EXPECT_EQ(ParseTraceparent(GetParam(), "vendor=value"), TraceContext{});
}

INSTANTIATE_TEST_SUITE_P(
    Input, MalformedTraceparentTest,
    ::testing::Values("", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
                      "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
                      "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                      "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
                      "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
                      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                      "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01"));

}  // namespace
}  // namespace capstan::telemetry
