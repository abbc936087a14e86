// Repositories that want to run a program or to write where they should not. Each leaves a canary
// where a sandboxed git could write: the wall that is shown here is the settings, not the sandbox.
#include "tests/worker/git/git_fixture.h"
#include "worker/git/git.h"

namespace capstan::git {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

struct Hostile {
  const char* name;
  // Prepared in a shell, with CANARY, a program whose traces are looked for; and, once the
  // workspace is there, what somebody does in it.
  const char* repository;
  const char* workspace = "";
  // Plain git runs the canary: the case is a real one.
  bool runs_with_plain_git = true;
  bool usable = true;  // the repository still works
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

constexpr char kAllHooks[] =
    "for hook in applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit "
    "prepare-commit-msg commit-msg post-commit pre-rebase post-checkout post-merge pre-push "
    "post-rewrite pre-auto-gc reference-transaction post-index-change fsmonitor-watchman "
    "sendemail-validate push-to-checkout update post-update; do cp $CANARY $GITDIR/hooks/$hook; "
    "done";

const Hostile kHostile[] = {
    {"Hooks", kAllHooks},
    {"HooksPath",
     "mkdir $GITDIR/h && cp $CANARY $GITDIR/h/post-checkout &&"
     "cp $CANARY $GITDIR/h/pre-commit && git -C $REPO config core.hooksPath $GITDIR/h"},
    {"FileSystemMonitor", "git -C $REPO config core.fsmonitor $CANARY"},
    {"CleanFilter",
     "git -C $REPO config filter.x.clean $CANARY &&"
     "echo '* filter=x' > $REPO/.gitattributes && git -C $REPO -c filter.x.clean=cat "
     "add . && git -C $REPO commit -qm attributes"},
    {"SmudgeFilter",
     "cd $REPO && echo '* filter=x' > .gitattributes && git add . &&"
     "git commit -qm attributes && git config filter.x.smudge $CANARY"},
    {"ProcessFilter",
     "cd $REPO && echo '* filter=x' > .gitattributes && git add . &&"
     "git commit -qm attributes && git config filter.x.process $CANARY"},
    {"RequiredFilter",
     "cd $REPO && echo '* filter=x' > .gitattributes && git add . &&"
     "git commit -qm attributes && git config filter.x.clean $CANARY &&"
     "git config filter.x.smudge $CANARY && git config filter.x.required true"},
    {"FilterWithAStrangeName",
     "cd $REPO && git config 'filter.a=b.c d.clean' $CANARY && git config filter.Big.clean $CANARY "
     "&&"
     "echo '* filter=Big' > $GITDIR/info/attributes"},
    {"FilterOfAnIncludedFile",
     "cd $REPO && printf '[filter \"x\"]\\n clean = %s\\n smudge = %s\\n' $CANARY $CANARY > "
     "$GITDIR/more && git config include.path more && echo '* filter=x' > $GITDIR/info/attributes",
     "", true, false},
    {"FilterOfAConditionalInclude",
     "cd $REPO && printf '[filter \"x\"]\\n clean = %s\\n smudge = %s\\n' $CANARY $CANARY > "
     "$GITDIR/more && git config includeIf.onbranch:**.path more &&"
     "echo '* filter=x' > $GITDIR/info/attributes",
     "", true, false},
    {"FilterOnlyOnTheTaskBranch",
     "cd $REPO && printf '[filter \"x\"]\\n clean = %s\\n smudge = %s\\n' $CANARY $CANARY > "
     "$GITDIR/more && git config includeIf.onbranch:capstan/.path more &&"
     "echo '* filter=x' > $GITDIR/info/attributes",
     "", true, false},
    {"FilterOfTheWorktreesSettings",
     "cd $REPO && git config extensions.worktreeConfig true &&"
     "echo '* filter=x' > $GITDIR/info/attributes",
     "printf '[filter \"x\"]\\n clean = %s\\n' $CANARY > $GITDIR/worktrees/task-1/config.worktree",
     false},
    {"AttributesFromTheWorkspace", "git -C $REPO config filter.x.clean $CANARY",
     "echo '* filter=x' > .gitattributes"},
    {"AttributesFile",
     "git -C $REPO config filter.x.clean $CANARY &&"
     "echo '* filter=x' > $GITDIR/attr && git -C $REPO config core.attributesFile "
     "$GITDIR/attr"},
    {"TextConversion",
     "cd $REPO && git config diff.x.textconv $CANARY &&"
     "echo '* diff=x' > $GITDIR/info/attributes"},
    {"DiffCommand",
     "cd $REPO && git config diff.x.command $CANARY &&"
     "echo '* diff=x' > $GITDIR/info/attributes"},
    {"ExternalDiff", "git -C $REPO config diff.external $CANARY"},
    {"MergeDriver",
     "cd $REPO && git config merge.x.driver $CANARY &&"
     "echo '* merge=x' > $GITDIR/info/attributes",
     "", false},
    {"SshCommand",
     "cd $REPO && git config core.sshCommand $CANARY &&"
     "git remote add origin ssh://example.invalid/x",
     "", false},
    {"MissingObjectsOfARemote",
     "cd $REPO && git config core.repositoryFormatVersion 1 &&"
     "git config extensions.partialClone origin && git config protocol.allow always &&"
     "git config protocol.ext.allow always && git remote add origin \"ext::$CANARY\" &&"
     "git config remote.origin.promisor true &&"
     "rm -f $GITDIR/objects/$(git rev-parse HEAD:a.txt | sed 's,^..,&/,')",
     "", true, false},
    {"UploadPackOfARemote",
     "cd $REPO && git config core.repositoryFormatVersion 1 &&"
     "git config extensions.partialClone origin && git config protocol.file.allow always &&"
     "git remote add origin $REPO && git config remote.origin.uploadpack $CANARY &&"
     "git config remote.origin.promisor true &&"
     "rm -f $GITDIR/objects/$(git rev-parse HEAD:a.txt | sed 's,^..,&/,')",
     "", true, false},
    {"HelperOfARemote",
     "cd $REPO && git remote add origin x && git config remote.origin.vcs canary", "", false},
    {"Aliases",
     "cd $REPO && for a in add worktree status commit-tree write-tree reset clean; do "
     "git config alias.$a \"!$CANARY\"; done",
     "", false},
    {"SigningProgram",
     "cd $REPO && git config gpg.program $CANARY && git config commit.gpgSign true"
     " && git config user.signingKey x"},
    {"SshSigningProgram",
     "cd $REPO && git config gpg.format ssh && git config gpg.ssh.program $CANARY &&"
     "git config commit.gpgSign true && git config user.signingKey $GITDIR/config"},
    {"PagerAndEditor",
     "cd $REPO && git config core.pager $CANARY && git config core.editor $CANARY &&"
     "git config sequence.editor $CANARY && git config pager.diff $CANARY",
     "", false},
    {"CredentialHelper",
     "cd $REPO && git config credential.helper $CANARY &&"
     "git config core.askPass $CANARY",
     "", false},
    {"AlternateRefsCommand", "git -C $REPO config core.alternateRefsCommand $CANARY", "", false},
    {"CollectingGarbage",
     "cp $CANARY $GITDIR/hooks/pre-auto-gc && cd $REPO &&"
     "git config gc.auto 1 && git config gc.autoDetach false",
     "", false},
    {"WorkTreeElsewhere", "mkdir -p $OUTSIDE && git -C $REPO config core.worktree $OUTSIDE", "",
     false},
    {"SubmoduleWithAPathOut",
     "cd $REPO && printf '[submodule \"../../x\"]\\n path = sub\\n url = ../x\\n update = !%s\\n' "
     "$CANARY > .gitmodules && git update-index --add --cacheinfo "
     "160000,$(git rev-parse HEAD),sub && git add .gitmodules && git commit -qm sub &&"
     "git config submodule.recurse true",
     "", false},
    {"SubmoduleWithACarriageReturn",
     "cd $REPO && printf '[submodule \"s\"]\\n path = \"sub\\r\"\\n url = ./x\\n' > .gitmodules &&"
     "git add .gitmodules && git commit -qm sub && git config submodule.recurse true",
     "", false},
    {"SubmoduleWithItsOwnMonitor", "true",
     "git init -q inner && cd inner && echo x > x && git add x && git commit -qm x &&"
     "git config core.fsmonitor $CANARY && cp $CANARY .git/hooks/post-index-change"},
    {"RepositoryReplacedInTheWorkspace", "true",
     "rm .git && git init -q . && git config core.fsmonitor $CANARY &&"
     "git config filter.x.clean $CANARY && echo '* filter=x' > .gitattributes"},
    {"PointerToAnotherRepository", "true",
     "mkdir -p $OUTSIDE && git init -q --bare $OUTSIDE/r && git -C $OUTSIDE/r config "
     "core.fsmonitor "
     "$CANARY && git -C $OUTSIDE/r config core.bare false && echo gitdir: $OUTSIDE/r > .git"},
    {"BareRepositoryInTheTree", "true",
     "git init -q --bare bare && git -C bare config core.fsmonitor $CANARY &&"
     "git -C bare config core.bare false && git -C bare config core.worktree $PWD/bare",
     false},
    {"LinksOut", "true",
     "mkdir -p $OUTSIDE && echo kept > $OUTSIDE/file && ln -s $OUTSIDE out && rm a.txt &&"
     "ln -s $OUTSIDE/file a.txt && ln -s /etc/shadow shadow",
     false},
    {"LinkInPlaceOfAFolder",
     "cd $REPO && mkdir d && echo x > d/file && git add d && git commit -qm d",
     "mkdir -p $OUTSIDE && echo kept > $OUTSIDE/file && rm -r d && ln -s $OUTSIDE d", false},
    {"AlternatesToNowhere",
     "mkdir -p $GITDIR/objects/info && echo /nowhere/objects > "
     "$GITDIR/objects/info/alternates",
     "", false},
    {"ReplacedCommit",
     "cd $REPO && echo evil > a.txt && git commit -qam evil && git replace HEAD~1 HEAD &&"
     "git reset -q --hard HEAD~1",
     "", false, true},
    {"BrokenRefs",
     "echo garbage > $GITDIR/refs/heads/broken && echo 'ref: ../../../etc/passwd' > "
     "$GITDIR/refs/heads/out && ln -s /etc/passwd $GITDIR/refs/heads/link",
     "", false},
    {"UnknownExtension",
     "cd $REPO && git config core.repositoryFormatVersion 1 &&"
     "git config extensions.canary true",
     "", false, false},
    {"BrokenSettings", "echo '[[[' > $GITDIR/config", "", false, false},
    {"HugeSettings",
     "cd $REPO && for i in $(seq 2000); do printf '[filter \"f%s\"]\\n clean = %s\\n' "
     "$i $CANARY; done >> $GITDIR/config && echo '* filter=f1999' > "
     "$GITDIR/info/attributes"},
};

class HostileTest : public GitFixture, public ::testing::WithParamInterface<Hostile> {
 protected:
  void SetUp() override {
    GitFixture::SetUp();
    // Writable from inside the sandbox too.
    canary_ = git_folder() + "/canary.sh";
    WriteFile(canary_, "#!/bin/sh\necho ran >> " + git_folder() + "/canary-ran\nexit 1\n");
    std::filesystem::permissions(canary_, std::filesystem::perms(0755));
  }
  void Prepare() { Shell("export CANARY=" + canary_ + "\n" + GetParam().repository); }
  void PrepareWorkspace(const std::string& path) {
    Shell("export CANARY=" + canary_ + "\ncd " + path + "\n" + GetParam().workspace);
    // Preparing is done with plain git, which may have run it.
    std::filesystem::remove(git_folder() + "/canary-ran");
  }
  bool CanaryRan() const { return std::filesystem::exists(git_folder() + "/canary-ran"); }

