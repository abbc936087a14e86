// The program itself: what only a process can show.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/cli/fake_server.h"
#include "tests/cli/task_messages.h"

namespace capstan::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

pid_t Spawn(std::vector<std::string> arguments, const posix_spawn_file_actions_t* files = nullptr) {
  arguments.insert(arguments.begin(), CAPSTAN_PROGRAM);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  CAPSTAN_CHECK(posix_spawn(&pid, CAPSTAN_PROGRAM, files, nullptr, argv.data(), environ) == 0);
  return pid;
}

// The exit code; -1 when a signal ended it.
int Wait(pid_t pid) {
  int status = 0;
  CAPSTAN_CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A terminal that this program is the screen of.
class Terminal {
 public:
  Terminal(unsigned short columns, unsigned short rows) {
    const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    CAPSTAN_CHECK(openpty(&screen_, &program_, nullptr, nullptr, &size) == 0);
  }
  ~Terminal() {
    close(screen_);
    if (program_ >= 0) close(program_);
  }

  pid_t Run(std::vector<std::string> arguments) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, program_, STDOUT_FILENO);
    const pid_t pid = Spawn(std::move(arguments), &files);
    posix_spawn_file_actions_destroy(&files);
    close(program_);
    program_ = -1;
    return pid;
  }

  // Blocks until the program has written this, or has ended.
  void Await(const std::string& words) {
    while (text_.find(words) == std::string::npos && ReadMore()) {
    }
  }
  // All that it wrote to its end.
  const std::string& ReadAll() {
    while (ReadMore()) {
    }
    return text_;
  }

 private:
  bool ReadMore() {
    char buffer[4096];
    const ssize_t size = read(screen_, buffer, sizeof(buffer));
    if (size > 0) text_.append(buffer, static_cast<std::size_t>(size));
    return size > 0;
  }

  int screen_ = -1;
  int program_ = -1;
  std::string text_;
};

TEST(BinaryTest, ControlCOnATerminalShowsTheCursorAgain) {
  FakeServer server;
  server.executions.scripts.push_back(
      {.updates = Stream(RunningTaskEvents()), .end = {}, .hang = true});
  Terminal terminal(/*columns=*/60, /*rows=*/20);
  const pid_t pid = terminal.Run({"task", "watch", kName, "--address", server.address});

  terminal.Await("implement  1/2");
  kill(pid, SIGINT);

  EXPECT_THAT(terminal.ReadAll(), AllOf(StartsWith("\033[?25l"), EndsWith("\033[J\033[?25h")));
  EXPECT_EQ(Wait(pid), 130);
}

TEST(BinaryTest, ControlCEndsAWatchWithCode130) {
  FakeServer server;
  server.executions.scripts.push_back(
      {.updates = Stream(GoodEvents(), 0, 4), .end = {}, .hang = true});
  pid_t pid = Spawn({"execution", "watch", kName, "--address", server.address});

  server.executions.AwaitHanging();
  kill(pid, SIGINT);

  EXPECT_EQ(Wait(pid), 130);
}

TEST(BinaryTest, TheExitCodeIsThatOfTheExecution) {
  FakeServer server;
  server.executions.scripts.push_back({.updates = Stream(DeniedEvents()), .end = {}});

  EXPECT_EQ(Wait(Spawn({"execution", "watch", kName, "--address", server.address})), 3);
}

}  // namespace
}  // namespace capstan::cli
