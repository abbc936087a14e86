#include "worker/git/workspaces.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/git/beneath.h"
#include "worker/git/git.h"
#include "worker/git/names.h"
#include "worker/git/shared_branch.h"

namespace capstan::git {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostFiles = 10'000;
constexpr size_t kMostFolders = 100'000;
constexpr size_t kMostOfMessage = 4000;
// In the root: of tasks that brought none. No workspace begins with a dot.
constexpr char kRepositories[] = ".repositories";
constexpr int kMostWorkInProgress = 10'000;
// A lock of a branch that is older was left by a git that was killed: they are held for moments.
constexpr absl::Duration kForgottenLock = absl::Minutes(1);

std::string OwnBranch(std::string_view id) { return Cat("capstan/", id); }
// Otherwise it is one of the repository, which others know.
bool HasOwnBranch(const Workspace& workspace) {
  return workspace.branch == OwnBranch(workspace.id);
}
std::string BranchRef(const Workspace& workspace) { return "refs/heads/" + workspace.branch; }
std::string OwnRef(const Workspace& workspace, std::string_view name) {
  return Cat("refs/capstan/", workspace.id, "/", name);
}

bool IsFolder(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

absl::Status Failed(const std::string& path, const std::error_code& error) {
  const std::string text = Cat(path, ": ", error.message());
  const bool no_room = error == std::errc::no_space_on_device || error.value() == EDQUOT;
  return no_room ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

std::string Trimmed(std::string text) {
  absl::StripTrailingAsciiWhitespace(&text);
  return text;
}

struct Revision {
  std::string commit;
  std::string tree;
};

// One workspace while something is done to it.
class Desk {
 public:
  static absl::StatusOr<Desk> Make(process::Runner& runner, const WorkspacesOptions& options,
                                   const Workspace& workspace, std::stop_token stop);

  // The last checkpoint.
  absl::StatusOr<Revision> Tip() {
    return Find(HasOwnBranch(workspace_) ? BranchRef(workspace_) : OwnRef(workspace_, "head"));
  }
  absl::StatusOr<Revision> Find(const std::string& name);
  Git& git() { return *git_; }
  // With the settings and the index of the workspace.
  absl::StatusOr<Git> OwnGit() const;

  absl::Status MakeFolder(const std::string& start, bool new_branch);
  absl::Status MakeReady(const Revision& tip);
  // The same on a branch of the repository. `found`: it has a base already.
  absl::Status MakeReadyOnBranch(bool found);
  // A checkpoint was made.
  absl::Status Advance(const std::string& from, const std::string& to);
  absl::Status LeaveBranch(const Revision& tip);
  absl::Status RemoveFolder();
  absl::StatusOr<std::optional<std::string>> Preserve(const Revision& tip);
  absl::Status Restore(std::string_view kept);
  // Everything that is not ignored, as it is in the folder.
  absl::StatusOr<std::string> WorkTree(const Revision& tip);
  absl::StatusOr<std::string> CommitTree(Git& git, const std::string& tree,
                                         const std::string& parent, std::string_view message);
  absl::Status AddEverything(Git& git, const std::map<std::string, std::string>& extra);

  bool HasFolder() const { return IsFolder(workspace_.path); }
  bool HasAdmin() const;

 private:
  Desk(process::Runner& runner, const WorkspacesOptions& options, const Workspace& workspace,
       std::stop_token stop)
      : runner_(runner), options_(options), workspace_(workspace), stop_(std::move(stop)) {}
  absl::Status PutBack();
  absl::Status RemoveLocks() const;
  std::string PrivateIndex() const { return "capstan-index-" + workspace_.id; }
  absl::Status RemoveAdmin() const;
  absl::StatusOr<std::string> NewWorkRef(Git& git);

  process::Runner& runner_;
  const WorkspacesOptions& options_;
  const Workspace& workspace_;
  std::stop_token stop_;
  std::string git_folder_;
  std::string admin_;       // below git_folder_: what the repository knows of the workspace
  std::optional<Git> git_;  // without the files
};

absl::Status CheckWorkspace(const WorkspacesOptions& options, const Workspace& workspace) {
  CAPSTAN_RETURN_IF_ERROR(CheckId(workspace.id));
  CAPSTAN_RETURN_IF_ERROR(CheckPath("repository", workspace.repository));
  CAPSTAN_RETURN_IF_ERROR(CheckPath("workspace", workspace.path));
  CAPSTAN_RETURN_IF_ERROR(CheckBranch(workspace.branch));
  const fs::path path(workspace.path);
  if (path.parent_path() != fs::path(options.root) || path.filename().empty() ||
      path.filename().native()[0] == '.')
    return absl::InvalidArgumentError(
        Cat("workspace: got ", workspace.path, ", want a folder right in ", options.root));
  return absl::OkStatus();
}

absl::StatusOr<Desk> Desk::Make(process::Runner& runner, const WorkspacesOptions& options,
                                const Workspace& workspace, std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(CheckWorkspace(options, workspace));
  struct stat status{};
  if (lstat(workspace.path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode))
    return absl::InvalidArgumentError(workspace.path + ": got no folder, want one");
  Desk desk(runner, options, workspace, std::move(stop));
  CAPSTAN_ASSIGN_OR_RETURN(desk.git_folder_, FindGitFolder(workspace.repository));
  desk.admin_ = Cat("worktrees/", fs::path(workspace.path).filename().native());
  CAPSTAN_RETURN_IF_ERROR(desk.RemoveLocks());
  CAPSTAN_ASSIGN_OR_RETURN(
      desk.git_, Git::Open(runner, {desk.git_folder_, "", ""}, options.timeout, desk.stop_));
  return desk;
}

// A git that was killed leaves its locks. The holder of the execution is alone in this workspace,
// but not on a branch of the repository.
absl::Status Desk::RemoveLocks() const {
  for (const std::string& path :
       {admin_ + "/index.lock", admin_ + "/HEAD.lock", OwnRef(workspace_, "base.lock"),
        OwnRef(workspace_, "head.lock"), OwnRef(workspace_, "next.lock"), PrivateIndex() + ".lock"})
    CAPSTAN_RETURN_IF_ERROR(RemoveBeneath(git_folder_, path));
  const std::string branch = BranchRef(workspace_) + ".lock";
  const bool ours = HasOwnBranch(workspace_) ||
                    absl::Now() - WrittenBeneath(git_folder_, branch) > kForgottenLock;
  return ours ? RemoveBeneath(git_folder_, branch) : absl::OkStatus();
}

bool Desk::HasAdmin() const {
  return FirstLineBeneath(git_folder_, admin_ + "/gitdir") == workspace_.path + "/.git";
}

absl::StatusOr<Git> Desk::OwnGit() const {
  return Git::Open(runner_, {git_folder_, workspace_.path, Cat(git_folder_, "/", admin_)},
                   options_.timeout, stop_);
}

absl::StatusOr<Revision> Desk::Find(const std::string& name) {
  const absl::StatusOr<std::string> found =
      git_->Run({"rev-parse", "--quiet", name + "^{commit}", name + "^{tree}"});
  if (absl::IsUnavailable(found.status())) return found.status();
  const std::vector<std::string> ids = absl::StrSplit(Trimmed(found.value_or("")), '\n');
  if (ids.size() == 2 && IsCommitId(ids[0]) && IsCommitId(ids[1])) return Revision{ids[0], ids[1]};
  return absl::NotFoundError(Cat(workspace_.repository, ": no commit ", name));
}

// ---- the folder --------------------------------------------------------------------------------

// `start` is a commit for a new branch. The folder is made here, since git sees only this one.
absl::Status Desk::MakeFolder(const std::string& start, bool new_branch) {
  CAPSTAN_RETURN_IF_ERROR(RemoveAdmin());
  std::error_code error;
  fs::create_directories(workspace_.path, error);
  if (error) return Failed(workspace_.path, error);
  std::vector<std::string> arguments = {"worktree", "add",      "--quiet", "--force",
                                        "--lock",   "--reason", "capstan"};
  if (new_branch) arguments.insert(arguments.end(), {"--no-track", "-b", workspace_.branch});
  arguments.insert(arguments.end(), {"--", workspace_.path, start});
  CAPSTAN_RETURN_IF_ERROR(git_->WithFiles(workspace_.path).Run(arguments).status());
  return HasAdmin() ? absl::OkStatus()
                    : absl::InternalError(Cat(git_folder_, ": git made no ", admin_));
}

// Files that the last checkpoint does not have go, those of it come back.
absl::Status Desk::PutBack() {
  CAPSTAN_ASSIGN_OR_RETURN(Git git, OwnGit());
  CAPSTAN_RETURN_IF_ERROR(git.Run({"symbolic-ref", "HEAD", BranchRef(workspace_)}).status());
  CAPSTAN_RETURN_IF_ERROR(git.Run({"reset", "--hard", "--quiet"}).status());
  return git.Run({"clean", "-f", "-d", "--quiet"}).status();
}

// The files of unfinished work, on top of the last checkpoint.
absl::Status Desk::Restore(std::string_view kept) {
  const std::string prefix = OwnRef(workspace_, "wip-");
  if (kept.substr(0, prefix.size()) != prefix || !CheckRef(kept).ok()) {
    return absl::InvalidArgumentError(
        Cat("kept: got ", std::string(kept), ", want ", prefix, "<n>"));
  }
  CAPSTAN_ASSIGN_OR_RETURN(Git git, OwnGit());
  CAPSTAN_RETURN_IF_ERROR(
      git.Run({"read-tree", "--reset", "-u", Cat(std::string(kept), "^{tree}")}).status());
  return git.Run({"reset", "--quiet"}).status();
}

absl::Status Desk::MakeReady(const Revision& tip) {
  if (HasFolder()) {
    CAPSTAN_RETURN_IF_ERROR(Preserve(tip).status());
    if (HasAdmin()) return PutBack();
    CAPSTAN_RETURN_IF_ERROR(RemoveFolder());
  }
  return MakeFolder(workspace_.branch, false);
}

absl::Status Desk::MakeReadyOnBranch(bool found) {
  CAPSTAN_ASSIGN_OR_RETURN(const process::Fd lock, LockBranches(git_folder_, stop_));
  CAPSTAN_RETURN_IF_ERROR(CheckFree(*git_, workspace_.branch, workspace_.path));
  CAPSTAN_ASSIGN_OR_RETURN(const Revision there, Find(BranchRef(workspace_)));
  if (!found) {
    for (const char* name : {"head", "base"})  // the base last: then it is found
      CAPSTAN_RETURN_IF_ERROR(
          git_->Run({"update-ref", OwnRef(workspace_, name), there.commit}).status());
  }
  CAPSTAN_ASSIGN_OR_RETURN(Revision tip, Tip());
  const absl::StatusOr<Revision> next = Find(OwnRef(workspace_, "next"));
  if (there.commit != tip.commit && next.ok() && next->commit == there.commit) {
    // Whoever put it there was lost before they had taken note of it.
    CAPSTAN_RETURN_IF_ERROR(
        git_->Run({"update-ref", OwnRef(workspace_, "head"), there.commit, tip.commit}).status());
    tip = there;
  }
  if (there.commit == tip.commit) return MakeReady(tip);
  if (HasFolder()) CAPSTAN_RETURN_IF_ERROR(Preserve(tip).status());
  return absl::FailedPreconditionError(Cat("branch ", workspace_.branch,
                                           ": somebody else moved it from ", tip.commit, " to ",
                                           there.commit));
}

absl::Status Desk::Advance(const std::string& from, const std::string& to) {
  if (HasOwnBranch(workspace_))
    return git_->Run({"update-ref", BranchRef(workspace_), to, from}).status();
  CAPSTAN_RETURN_IF_ERROR(git_->Run({"update-ref", OwnRef(workspace_, "next"), to}).status());
  const absl::Status moved =
      MoveBranch(*git_, workspace_.branch, OwnRef(workspace_, "head"), from, to);
  if (!absl::IsFailedPrecondition(moved)) return moved;
  return Annotate(moved, Cat("kept as ", OwnRef(workspace_, "next")));
}

absl::Status Desk::LeaveBranch(const Revision& tip) {
  if (HasOwnBranch(workspace_) || !HasAdmin()) return absl::OkStatus();
  CAPSTAN_ASSIGN_OR_RETURN(Git git, OwnGit());
  return git.Run({"update-ref", "--no-deref", "HEAD", tip.commit}).status();
}

absl::Status Desk::RemoveAdmin() const {
  const std::string of = FirstLineBeneath(git_folder_, admin_ + "/gitdir");
  if (!of.empty() && of != workspace_.path + "/.git")
    return absl::InvalidArgumentError(Cat(git_folder_, "/", admin_, ": belongs to ", of));
  return RemoveBeneath(git_folder_, admin_);
}

absl::Status Desk::RemoveFolder() {
  std::error_code error;
  fs::remove_all(workspace_.path, error);  // follows no link
  if (error) return Failed(workspace_.path, error);
  return RemoveAdmin();
}

// ---- commits -----------------------------------------------------------------------------------

// git passes over a folder that it may not read, and says no more than that.
absl::Status MakeReadable(const std::string& folder) {
  constexpr auto kFolder = fs::perms::owner_all;
  constexpr auto kFile = fs::perms::owner_read;
  std::error_code error;
  fs::permissions(folder, kFolder, fs::perm_options::add, error);
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status(error);
    if (error) break;
    const bool is_folder = status.type() == fs::file_type::directory;
    if (!is_folder && status.type() != fs::file_type::regular) continue;
    const fs::perms wanted = is_folder ? kFolder : kFile;
    if ((status.permissions() & wanted) == wanted) continue;
    fs::permissions(entry->path(), wanted, fs::perm_options::add, error);
    if (error) break;
  }
  return error ? Failed(folder, error) : absl::OkStatus();
}

// A repository without a commit in the workspace cannot be added, and is nobody's work yet.
bool OnlyEmptyRepositories(const absl::Status& status) {
  return absl::StrContains(status.message(), "does not have a commit checked out");
}

absl::Status Desk::AddEverything(Git& git, const std::map<std::string, std::string>& extra) {
  const std::vector<std::string> add = {"add", "--all", "--ignore-errors", "--", "."};
  CAPSTAN_RETURN_IF_ERROR(MakeReadable(workspace_.path));
  const absl::Status added = git.Run(add, extra).status();
  return OnlyEmptyRepositories(added) ? absl::OkStatus() : added;
}

absl::StatusOr<std::string> Desk::CommitTree(Git& git, const std::string& tree,
                                             const std::string& parent, std::string_view message) {
  std::string text(message.substr(0, kMostOfMessage));
  if (text.empty()) text = "checkpoint";
  CAPSTAN_ASSIGN_OR_RETURN(const std::string commit,
                           git.Run({"commit-tree", "-p", parent, "-m", text, tree}));
  return Trimmed(commit);
}

absl::StatusOr<std::string> Desk::NewWorkRef(Git& git) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string list, git.Run({"for-each-ref", "--format=%(refname)",
                                                            OwnRef(workspace_, "")}));
  int last = 0;
  for (absl::string_view line : absl::StrSplit(list, '\n')) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, "/wip-");
    int number = 0;
    if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &number)) last = std::max(last, number);
  }
  if (last >= kMostWorkInProgress)
    return absl::ResourceExhaustedError(Cat(workspace_.id, ": ", last, " refs of unfinished work"));
  return OwnRef(workspace_, Cat("wip-", last + 1));
}

