#include "worker/git/workspaces.h"

#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "absl/cleanup/cleanup.h"
#include "tests/worker/git/git_fixture.h"

namespace capstan::git {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOkAndHolds;
using ::testing::Optional;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

using WorkspacesTest = GitFixture;

TEST_F(WorkspacesTest, S1_1_AWorkspaceIsAWorktreeOnABranchOfItsOwn) {
  const Workspace workspace = CreateOne();

  EXPECT_EQ(workspace.path, root() + "/task-1");
  EXPECT_EQ(workspace.branch, "capstan/task-1");
  EXPECT_EQ(workspace.base_commit, Shell("git -C $REPO rev-parse main"));
  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "one\n");
  EXPECT_EQ(Shell("git -C $ROOT/task-1 symbolic-ref HEAD"), "refs/heads/capstan/task-1");
  EXPECT_EQ(Shell("git -C $REPO status --porcelain"), "");
}

TEST_F(WorkspacesTest, ACheckpointHasEverythingThatIsNotIgnored) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "two\n");
  WriteFile(workspace.path + "/new/file", "new\n");
  WriteFile(workspace.path + "/ignored", "x");

  const absl::StatusOr<std::string> commit = workspaces_->Checkpoint(workspace, "step 1");

  ASSERT_OK(commit);
  EXPECT_EQ(Shell("git -C $REPO rev-parse capstan/task-1"), *commit);
  EXPECT_EQ(Show("-s --format='%s %an %ae' " + *commit), "step 1 Capstan capstan@localhost");
  EXPECT_EQ(Show(*commit + ":a.txt"), "two");
  EXPECT_EQ(Shell("git -C $REPO ls-tree -r --name-only " + *commit), ".gitignore\na.txt\nnew/file");
  EXPECT_EQ(Shell("git -C $ROOT/task-1 status --porcelain"), "");
}

TEST_F(WorkspacesTest, ACheckpointWithoutAChangeIsTheOneBefore) {
  const Workspace workspace = CreateOne();

  EXPECT_THAT(workspaces_->Checkpoint(workspace, "nothing"), IsOkAndHolds(workspace.base_commit));
}

TEST_F(WorkspacesTest, ChangesAreCountedFromTheBase) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "two\nthree\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  WriteFile(workspace.path + "/b c.txt", "x\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "two"));

  const absl::StatusOr<Diffstat> stat = workspaces_->Changes(workspace);

  ASSERT_OK(stat);
  EXPECT_EQ(stat->file_count, 2);
  EXPECT_EQ(stat->added, 3);
  EXPECT_EQ(stat->removed, 1);
  EXPECT_EQ(stat->files[1].path, "b c.txt");
}

TEST_F(WorkspacesTest, TwoWorkspacesOfOneRepositoryDoNotMix) {
  const Workspace one = CreateOne("task-1");
  const Workspace two = CreateOne("task-2");
  WriteFile(one.path + "/only-one", "1");
  WriteFile(two.path + "/only-two", "2");

  ASSERT_OK(workspaces_->Checkpoint(one, "one"));
  ASSERT_OK(workspaces_->Checkpoint(two, "two"));
  ASSERT_OK(workspaces_->Remove(one));

  EXPECT_EQ(Shell("git -C $REPO ls-tree -r --name-only capstan/task-2"),
            ".gitignore\na.txt\nonly-two");
  EXPECT_EQ(Shell("git -C $ROOT/task-2 status --porcelain"), "");
  EXPECT_THAT(workspaces_->List(), IsOkAndHolds(ElementsAre(two.path)));
}

TEST_F(WorkspacesTest, S4_39_ATakeoverKeepsUnfinishedWorkAndGoesOnFromTheCheckpoint) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "checkpoint\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  WriteFile(workspace.path + "/a.txt", "half\n");
  WriteFile(workspace.path + "/half.txt", "half of it\n");

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "checkpoint\n");
  EXPECT_FALSE(std::filesystem::exists(workspace.path + "/half.txt"));
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:a.txt"), "half");
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:half.txt"), "half of it");
  EXPECT_EQ(Shell("git -C $REPO rev-parse refs/capstan/task-1/wip-1^"),
            Shell("git -C $REPO rev-parse capstan/task-1"));
}

TEST_F(WorkspacesTest, S4_39_EveryInterruptionKeepsItsOwnWork) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "first\n");
  ASSERT_OK(workspaces_->Open(workspace));
  WriteFile(workspace.path + "/a.txt", "second\n");
  ASSERT_OK(workspaces_->Open(workspace));
  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:a.txt"), "first");
  EXPECT_EQ(Show("refs/capstan/task-1/wip-2:a.txt"), "second");
  EXPECT_EQ(Shell("git -C $REPO for-each-ref --format='%(refname)' refs/capstan/task-1"),
            "refs/capstan/task-1/base\nrefs/capstan/task-1/wip-1\nrefs/capstan/task-1/wip-2");
}

