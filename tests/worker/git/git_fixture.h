// A repository made with plain git, and workspaces of it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "worker/git/workspaces.h"
#include "worker/process/process.h"

namespace capstan::git {

class GitFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    static const auto runner = process::MakeRunner(SupervisorOfTests());
    ASSERT_TRUE(runner.ok()) << runner.status();
    workspaces_ = std::make_unique<Workspaces>(**runner, WorkspacesOptions{root()});
    Shell(
        "git init -q -b main $REPO && cd $REPO && echo one > a.txt && echo ignored > .gitignore &&"
        "git add . && git commit -qm first");
  }

  static process::Options SupervisorOfTests() {
    process::Options options;
    options.supervisor = CAPSTAN_SUPERVISOR;
    options.grace = absl::Milliseconds(300);
    return options;
  }

  std::string root() const { return folder_.path() + "/workspaces"; }
  std::string repository() const { return folder_.path() + "/repository"; }
  std::string git_folder() const { return repository() + "/.git"; }
  std::string outside() const { return folder_.path() + "/outside"; }

  // The output of a script. It has no settings but what it makes, and these names: REPO, GITDIR,
  // ROOT, OUTSIDE.
  std::string Shell(const std::string& script, bool may_fail = false) const {
    const std::string file =
        folder_.Write("script.sh", "export REPO='" + repository() + "' GITDIR='" + git_folder() +
                                       "' ROOT='" + root() + "' OUTSIDE='" + outside() +
                                       "' GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null "
                                       "GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t "
                                       "GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t\n" +
                                       script + "\n");
    FILE* pipe = popen(("timeout 60 sh " + file + " 2>&1 < /dev/null").c_str(), "r");
    std::string out;
    char piece[4096];
    for (size_t size = 0; (size = fread(piece, 1, sizeof(piece), pipe)) > 0;)
      out.append(piece, size);
    const int status = pclose(pipe);
    EXPECT_TRUE(may_fail || status == 0) << script << "\n" << out;
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static void WriteFile(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  // What a commit or ref says a file is.
  std::string Show(const std::string& what) const { return Shell("git -C $REPO show " + what); }

  Workspace CreateOne(const std::string& id = "task-1") {
    absl::StatusOr<Workspace> workspace = workspaces_->Create(id, repository(), "main");
    EXPECT_OK(workspace);
    return workspace.ok() ? *workspace : Workspace{};
  }

  testing::TemporaryDirectory folder_;
  std::unique_ptr<Workspaces> workspaces_;
};

}  // namespace capstan::git