// With an index of its own: neither that of the workspace nor its folder in the repository need be
// whole.
absl::StatusOr<std::string> Desk::WorkTree(const Revision& tip) {
  Git git = git_->WithFiles(workspace_.path);
  const std::map<std::string, std::string> index = {
      {"GIT_INDEX_FILE", Cat(git_folder_, "/", PrivateIndex())}};
  CAPSTAN_RETURN_IF_ERROR(git.Run({"read-tree", tip.commit}, index).status());
  const absl::Status added = AddEverything(git, index);
  absl::StatusOr<std::string> tree = git.Run({"write-tree"}, index);
  CAPSTAN_RETURN_IF_ERROR(RemoveBeneath(git_folder_, PrivateIndex()));
  CAPSTAN_RETURN_IF_ERROR(added);
  CAPSTAN_RETURN_IF_ERROR(tree.status());
  return Trimmed(*std::move(tree));
}

absl::StatusOr<std::optional<std::string>> Desk::Preserve(const Revision& tip) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string tree, WorkTree(tip));
  if (tree == tip.tree) return std::nullopt;
  Git git = git_->WithFiles(workspace_.path);
  CAPSTAN_ASSIGN_OR_RETURN(
      const std::string commit,
      CommitTree(git, tree, tip.commit, Cat("Unfinished work of ", workspace_.id)));
  CAPSTAN_ASSIGN_OR_RETURN(std::string ref, NewWorkRef(git));
  CAPSTAN_RETURN_IF_ERROR(git.Run({"update-ref", ref, commit, ""}).status());
  return ref;
}