TEST_F(WorkspacesTest, S4_39_PreservedWorkLeavesTheFilesAsTheyAre) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "half\n");

  EXPECT_THAT(workspaces_->PreserveWork(workspace),
              IsOkAndHolds(Optional(Eq("refs/capstan/task-1/wip-1"))));
  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "half\n");
  EXPECT_EQ(Shell("git -C $ROOT/task-1 diff --cached --name-only"), "");
}

TEST_F(WorkspacesTest, S4_39_AFolderWhoseRecordInTheRepositoryIsGoneIsKeptToo) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "half\n");
  std::filesystem::remove_all(git_folder() + "/worktrees/task-1");

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:a.txt"), "half");
  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "one\n");
  EXPECT_EQ(Shell("git -C $ROOT/task-1 status --porcelain"), "");
}

TEST_F(WorkspacesTest, S4_39_FilesThatNobodyMayReadAreKept) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/closed/file", "text\n");
  chmod((workspace.path + "/closed/file").c_str(), 0);
  chmod((workspace.path + "/closed").c_str(), 0);

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:closed/file"), "text");
}

TEST_F(WorkspacesTest, S4_39_ADeletedFolderIsMadeAnewFromTheCheckpoint) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "checkpoint\n");
  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  std::filesystem::remove_all(workspace.path);

  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "checkpoint\n");
}

TEST_F(WorkspacesTest, LocksOfAKilledGitDoNotHoldATakeover) {
  const Workspace workspace = CreateOne();
  WriteFile(git_folder() + "/worktrees/task-1/index.lock", "");
  WriteFile(git_folder() + "/refs/heads/capstan/task-1.lock", "");
  WriteFile(git_folder() + "/capstan-index-task-1.lock", "");
  WriteFile(workspace.path + "/a.txt", "half\n");

  ASSERT_OK(workspaces_->Open(workspace));
  WriteFile(workspace.path + "/a.txt", "whole\n");

  EXPECT_OK(workspaces_->Checkpoint(workspace, "one"));
  EXPECT_EQ(Show("capstan/task-1:a.txt"), "whole");
}

TEST_F(WorkspacesTest, CreatingAgainOpensWhatIsThere) {
  const Workspace first = CreateOne();
  WriteFile(first.path + "/a.txt", "half\n");
  Shell("cd $REPO && echo later > a.txt && git commit -qam later");

  const Workspace again = CreateOne();

  EXPECT_EQ(again.base_commit, first.base_commit);
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:a.txt"), "half");
}

TEST_F(WorkspacesTest, ACreateThatWasCutOffIsFinishedByTheNext) {
  Shell("cd $REPO && git update-ref refs/capstan/task-1/base main && mkdir -p $ROOT/task-1");

  const Workspace workspace = CreateOne();

  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "one\n");
}

TEST_F(WorkspacesTest, S1_30_TheRecordedPathIsRemovedAndItsWorkKept) {
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/a.txt", "half\n");
  std::filesystem::create_directory_symlink(repository(), workspace.path + "/way-out");

  ASSERT_OK(workspaces_->Remove(workspace));

  EXPECT_FALSE(std::filesystem::exists(workspace.path));
  EXPECT_FALSE(std::filesystem::exists(git_folder() + "/worktrees/task-1"));
  EXPECT_EQ(Show("refs/capstan/task-1/wip-1:a.txt"), "half");
  EXPECT_EQ(ReadFile(repository() + "/a.txt"), "one\n");
  EXPECT_OK(workspaces_->Remove(workspace));
}

TEST_F(WorkspacesTest, S1_30_ThePathIsTheRecordedOneAndNotMadeFromTheId) {
  Workspace workspace = CreateOne();
  Shell(
      "git -C $REPO worktree unlock $ROOT/task-1 &&"
      "git -C $REPO worktree move $ROOT/task-1 $ROOT/elsewhere &&"
      "mv $GITDIR/worktrees/task-1 $GITDIR/worktrees/elsewhere &&"
      "echo gitdir: $GITDIR/worktrees/elsewhere > $ROOT/elsewhere/.git && mkdir $ROOT/task-1");
  workspace.path = root() + "/elsewhere";

  ASSERT_OK(workspaces_->Remove(workspace));

  EXPECT_THAT(workspaces_->List(), IsOkAndHolds(ElementsAre(root() + "/task-1")));
}

TEST_F(WorkspacesTest, S1_30_APathOutsideTheRootIsRefused) {
  const Workspace good = CreateOne();
  std::filesystem::create_directories(outside());
  std::filesystem::create_directory_symlink(outside(), root() + "/link");
  std::vector<absl::StatusCode> codes;

  for (const std::string& path :
       {outside(), root(), root() + "/..", root() + "/../outside", root() + "/task-1/inside",
        root() + "/link", root() + "/", std::string("/"), std::string(), std::string("task-1")}) {
    Workspace workspace = good;
    workspace.path = path;
    codes.push_back(workspaces_->Remove(workspace).code());
  }

  EXPECT_THAT(codes, ::testing::AllOf(::testing::SizeIs(10),
                                      ::testing::Each(absl::StatusCode::kInvalidArgument)));
  EXPECT_TRUE(std::filesystem::exists(outside()));
  EXPECT_EQ(ReadFile(good.path + "/a.txt"), "one\n");
}

