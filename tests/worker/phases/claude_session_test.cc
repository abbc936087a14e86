#include "worker/phases/claude_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "worker/phases/conversation.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr char kSession[] = "0198c0de-0000-7000-8000-000000000001";
constexpr char kState[] = "{\"type\":\"user\"}\n{\"type\":\"assistant\"}\n";

class ClaudeSessionTest : public ::testing::Test {
 protected:
  std::string FolderOf(const ClaudeHome& home) { return home.config() + "/projects/-room-space"; }
  void Write(const ClaudeHome& home, const std::string& text) {
    fs::create_directories(FolderOf(home));
    std::ofstream(FolderOf(home) + "/" + kSession + ".jsonl") << text;
  }

  testing::TemporaryDirectory scratch_;
  testing::TemporaryDirectory outside_;
};

TEST_F(ClaudeSessionTest, AStateGoesFromOneHomeToTheNext) {
  const ClaudeHome home = ClaudeHome::Make(scratch_.path()).value();

  ASSERT_OK(home.RestoreSession(kSession, "/room/space", kState));

  EXPECT_TRUE(fs::exists(FolderOf(home) + "/" + kSession + ".jsonl"));
  EXPECT_EQ(home.SaveSession(kSession), kState);
}

TEST_F(ClaudeSessionTest, TheTotalsOfEarlierRunsAndWhatIsNoJsonAreLeftOut) {
  const ClaudeHome home = ClaudeHome::Make(scratch_.path()).value();
  Write(home, "{\"type\":\"user\"}\n{\"type\":\"cost-state\",\"totalCostUSD\":3}\nhalf a li");

  EXPECT_EQ(home.SaveSession(kSession), "{\"type\":\"user\"}\n");
}

TEST_F(ClaudeSessionTest, AHomeIsGoneWithItsRun) {
  {
    const ClaudeHome home = ClaudeHome::Make(scratch_.path()).value();
    Write(home, kState);
  }

  EXPECT_TRUE(fs::is_empty(scratch_.path()));
}

TEST_F(ClaudeSessionTest, ALinkThatTheProgramLeftIsNotFollowed) {
  const std::string secret = outside_.Write("secret", "{\"type\":\"secret\"}\n");
  const ClaudeHome file = ClaudeHome::Make(scratch_.path()).value();
  fs::create_directories(FolderOf(file));
  fs::create_symlink(secret, FolderOf(file) + "/" + kSession + ".jsonl");
  const ClaudeHome folder = ClaudeHome::Make(scratch_.path()).value();
  outside_.Write(std::string("sessions/") + kSession + ".jsonl", kState);
  fs::create_directory_symlink(outside_.path() + "/sessions", FolderOf(folder));

  EXPECT_EQ(file.SaveSession(kSession), "");
  EXPECT_EQ(folder.SaveSession(kSession), "");
}

TEST_F(ClaudeSessionTest, AStateThatIsTooLargeIsNotKeptAndNotTaken) {
  const ClaudeHome home = ClaudeHome::Make(scratch_.path()).value();
  const std::string large =
      "{\"type\":\"user\",\"text\":\"" + std::string(kMaxSessionStateBytes, 'x') + "\"}\n";
  Write(home, large);

  EXPECT_EQ(home.SaveSession(kSession), "");
  EXPECT_THAT(home.RestoreSession(kSession, "/room/space", large),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("session_state: got")));
}

TEST_F(ClaudeSessionTest, AScratchFolderThatIsNotThereIsNamed) {
  EXPECT_THAT(ClaudeHome::Make("/nowhere/scratch"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("/nowhere/scratch")));
}

}  // namespace
}  // namespace capstan::phases