Workspace Named(const WorkspacesOptions& options, std::string_view id,
                const std::string& repository) {
  Workspace workspace;
  workspace.id = std::string(id);
  workspace.repository = repository;
  workspace.path = Cat(options.root, "/", id);
  workspace.branch = OwnBranch(id);
  return workspace;
}

// What `git init --bare` makes, as far as git needs it.
absl::Status MakeEmptyRepository(const std::string& path) {
  std::error_code error;
  fs::create_directories(path + "/objects", error);
  if (!error) fs::create_directories(path + "/refs/heads", error);
  if (error) return Failed(path, error);
  std::ofstream(path + "/config") << "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
  std::ofstream head(path + "/HEAD");
  head << "ref: refs/heads/main\n";
  return head.flush() ? absl::OkStatus() : absl::InternalError(path + ": cannot be written");
}

// Number and path of one record of `diff-tree --numstat -z`.
absl::StatusOr<FileChange> ReadChange(absl::string_view record) {
  const std::vector<absl::string_view> parts = absl::StrSplit(record, absl::MaxSplits('\t', 2));
  if (parts.size() != 3) return absl::InternalError("git diff-tree: got a line of another form");
  FileChange change;
  change.path = std::string(parts[2]);
  (void)absl::SimpleAtoi(parts[0], &change.added);  // "-" for what is not text
  (void)absl::SimpleAtoi(parts[1], &change.removed);
  return change;
}

}  // namespace

