#include "worker/process/warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace capstan::process {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WarningsTest, S1_26_S4_44_ServersOfToolsAndBrowsersAreNamed) {
  Result result;
  result.orphans = {
      {7, "node /opt/mcp-server/index.js"}, {8, "/usr/lib/Chromium --headless"}, {9, "sleep 100"}};

  EXPECT_THAT(
      Warnings(result),
      ElementsAre("left an MCP server behind, which was killed: node /opt/mcp-server/index.js",
                  "left a browser behind, which was killed: /usr/lib/Chromium --headless",
                  "left a process behind, which was killed: sleep 100"));
}

TEST(WarningsTest, S1_26_MoreThan500MegabytesOfMemoryIsSaid) {
  Result result;
  result.peak_memory_bytes = 500'000'000;
  EXPECT_THAT(Warnings(result), IsEmpty());

  result.peak_memory_bytes = 612'000'000;
  EXPECT_THAT(Warnings(result),
              ElementsAre("used 612 MB of memory, the cache of its files included"));
}

}  // namespace
}  // namespace capstan::process
