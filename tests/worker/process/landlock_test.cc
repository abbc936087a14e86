#include "worker/process/landlock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "tests/support/temporary_directory.h"

namespace capstan::process {
namespace {

// In a process of its own that may read /usr and change `folder`.
template <class What>
bool Restricted(const std::string& folder, What what) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    _exit(RestrictFiles({"/usr", "/not/there"}, {folder}).ok() && what() ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(LandlockTest, OnlyTheGivenFoldersAreReached) {
  if (LandlockAbi() < 2) {
    std::cout << "NOT RUN: no Landlock of version 2 on this machine\n";
    return;
  }
  const testing::TemporaryDirectory given;
  const testing::TemporaryDirectory other;
  other.Write("file", "text");
  given.Write("file", "text");

  EXPECT_TRUE(Restricted(given.path(), [] { return open("/usr/bin/env", O_RDONLY) >= 0; }));
  EXPECT_TRUE(Restricted(given.path(), [] { return open("/etc/passwd", O_RDONLY) < 0; }));
  EXPECT_TRUE(Restricted(given.path(), [] { return mkdir("/usr/escaped", 0700) != 0; }));
  EXPECT_TRUE(Restricted(given.path(), [&] {
    return open((other.path() + "/file").c_str(), O_RDONLY) < 0 &&
           rename((given.path() + "/file").c_str(), (other.path() + "/taken").c_str()) != 0;
  }));
  EXPECT_TRUE(Restricted(given.path(), [&] {
    const std::string folder = given.path() + "/a";
    return mkdir(folder.c_str(), 0700) == 0 &&
           rename((given.path() + "/file").c_str(), (folder + "/b").c_str()) == 0 &&
           open((folder + "/b").c_str(), O_RDWR | O_TRUNC) >= 0;
  }));
}

}  // namespace
}  // namespace capstan::process