Workspaces::Workspaces(process::Runner& runner, WorkspacesOptions options)
    : runner_(runner), options_(std::move(options)) {}

absl::StatusOr<Workspace> Workspaces::Create(std::string_view id, const std::string& repository,
                                             std::string_view base, std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(CheckId(id));
  CAPSTAN_RETURN_IF_ERROR(CheckRef(base));
  Workspace workspace = Named(options_, id, repository);
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  absl::StatusOr<Revision> begun = desk.Find(OwnRef(workspace, "base"));
  if (!begun.ok() && !absl::IsNotFound(begun.status())) return begun.status();
  if (!begun.ok()) {
    CAPSTAN_ASSIGN_OR_RETURN(begun, desk.Find(std::string(base)));
    CAPSTAN_RETURN_IF_ERROR(
        desk.git().Run({"update-ref", OwnRef(workspace, "base"), begun->commit, ""}).status());
  }
  workspace.base_commit = begun->commit;
  const absl::StatusOr<Revision> tip = desk.Tip();
  if (!tip.ok() && !absl::IsNotFound(tip.status())) return tip.status();
  CAPSTAN_RETURN_IF_ERROR(tip.ok() ? desk.MakeReady(*tip)
                                   : desk.MakeFolder(workspace.base_commit, true));
  return workspace;
}

