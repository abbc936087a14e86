#include "worker/phases/workspace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <iterator>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
namespace fs = std::filesystem;

class WorkspaceFileTest : public ::testing::Test {
 protected:
  absl::Status Write(std::string_view path) {
    return WriteInWorkspace(workspace_.path(), path, "new");
  }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  testing::TemporaryDirectory workspace_;
  testing::TemporaryDirectory outside_;
};

TEST_F(WorkspaceFileTest, FoldersAreMadeAndAnOldFileIsReplacedWhole) {
  const std::string path = workspace_.Write("a/b/c.txt", "older and longer");

  EXPECT_OK(Write("a/b/c.txt"));
  EXPECT_OK(Write("d/e/f.txt"));

  EXPECT_EQ(Content(path), "new");
  EXPECT_EQ(Content(workspace_.path() + "/d/e/f.txt"), "new");
}

TEST_F(WorkspaceFileTest, PathsThatCouldLeadOutAreRefused) {
  for (const char* path : {"", "/etc/passwd", "../a", "a/../../b", "a//b", "./a", "a/."}) {
    EXPECT_THAT(Write(path), StatusIs(absl::StatusCode::kInvalidArgument)) << path;
  }
}

TEST_F(WorkspaceFileTest, ALinkToAFolderOutsideIsNotFollowed) {
  fs::create_directory_symlink(outside_.path(), workspace_.path() + "/link");

  EXPECT_THAT(Write("link/a.txt"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(fs::is_empty(outside_.path()));
}

TEST_F(WorkspaceFileTest, ALinkToAFileOutsideIsNotFollowed) {
  const std::string target = outside_.Write("secret", "old");
  fs::create_symlink(target, workspace_.path() + "/a.txt");

  EXPECT_THAT(Write("a.txt"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Content(target), "old");
}

TEST_F(WorkspaceFileTest, AFileWithASecondNameIsNotWrittenTo) {
  const std::string target = outside_.Write("secret", "old");
  fs::create_hard_link(target, workspace_.path() + "/a.txt");

  EXPECT_THAT(Write("a.txt"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Content(target), "old");
}

TEST_F(WorkspaceFileTest, APipeOrAFolderInTheWayIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo((workspace_.path() + "/pipe").c_str(), 0600), 0);
  fs::create_directory(workspace_.path() + "/folder");

  EXPECT_THAT(Write("pipe"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Write("folder"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace capstan::phases