TEST_F(WorkspacesTest, OrphansAreListed) {
  const Workspace workspace = CreateOne();
  std::filesystem::create_directory(root() + "/forgotten");

  EXPECT_THAT(workspaces_->List(),
              IsOkAndHolds(UnorderedElementsAre(workspace.path, root() + "/forgotten")));
}

TEST_F(WorkspacesTest, NamesThatAreNoneAreRefused) {
  EXPECT_THAT(workspaces_->Create("../x", repository(), "main"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(workspaces_->Create("x", repository(), "--upload-pack=x"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(workspaces_->Create("x", "relative", "main"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(workspaces_->Create("x", repository(), "no-such-branch"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-branch")));
  EXPECT_THAT(workspaces_->Create("x", folder_.path(), "main"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(WorkspacesTest, ABareRepositoryWorksToo) {
  Shell("git clone -q --bare $REPO $REPO.git");

  const absl::StatusOr<Workspace> workspace =
      workspaces_->Create("bare", repository() + ".git", "main");

  ASSERT_OK(workspace);
  WriteFile(workspace->path + "/b.txt", "b\n");
  EXPECT_OK(workspaces_->Checkpoint(*workspace, "one"));
  EXPECT_EQ(Shell("git -C $REPO.git show capstan/bare:b.txt"), "b");
}

TEST_F(WorkspacesTest, AStopIsUnavailable) {
  std::stop_source stop;
  stop.request_stop();

  EXPECT_THAT(workspaces_->Create("x", repository(), "main", stop.get_token()),
              StatusIs(absl::StatusCode::kUnavailable));
}

// The disk is full as soon as a command of git has this argument.
class FullDisk final : public process::Runner {
 public:
  FullDisk(process::Runner& runner, std::string command, std::string words)
      : runner_(runner), command_(std::move(command)), words_(std::move(words)) {}

  process::Result Run(const process::Spec& spec,
                      const std::function<void(process::Stream, std::string_view)>& on_output,
                      std::stop_token stop) override {
    if (std::count(spec.argv.begin(), spec.argv.end(), command_) == 0)
      return runner_.Run(spec, on_output, stop);
    on_output(process::Stream::kErr, words_);
    process::Result result;
    result.end = process::Result::End::kExited;
    result.exit_code = 128;
    return result;
  }

 private:
  process::Runner& runner_;
  const std::string command_, words_;
};

TEST_F(WorkspacesTest, I11_ADiskWithoutRoomIsNamedForWhatItIs) {
  const auto runner = process::MakeRunner(SupervisorOfTests());
  ASSERT_OK(runner);
  const Workspace workspace = CreateOne();
  WriteFile(workspace.path + "/new", "x");

  const std::string system = "fatal: unable to write file: No space left on device\n";
  const std::string own = "fatal: sha1 file 'index.lock' write error. Out of diskspace\n";
  for (const auto& [command, words] : std::map<std::string, std::string>{
           {"add", own}, {"write-tree", system}, {"commit-tree", system}, {"update-ref", system}}) {
    FullDisk full(**runner, command, words);
    EXPECT_THAT(Workspaces(full, WorkspacesOptions{root()}).Checkpoint(workspace, "one"),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(words.substr(0, 40))))
        << command;
  }
  EXPECT_OK(workspaces_->Checkpoint(workspace, "one")) << "nothing was lost";
}

// A disk of its own that is as good as full, and has room again later; nothing where this program
// may not mount one.
TEST_F(WorkspacesTest, I11_WorkIsKeptWhenAFullDiskHasRoomAgain) {
  std::filesystem::create_directory(outside());
  if (mount("none", outside().c_str(), "tmpfs", 0, "size=1m") != 0) return;
  const absl::Cleanup unmount = [&] { umount2(outside().c_str(), MNT_DETACH); };
  Shell("git clone -q --bare $REPO $OUTSIDE/full");
  const absl::StatusOr<Workspace> workspace =
      workspaces_->Create("task-1", outside() + "/full", "main");
  ASSERT_OK(workspace);
  Shell("head -c 3000000 /dev/urandom > $ROOT/task-1/big");

  EXPECT_THAT(workspaces_->Checkpoint(*workspace, "one"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("git add")));

  ASSERT_EQ(mount("none", outside().c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  EXPECT_OK(workspaces_->Checkpoint(*workspace, "one"));
  EXPECT_EQ(Shell("git -C $OUTSIDE/full cat-file -s capstan/task-1:big"), "3000000");
}

TEST_F(WorkspacesTest, ARepositoryInsideAWorkspaceIsLeftAlone) {
  const Workspace workspace = CreateOne();
  Shell("cd $ROOT/task-1 && git init -q inner && echo x > inner/file && echo y > beside");

  ASSERT_OK(workspaces_->Checkpoint(workspace, "one"));
  ASSERT_OK(workspaces_->Open(workspace));

  EXPECT_EQ(Show("capstan/task-1:beside"), "y");
  EXPECT_EQ(ReadFile(workspace.path + "/inner/file"), "x\n");
}

}  // namespace
}  // namespace capstan::git