absl::StatusOr<Workspace> Workspaces::CreateOnBranch(std::string_view id,
                                                     const std::string& repository,
                                                     const std::string& branch,
                                                     std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(CheckId(id));
  Workspace workspace = Named(options_, id, repository);
  workspace.branch = branch;
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  const absl::StatusOr<Revision> begun = desk.Find(OwnRef(workspace, "base"));
  if (!begun.ok() && !absl::IsNotFound(begun.status())) return begun.status();
  CAPSTAN_RETURN_IF_ERROR(desk.MakeReadyOnBranch(begun.ok()));
  CAPSTAN_ASSIGN_OR_RETURN(const Revision base, desk.Find(OwnRef(workspace, "base")));
  workspace.base_commit = base.commit;
  return workspace;
}

absl::StatusOr<Workspace> Workspaces::CreateEmpty(std::string_view id, std::stop_token stop) {
  CAPSTAN_RETURN_IF_ERROR(CheckId(id));
  const std::string repository = Cat(options_.root, "/", kRepositories, "/", id);
  if (!IsFolder(repository + "/refs/heads"))
    CAPSTAN_RETURN_IF_ERROR(MakeEmptyRepository(repository));
  const Workspace workspace = Named(options_, id, repository);
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, stop));
  if (!desk.Find("refs/heads/main").ok()) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::string tree, desk.git().Run({"mktree"}));
    CAPSTAN_ASSIGN_OR_RETURN(const std::string commit,
                             desk.git().Run({"commit-tree", "-m", "Empty", Trimmed(tree)}));
    CAPSTAN_RETURN_IF_ERROR(
        desk.git().Run({"update-ref", "refs/heads/main", Trimmed(commit), ""}).status());
  }
  return Create(id, repository, "main", std::move(stop));
}

