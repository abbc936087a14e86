// Workspaces on a branch of the repository itself.
#include <sys/file.h>

#include <thread>

#include "tests/worker/git/git_fixture.h"
#include "worker/git/shared_branch.h"

namespace capstan::git {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::IsOkAndHolds;
using ::testing::Not;
using testing::StatusIs;

constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;

class BranchTest : public GitFixture {
 protected:
  void SetUp() override {
    GitFixture::SetUp();
    Shell("git -C $REPO branch feature && git -C $REPO branch other");
  }

  absl::StatusOr<Workspace> Take(const std::string& branch, const std::string& id = "task-1") {
    return workspaces_->CreateOnBranch(id, repository(), branch);
  }
  Workspace Taken(const std::string& branch = "feature", const std::string& id = "task-1") {
    absl::StatusOr<Workspace> workspace = Take(branch, id);
    EXPECT_OK(workspace);
    return workspace.value_or(Workspace{});
  }
  std::string CommitOf(const std::string& name) { return Shell("git -C $REPO rev-parse " + name); }
  // Somebody puts an empty commit on a branch.
  void MoveBranch(const std::string& branch) {
    Shell("cd $REPO && git update-ref refs/heads/" + branch + " $(git commit-tree -p " + branch +
          " -m theirs " + branch + "^{tree})");
  }
};

TEST_F(BranchTest, S4_2_CheckpointsAreCommitsOnTheBranchItself) {
  const std::string began = CommitOf("feature");

  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "by the task\n");
  const absl::StatusOr<std::string> commit = workspaces_->Checkpoint(workspace, "one");

  ASSERT_OK(commit);
  EXPECT_EQ(workspace.branch, "feature");
  EXPECT_EQ(workspace.base_commit, began);
  EXPECT_EQ(CommitOf("feature"), *commit);
  EXPECT_EQ(CommitOf("feature^"), began);
  EXPECT_EQ(Show("feature:made"), "by the task");
  EXPECT_EQ(Shell("git -C $ROOT/task-1 symbolic-ref HEAD"), "refs/heads/feature");
  EXPECT_EQ(Shell("git -C $REPO branch --list 'capstan/*'"), "") << "it has no branch of its own";
  EXPECT_EQ(CommitOf("main"), began);
}

TEST_F(BranchTest, S4_2_TheBranchStaysWhenTheWorkspaceIsRemoved) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "by the task\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));

  ASSERT_OK(workspaces_->Remove(workspace));

  EXPECT_EQ(Show("feature:made"), "by the task");
  EXPECT_OK(Take("feature", "task-2")) << "others may work on it now";
}

TEST_F(BranchTest, S4_2_ATakeoverGoesOnFromTheLastCheckpoint) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "one\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  WriteFile(workspace.path + "/made", "half\n");

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(ReadFile(workspace.path + "/made"), "one\n");
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:made"), "half");
  EXPECT_EQ(Show("feature:made"), "one");
}

TEST_F(BranchTest, S4_2_AFolderThatIsGoneIsMadeAgainOnTheBranch) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "one\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  std::filesystem::remove_all(workspace.path);

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(ReadFile(workspace.path + "/made"), "one\n");
  WriteFile(workspace.path + "/made", "two\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "two"));
  EXPECT_EQ(Show("feature:made"), "two");
}

TEST_F(BranchTest, S4_2_MadeAgainForTheSameTaskItIsTheSame) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "one\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));

  const Workspace again = Taken();

  EXPECT_EQ(again.base_commit, workspace.base_commit);
  EXPECT_EQ(ReadFile(again.path + "/made"), "one\n");
}

// ---- others

TEST_F(BranchTest, S4_2_WhatTheRepositoryHasCheckedOutIsRefused) {
  EXPECT_THAT(Take("main"), StatusIs(kRefused, AllOf(HasSubstr("branch main: is checked out in"),
                                                     HasSubstr(repository()))));
  EXPECT_FALSE(std::filesystem::exists(root() + "/task-1"));
}

