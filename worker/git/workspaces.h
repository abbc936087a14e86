// The folders in which tasks change a repository: one git worktree for each execution, on a branch
// of its own, or on a branch of the repository that nobody else works on meanwhile. Nothing that
// was done in one is ever thrown away: what is not on the branch yet is kept under
// refs/capstan/<id>/wip-<n> before anything is put back or removed. Two kinds of files are not
// git's to keep: those that the repository ignores, and the inside of another repository that was
// made in the workspace; they stay in the folder until it is removed.
//
// In the repository, for an execution <id>:
//   refs/heads/capstan/<id>        the task branch; its tip is the last checkpoint
//   refs/capstan/<id>/base         where it began
//   refs/capstan/<id>/wip-<n>      work that no checkpoint has, n from 1
// On a branch of the repository, instead of the first:
//   refs/capstan/<id>/head         the last checkpoint that is on the branch
//   refs/capstan/<id>/next         the last one that was made, on the branch or not
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/process/process.h"

namespace capstan::git {

// What the caller records when it was created, and gives back word for word: no path is made anew
// from an id.
struct Workspace {
  std::string id;           // of the execution
  std::string repository;   // as given
  std::string path;         // of the workspace
  std::string branch;       // capstan/<id>, or one of the repository
  std::string base_commit;  // where the branch began
};

struct FileChange {
  std::string path;
  std::int64_t added = 0;  // lines; 0 for a file that is not text
  std::int64_t removed = 0;
};

struct Diffstat {
  std::vector<FileChange> files;  // the first 10,000
  std::int64_t file_count = 0;
  std::int64_t added = 0;
  std::int64_t removed = 0;
};

struct WorkspacesOptions {
  std::string root;  // a folder of ours alone, real path; workspaces are folders right in it
  absl::Duration timeout = absl::Minutes(10);  // of one git command
};

// Thread-safe; one workspace is used by one caller at a time, who holds its execution. Errors of
// all: INVALID_ARGUMENT: a name or path is not one of ours; nothing was touched. NOT_FOUND and
// FAILED_PRECONDITION as FindGitFolder. UNAVAILABLE: stopped or too slow; try again. INTERNAL: git
// failed; the message says how.
class Workspaces {
 public:
  // `runner` must outlive it.
  Workspaces(process::Runner& runner, WorkspacesOptions options);

  // A new workspace at the commit that `base` names. Again for the same id: what is there is
  // opened, with its first base. NOT_FOUND: no such base.
  absl::StatusOr<Workspace> Create(std::string_view id, const std::string& repository,
                                   std::string_view base, std::stop_token stop = {});
  // A new workspace on `branch` itself: its checkpoints go there. Again for the same id: what is
  // there is opened. NOT_FOUND: no such branch. FAILED_PRECONDITION: it is checked out somewhere
  // else, or is only another name of a branch.
  absl::StatusOr<Workspace> CreateOnBranch(std::string_view id, const std::string& repository,
                                           const std::string& branch, std::stop_token stop = {});
  // The same in a repository of its own that holds nothing, below the root.
  absl::StatusOr<Workspace> CreateEmpty(std::string_view id, std::stop_token stop = {});

  // Ready for work from the last checkpoint, after whatever happened: the folder is made anew when
  // it is gone; what lies in it is kept first, as by PreserveWork. NOT_FOUND: the branch is gone.
  // FAILED_PRECONDITION: a branch of the repository was moved by somebody else, or is checked out
  // somewhere else by now.
  // `kept`: a ref of unfinished work of it (PreserveWork), whose files are put on top; empty: none.
  absl::Status Open(const Workspace& workspace, std::string_view kept = {},
                    std::stop_token stop = {});

  // Names the files that are not ignored, as they are: the same for the same.
  absl::StatusOr<std::string> Fingerprint(const Workspace& workspace, std::stop_token stop = {});

  // Commits everything that is not ignored to the branch; the id of its tip. Without a change that
  // is the checkpoint before. FAILED_PRECONDITION: somebody else moved a branch of the repository;
  // the commit is kept as refs/capstan/<id>/next.
  absl::StatusOr<std::string> Checkpoint(const Workspace& workspace, std::string_view message,
                                         std::stop_token stop = {});

  // Keeps what differs from the last checkpoint; the name of the ref, or none when nothing does.
  // Leaves the files as they are.
  absl::StatusOr<std::optional<std::string>> PreserveWork(const Workspace& workspace,
                                                          std::stop_token stop = {});

  // From the base to the last checkpoint.
  absl::StatusOr<Diffstat> Changes(const Workspace& workspace, std::stop_token stop = {});

  // Keeps its work, and removes the folder at the recorded path. The branch stays. OK when the
  // folder is gone already.
  absl::Status Remove(const Workspace& workspace, std::stop_token stop = {});

  // Keeps its work, and leaves the folder. A branch of the repository is not checked out there any
  // more: others may work on it.
  absl::Status Leave(const Workspace& workspace, std::stop_token stop = {});

  // The folders that are there. One that nobody has recorded is an orphan.
  absl::StatusOr<std::vector<std::string>> List() const;

 private:
  process::Runner& runner_;
  const WorkspacesOptions options_;
};

}  // namespace capstan::git