absl::Status Workspaces::Open(const Workspace& workspace, std::string_view kept,
                              std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
  CAPSTAN_RETURN_IF_ERROR(HasOwnBranch(workspace) ? desk.MakeReady(tip)
                                                  : desk.MakeReadyOnBranch(true));
  return kept.empty() ? absl::OkStatus() : desk.Restore(kept);
}

absl::StatusOr<std::string> Workspaces::Fingerprint(const Workspace& workspace,
                                                    std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  if (!desk.HasFolder()) return absl::FailedPreconditionError(workspace.path + ": is not there");
  CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
  return desk.WorkTree(tip);
}

absl::StatusOr<std::string> Workspaces::Checkpoint(const Workspace& workspace,
                                                   std::string_view message, std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  if (!desk.HasFolder() || !desk.HasAdmin())
    return absl::FailedPreconditionError(workspace.path + ": is not there; open it");
  CAPSTAN_ASSIGN_OR_RETURN(Revision tip, desk.Tip());
  CAPSTAN_ASSIGN_OR_RETURN(Git git, desk.OwnGit());
  CAPSTAN_RETURN_IF_ERROR(desk.AddEverything(git, {}));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string tree, git.Run({"write-tree"}));
  if (Trimmed(tree) == tip.tree) return std::move(tip.commit);
  CAPSTAN_ASSIGN_OR_RETURN(std::string commit,
                           desk.CommitTree(git, Trimmed(tree), tip.commit, message));
  CAPSTAN_RETURN_IF_ERROR(desk.Advance(tip.commit, commit));
  return commit;
}

absl::StatusOr<std::optional<std::string>> Workspaces::PreserveWork(const Workspace& workspace,
                                                                    std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  if (!desk.HasFolder()) return std::nullopt;
  CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
  return desk.Preserve(tip);
}

absl::StatusOr<Diffstat> Workspaces::Changes(const Workspace& workspace, std::stop_token stop) {
  if (!IsCommitId(workspace.base_commit))
    return absl::InvalidArgumentError("base_commit: got no commit id, want one");
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
  CAPSTAN_ASSIGN_OR_RETURN(
      const std::string text,
      desk.git().Run({"diff-tree", "-r", "--numstat", "-z", "--no-renames", "--no-ext-diff",
                      "--no-textconv", "--ignore-submodules=none", workspace.base_commit,
                      tip.commit}));
  Diffstat stat;
  for (absl::string_view record : absl::StrSplit(text, '\0', absl::SkipEmpty())) {
    CAPSTAN_ASSIGN_OR_RETURN(FileChange change, ReadChange(record));
    ++stat.file_count;
    stat.added += change.added;
    stat.removed += change.removed;
    if (stat.files.size() < kMostFiles) stat.files.push_back(std::move(change));
  }
  return stat;
}

absl::Status Workspaces::Remove(const Workspace& workspace, std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  if (desk.HasFolder()) {
    CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
    CAPSTAN_RETURN_IF_ERROR(desk.Preserve(tip).status());
  }
  return desk.RemoveFolder();
}

absl::Status Workspaces::Leave(const Workspace& workspace, std::stop_token stop) {
  CAPSTAN_ASSIGN_OR_RETURN(Desk desk, Desk::Make(runner_, options_, workspace, std::move(stop)));
  if (!desk.HasFolder()) return absl::OkStatus();
  CAPSTAN_ASSIGN_OR_RETURN(const Revision tip, desk.Tip());
  CAPSTAN_RETURN_IF_ERROR(desk.Preserve(tip).status());
  return desk.LeaveBranch(tip);
}

absl::StatusOr<std::vector<std::string>> Workspaces::List() const {
  std::vector<std::string> paths;
  std::error_code error;
  fs::directory_iterator entry(options_.root, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (paths.size() == kMostFolders)
      return absl::ResourceExhaustedError(Cat(options_.root, ": more than ", kMostFolders));
    if (entry->path().filename().native()[0] == '.') continue;  // not a workspace
    if (IsFolder(entry->path())) paths.push_back(entry->path());
  }
  if (error) return Failed(options_.root, error);
  return paths;
}

}  // namespace capstan::git