  std::string canary_;
};

// Everything that is done to a workspace in its life.
absl::Status LiveThrough(Workspaces& workspaces, const Workspace& workspace) {
  std::ofstream(workspace.path + "/made") << "by the task\n";
  absl::Status status = workspaces.Checkpoint(workspace, "one").status();
  std::ofstream(workspace.path + "/half") << "done\n";
  status.Update(workspaces.Open(workspace));  // keeps that, and puts back the checkpoint
  status.Update(workspaces.Changes(workspace).status());
  std::filesystem::remove_all(workspace.path);
  status.Update(workspaces.Open(workspace));
  std::ofstream(workspace.path + "/half") << "done again\n";
  status.Update(workspaces.Remove(workspace));
  return status;
}

TEST_P(HostileTest, NothingOfItIsRunAndNothingOutsideIsWritten) {
  Prepare();
  std::filesystem::remove(git_folder() + "/canary-ran");

  const absl::StatusOr<Workspace> workspace = workspaces_->Create("task-1", repository(), "main");
  EXPECT_FALSE(CanaryRan());
  absl::Status lived = workspace.status();
  if (workspace.ok()) {
    PrepareWorkspace(workspace->path);
    lived = LiveThrough(*workspaces_, *workspace);
  }

  EXPECT_FALSE(CanaryRan());
  EXPECT_EQ(lived.ok(), GetParam().usable) << lived;
  EXPECT_THAT(ReadFile(outside() + "/file"), ::testing::AnyOf("", "kept\n"));
  EXPECT_FALSE(std::filesystem::exists(outside() + "/made"));
  EXPECT_FALSE(std::filesystem::exists(outside() + "/a.txt"));
}

INSTANTIATE_TEST_SUITE_P(Repositories, HostileTest, ::testing::ValuesIn(kHostile),
                         [](const auto& info) { return std::string(info.param.name); });

// The same repositories do their worst to a git without our settings: were they harmless, the test
// above would show nothing.
class PlainGitTest : public HostileTest {};

TEST_P(PlainGitTest, RunsTheCanary) {
  Prepare();
  std::filesystem::remove(git_folder() + "/canary-ran");

  Shell("git -C $REPO worktree add -q -b capstan/task-1 $ROOT/task-1 main", true);
  std::filesystem::create_directories(root() + "/task-1");
  const bool ran_at_creation = CanaryRan();
  PrepareWorkspace(root() + "/task-1");
  Shell(
      "cd $ROOT/task-1; echo x > made; echo y >> a.txt; git add -A; git commit -qm x;"
      "echo z >> a.txt; git diff; git status; git checkout -q -f main~0; git maintenance run "
      "--auto;"
      "cd inner && git status",
      true);

  EXPECT_TRUE(ran_at_creation || CanaryRan());
}

std::vector<Hostile> Dangerous() {
  std::vector<Hostile> dangerous;
  for (const Hostile& hostile : kHostile) {
    if (hostile.runs_with_plain_git) dangerous.push_back(hostile);
  }
  return dangerous;
}

INSTANTIATE_TEST_SUITE_P(Repositories, PlainGitTest, ::testing::ValuesIn(Dangerous()),
                         [](const auto& info) { return std::string(info.param.name); });

using RepositoryTest = GitFixture;

TEST_F(RepositoryTest, AReplacedCommitIsNotBelieved) {
  Shell(
      "cd $REPO && echo evil > a.txt && git commit -qam evil && git replace HEAD~1 HEAD &&"
      "GIT_NO_REPLACE_OBJECTS=1 git reset -q --hard HEAD~1");

  EXPECT_EQ(ReadFile(CreateOne().path + "/a.txt"), "one\n");
}

TEST_F(RepositoryTest, AGitFolderThatIsALinkOrAFileIsRefused) {
  Shell(
      "mkdir -p $OUTSIDE/link $OUTSIDE/file && ln -s $GITDIR $OUTSIDE/link/.git &&"
      "echo gitdir: $GITDIR > $OUTSIDE/file/.git && git -C $REPO worktree add -q $OUTSIDE/linked");

  for (const char* name : {"/link", "/file", "/linked"}) {
    EXPECT_THAT(workspaces_->Create("x", outside() + name, "main"),
                StatusIs(absl::StatusCode::kFailedPrecondition));
  }
}

TEST_F(RepositoryTest, ARepositoryThatPointsToAnotherIsRefused) {
  Shell(
      "mkdir -p $OUTSIDE && cp -r $GITDIR $OUTSIDE/other && echo $OUTSIDE/other > "
      "$GITDIR/commondir");

  EXPECT_THAT(workspaces_->Create("x", repository(), "main"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another repository")));
}

TEST_F(RepositoryTest, ObjectsThatLieOutsideAreNotReached) {
  Shell(
      "mkdir -p $OUTSIDE && mv $GITDIR/objects $OUTSIDE/objects && ln -s $OUTSIDE/objects "
      "$GITDIR/objects");

  EXPECT_THAT(workspaces_->Create("x", repository(), "main"), Not(IsOk()));
}

TEST_F(RepositoryTest, FoldersThatLieOutsideAreNotRemoved) {
  Shell(
      "mkdir -p $OUTSIDE/task-1 $OUTSIDE/heads/capstan && echo kept > $OUTSIDE/task-1/file &&"
      "echo kept > $OUTSIDE/heads/capstan/task-1.lock && ln -s $OUTSIDE $GITDIR/worktrees");

  EXPECT_THAT(workspaces_->Create("task-1", repository(), "main"), Not(IsOk()));
  Shell(
      "rm $GITDIR/worktrees && mv $GITDIR/refs/heads $GITDIR/h && ln -s $OUTSIDE/heads "
      "$GITDIR/refs/heads");
  EXPECT_THAT(workspaces_->Create("task-1", repository(), "main"), Not(IsOk()));

  EXPECT_EQ(ReadFile(outside() + "/task-1/file"), "kept\n");
  EXPECT_EQ(ReadFile(outside() + "/heads/capstan/task-1.lock"), "kept\n");
}

TEST_F(RepositoryTest, APipeInPlaceOfAFileHoldsNobody) {
  const Workspace workspace = CreateOne();
  Shell("rm $GITDIR/worktrees/task-1/gitdir && mkfifo $GITDIR/worktrees/task-1/gitdir");

  EXPECT_OK(workspaces_->Open(workspace));
  EXPECT_EQ(ReadFile(workspace.path + "/a.txt"), "one\n");
}

TEST_F(RepositoryTest, RefsThatLieOutsideAreNotWritten) {
  Shell(
      "mkdir -p $OUTSIDE && mv $GITDIR/refs/heads $OUTSIDE/heads && ln -s $OUTSIDE/heads "
      "$GITDIR/refs/heads");

  EXPECT_THAT(workspaces_->Create("x", repository(), "main"), Not(IsOk()));
  EXPECT_FALSE(std::filesystem::exists(outside() + "/heads/capstan"));
}

}  // namespace
}  // namespace capstan::git
