#include "worker/git/beneath.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::git {
namespace {

using testing::StatusIs;

class BeneathTest : public ::testing::Test {
 protected:
  BeneathTest() {
    folder_.Write("a/file", "first\nsecond\n");
    outside_.Write("file", "kept\n");
    std::filesystem::create_directory_symlink(outside_.path(), folder_.path() + "/link");
    std::filesystem::create_symlink(outside_.path() + "/file", folder_.path() + "/a/link");
    mkfifo((folder_.path() + "/pipe").c_str(), 0600);
  }
  bool Kept() const { return std::filesystem::exists(outside_.path() + "/file"); }

  testing::TemporaryDirectory folder_;
  testing::TemporaryDirectory outside_;
};

TEST_F(BeneathTest, APlainFileIsRead) {
  EXPECT_EQ(FirstLineBeneath(folder_.path(), "a/file"), "first");
}

TEST_F(BeneathTest, LinksPipesAndWaysOutAreNotRead) {
  const std::string out = "../" + std::filesystem::path(outside_.path()).filename().string();

  EXPECT_EQ(FirstLineBeneath(folder_.path(), "link/file"), "");
  EXPECT_EQ(FirstLineBeneath(folder_.path(), "a/link"), "");
  EXPECT_EQ(FirstLineBeneath(folder_.path(), "pipe"), "");
  EXPECT_EQ(FirstLineBeneath(folder_.path(), "a"), "");
  EXPECT_EQ(FirstLineBeneath(folder_.path(), out + "/file"), "");
  EXPECT_EQ(FirstLineBeneath(folder_.path(), outside_.path() + "/file"), "");
}

TEST_F(BeneathTest, FilesFoldersAndLinksAreRemovedAndWhatLinksNameIsNot) {
  EXPECT_OK(RemoveBeneath(folder_.path(), "link"));
  EXPECT_OK(RemoveBeneath(folder_.path(), "a"));
  EXPECT_OK(RemoveBeneath(folder_.path(), "a/never/there"));

  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/a"));
  EXPECT_TRUE(Kept());
}

TEST_F(BeneathTest, NothingIsRemovedBehindALink) {
  EXPECT_THAT(RemoveBeneath(folder_.path(), "link/file"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(Kept());
}

}  // namespace
}  // namespace capstan::git