TEST_F(BranchTest, S4_2_ABareRepositoryHasNothingCheckedOut) {
  Shell("git clone -q --bare $REPO $OUTSIDE");

  EXPECT_OK(workspaces_->CreateOnBranch("task-1", outside(), "main"));
}

TEST_F(BranchTest, S4_2_TwoTasksDoNotWorkOnOneBranch) {
  const Workspace workspace = Taken();

  EXPECT_THAT(Take("feature", "task-2"), StatusIs(kRefused, HasSubstr(workspace.path)));
  EXPECT_OK(Take("other", "task-3"));
}

TEST_F(BranchTest, S4_2_OfTwoAtTheSameMomentOneGetsIt) {
  absl::StatusOr<Workspace> one;
  absl::StatusOr<Workspace> two;

  std::thread first([&] { one = Take("feature", "task-1"); });
  std::thread second([&] { two = Take("feature", "task-2"); });
  first.join();
  second.join();

  EXPECT_NE(one.ok(), two.ok()) << one.status() << two.status();
  EXPECT_THAT(one.ok() ? two : one, StatusIs(kRefused));
}

TEST_F(BranchTest, S4_2_ABranchThatSomebodyIsTakingIsTriedAgain) {
  const process::Fd held(open(git_folder().c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(flock(held.get(), LOCK_EX), 0);
  std::stop_source stop;
  stop.request_stop();

  EXPECT_THAT(LockBranches(git_folder(), stop.get_token()),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(BranchTest, S4_2_WhoLeavesLetsOthersWorkOnIt) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/half", "done\n");

  ASSERT_OK(workspaces_->Leave(workspace));
  ASSERT_OK(workspaces_->Leave(workspace)) << "again, by whoever takes over";

  EXPECT_EQ(ReadFile(workspace.path + "/half"), "done\n") << "the folder stays";
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:half"), "done");
  EXPECT_OK(Take("feature", "task-2"));
}

TEST_F(BranchTest, S4_2_ABranchThatWasMovedMeanwhileIsNotOverwritten) {
  const Workspace workspace = Taken();
  const std::string began = CommitOf("feature");
  MoveBranch("feature");
  const std::string theirs = CommitOf("feature");
  WriteFile(workspace.path + "/made", "by the task\n");

  const absl::StatusOr<std::string> commit = workspaces_->Checkpoint(workspace, "one");

  EXPECT_THAT(commit, StatusIs(kRefused, AllOf(HasSubstr("branch feature: somebody else moved it"),
                                               HasSubstr("from " + began + " to " + theirs),
                                               HasSubstr("refs/capstan/task-1/next"))));
  EXPECT_EQ(CommitOf("feature"), theirs);
  EXPECT_EQ(Show("refs/capstan/task-1/next:made"), "by the task") << "nothing is lost";
  EXPECT_EQ(CommitOf("refs/capstan/task-1/next^"), began);
  EXPECT_THAT(workspaces_->Open(workspace), StatusIs(kRefused, HasSubstr("somebody else moved")));
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:made"), "by the task");
  EXPECT_THAT(workspaces_->Checkpoint(workspace, "again"), StatusIs(kRefused));
  EXPECT_EQ(CommitOf("feature"), theirs);
}

TEST_F(BranchTest, S4_2_ABranchThatIsGoneIsNotMadeAgain) {
  const Workspace workspace = Taken();
  Shell("git -C $REPO update-ref -d refs/heads/feature");
  WriteFile(workspace.path + "/made", "by the task\n");

  EXPECT_THAT(workspaces_->Checkpoint(workspace, "one"), StatusIs(kRefused, HasSubstr("nowhere")));

  EXPECT_EQ(Shell("git -C $REPO branch --list feature"), "");
  EXPECT_EQ(Show("refs/capstan/task-1/next:made"), "by the task");
}

// Whoever made the checkpoint was lost after it was on the branch, before it was noted.
TEST_F(BranchTest, S4_2_ACheckpointOfOursOnTheBranchIsKnownAgain) {
  const Workspace workspace = Taken();
  const std::string began = CommitOf("feature");
  WriteFile(workspace.path + "/made", "one\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  Shell("git -C $REPO update-ref refs/capstan/task-1/head " + began);

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(ReadFile(workspace.path + "/made"), "one\n");
  EXPECT_EQ(CommitOf("refs/capstan/task-1/head"), CommitOf("feature"));
}

TEST_F(BranchTest, S4_2_ALockOfSomebodyElseIsLeftAlone) {
  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "one\n");
  Shell("touch $GITDIR/refs/heads/feature.lock");

  EXPECT_THAT(workspaces_->Checkpoint(workspace, "one"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("feature.lock")));

  EXPECT_TRUE(std::filesystem::exists(git_folder() + "/refs/heads/feature.lock"));
  Shell("touch -d '2 minutes ago' $GITDIR/refs/heads/feature.lock");
  EXPECT_OK(workspaces_->Checkpoint(workspace, "one")) << "that one was forgotten";
}

// ---- names that mean something else to git

TEST_F(BranchTest, S4_2_NamesThatAreNoBranchesAreRefused) {
  const std::string commit = CommitOf("main");
  for (const std::string& name :
       {std::string(), std::string("HEAD"), std::string("-b"), std::string("--orphan"),
        std::string("refs/heads/feature"), commit, std::string("feature..other"),
        std::string("feature~1"), std::string("@{-1}"), std::string("a b"), std::string("a\nb"),
        std::string("../heads/feature")}) {
    EXPECT_THAT(Take(name), StatusIs(absl::StatusCode::kInvalidArgument)) << name;
  }
  EXPECT_THAT(Take("no-such"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("branch no-such")));
  EXPECT_EQ(Shell("git -C $REPO for-each-ref refs/capstan"), "") << "nothing was written";
}

TEST_F(BranchTest, S4_2_ATagOfTheSameNameIsNotTheBranch) {
  Shell(
      "cd $REPO && git checkout -q other && echo tagged > a.txt && git commit -qam tagged &&"
      "git tag feature && git checkout -q main");

  const Workspace workspace = Taken();
  const std::string content = ReadFile(workspace.path + "/a.txt");
  WriteFile(workspace.path + "/made", "by the task\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));

  EXPECT_EQ(content, "one\n");
  EXPECT_EQ(Show("refs/heads/feature:made"), "by the task");
  EXPECT_EQ(Show("refs/tags/feature:a.txt"), "tagged");
}

TEST_F(BranchTest, S4_2_AnotherNameOfABranchIsRefused) {
  Shell("git -C $REPO symbolic-ref refs/heads/alias refs/heads/main");

  EXPECT_THAT(Take("alias"), StatusIs(kRefused, HasSubstr("another name of a branch")));
}

TEST_F(BranchTest, S4_2_ABranchThatBecameAnotherNameLeadsNowhere) {
  const Workspace workspace = Taken();
  const std::string main = CommitOf("main");
  Shell("git -C $REPO symbolic-ref refs/heads/feature refs/heads/main");
  WriteFile(workspace.path + "/made", "by the task\n");

  (void)workspaces_->Checkpoint(workspace, "one");

  EXPECT_EQ(CommitOf("main"), main);
}

TEST_F(BranchTest, S4_2_HooksOfARepositoryAreNotRunForItsBranches) {
  WriteFile(git_folder() + "/canary.sh",
            "#!/bin/sh\necho ran >> " + git_folder() + "/canary-ran\nexit 1\n");
  Shell(
      "chmod 755 $GITDIR/canary.sh && for hook in reference-transaction post-checkout update "
      "post-index-change; do cp $GITDIR/canary.sh $GITDIR/hooks/$hook; done");

  const Workspace workspace = Taken();
  WriteFile(workspace.path + "/made", "one\n");
  EXPECT_OK(workspaces_->Checkpoint(workspace, "one"));
  EXPECT_OK(workspaces_->Open(workspace));
  EXPECT_OK(workspaces_->Leave(workspace));

  EXPECT_FALSE(std::filesystem::exists(git_folder() + "/canary-ran"));
}

}  // namespace
}  // namespace capstan::git
