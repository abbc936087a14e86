#include "worker/process/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <thread>

#include "core/text.h"

namespace capstan::process {
namespace {

using ::testing::IsEmpty;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The folders of `name`, by controller.
std::map<std::string, std::string> Folders(const std::string& name) {
  std::map<std::string, std::string> folders;
  for (const CgroupParent& parent : FindCgroupParents("")) {
    const std::string folder = Cat(parent.folder, "/", name);
    if (std::filesystem::exists(folder)) folders[parent.controller] = folder;
  }
  return folders;
}

// What a controller's limit reads as; empty where the machine does not give it.
std::string LimitOf(const std::string& name, const std::string& controller) {
  for (const char* file :
       {"/memory.limit_in_bytes", "/memory.max", "/pids.max", "/cpu.cfs_quota_us", "/cpu.max"}) {
    const std::string path = Folders(name)[controller] + file;
    const std::string start = "/" + controller + ".";
    if (std::string(file).starts_with(start) && std::filesystem::exists(path))
      return ReadFile(path);
  }
  return "";
}

Limits SomeLimits() {
  Limits limits;
  limits.memory_bytes = 64 << 20;
  limits.max_processes = 9;
  limits.cpus = 0.5;
  return limits;
}

TEST(CgroupTest, LimitsAreWrittenAndTheFoldersRemoved) {
  const std::string name = CgroupName(getpid());
  {
    const Cgroup cgroup(FindCgroupParents(""), name, SomeLimits());

    // Where the machine gives the controller.
    EXPECT_EQ(LimitOf(name, "memory"), cgroup.Has("memory") ? "67108864" : "");
    EXPECT_EQ(LimitOf(name, "pids"), cgroup.Has("pids") ? "10" : "");  // with its init
    EXPECT_EQ(LimitOf(name, "cpu").substr(0, 5), cgroup.Has("cpu") ? "50000" : "");
  }

  EXPECT_THAT(Folders(name), IsEmpty());
}

TEST(CgroupTest, WhatIsInItIsKilled) {
  Cgroup cgroup(FindCgroupParents(""), CgroupName(getpid()), SomeLimits());
  if (!cgroup.Has("") && !cgroup.Has("pids")) {
    std::cout << "NOT RUN: no cgroups on this machine\n";
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  EXPECT_TRUE(cgroup.Add(child));

  std::thread reaper([child] { waitpid(child, nullptr, 0); });  // a dead process stays in it
  cgroup.Kill();
  reaper.join();

  EXPECT_NE(kill(child, 0), 0);
}

TEST(CgroupTest, WhereNothingIsGivenNothingIsThere) {
  const std::vector<CgroupParent> parents = {{"memory", "/no/such/folder", false},
                                             {"pids", "/tmp", true}};
  Cgroup cgroup(parents, CgroupName(getpid()), SomeLimits());

  EXPECT_FALSE(cgroup.Has("memory"));
  EXPECT_FALSE(cgroup.Has("pids"));
  EXPECT_TRUE(cgroup.Add(getpid()));
  EXPECT_EQ(cgroup.PeakMemoryBytes(), 0);
  EXPECT_EQ(cgroup.OutOfMemoryKills(), 0);
}

TEST(CgroupTest, FoldersOfDeadSupervisorsAreRemovedAndThoseOfOthersLeft) {
  const std::vector<CgroupParent> parents = FindCgroupParents("");
  if (parents.empty()) {
    std::cout << "NOT RUN: no cgroups on this machine\n";
    return;
  }
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const std::string stale = Cat(parents[0].folder, "/", CgroupName(dead));
  const std::string live = Cat(parents[0].folder, "/", CgroupName(getpid()));
  std::filesystem::create_directory(stale);
  std::filesystem::create_directory(live);

  RemoveStaleCgroups(parents);

  EXPECT_FALSE(std::filesystem::exists(stale));
  EXPECT_TRUE(std::filesystem::exists(live));
  rmdir(live.c_str());
}

}  // namespace
}  // namespace capstan::process
