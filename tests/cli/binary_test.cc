// The program itself: what only a process can show.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "tests/cli/fake_server.h"
#include "tests/cli/sample_messages.h"

namespace capstan::cli {
namespace {

pid_t Spawn(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), CAPSTAN_PROGRAM);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  CAPSTAN_CHECK(posix_spawn(&pid, CAPSTAN_PROGRAM, nullptr, nullptr, argv.data(), environ) == 0);
  return pid;
}

// The exit code; -1 when a signal ended it.
int Wait(pid_t pid) {
  int status = 0;
  CAPSTAN_CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
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
