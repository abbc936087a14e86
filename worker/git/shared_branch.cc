#include "worker/git/shared_branch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/git/names.h"

namespace capstan::git {
namespace {

constexpr int kLockTries = 100;
constexpr int kPauseMillis = 50;

// Where the branch is checked out beside `path`; empty: nowhere.
std::string CheckedOutAt(absl::string_view list, const std::string& ref, const std::string& path) {
  std::string folder;
  bool bare = false;  // its HEAD says only which branch a clone begins with
  for (absl::string_view line : absl::StrSplit(list, '\0')) {
    if (absl::ConsumePrefix(&line, "worktree ")) {
      folder = std::string(line);
      bare = false;
    } else if (line == "bare") {
      bare = true;
    } else if (absl::ConsumePrefix(&line, "branch ") && line == ref && !bare && folder != path) {
      return folder;
    }
  }
  return "";
}

// The commit of a ref; empty: there is none.
std::string CommitOf(Git& git, const std::string& ref) {
  std::string id = git.Run({"rev-parse", "--quiet", "--verify", ref + "^{commit}"}).value_or("");
  absl::StripTrailingAsciiWhitespace(&id);
  return IsCommitId(id) ? id : "";
}

}  // namespace

absl::StatusOr<process::Fd> LockBranches(const std::string& git_folder,
                                         const std::stop_token& stop) {
  process::Fd folder(open(git_folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder.valid()) return absl::ErrnoToStatus(errno, git_folder);
  for (int left = kLockTries; left > 0 && !stop.stop_requested(); --left) {
    if (flock(folder.get(), LOCK_EX | LOCK_NB) == 0) return folder;
    if (errno != EWOULDBLOCK && errno != EINTR) return absl::ErrnoToStatus(errno, git_folder);
    poll(nullptr, 0, kPauseMillis);
  }
  return absl::UnavailableError(Cat(git_folder, ": another workspace takes a branch of it"));
}

absl::Status CheckFree(Git& git, const std::string& name, const std::string& path) {
  const std::string ref = "refs/heads/" + name;
  if (git.Run({"symbolic-ref", "--quiet", ref}).ok()) {
    return absl::FailedPreconditionError(
        Cat("branch ", name, ": is only another name of a branch; name that one"));
  }
  if (CommitOf(git, ref).empty()) return absl::NotFoundError(Cat("branch ", name, ": not there"));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string list,
                           git.Run({"worktree", "list", "--porcelain", "-z"}));
  const std::string elsewhere = CheckedOutAt(list, ref, path);
  if (elsewhere.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Cat("branch ", name, ": is checked out in ", elsewhere,
          "; a task can work on a branch that nobody else works on"));
}

absl::Status MoveBranch(Git& git, const std::string& name, const std::string& ours,
                        const std::string& from, const std::string& to) {
  const std::string ref = "refs/heads/" + name;
  const absl::Status moved =
      git.Run({"update-ref", "--no-deref", "--stdin"}, {},
              Cat("update ", ref, " ", to, " ", from, "\nupdate ", ours, " ", to, " ", from, "\n"))
          .status();
  if (moved.ok()) return moved;
  const std::string there = CommitOf(git, ref);
  if (there == from) return moved;  // something else is wrong
  // It was moved, and not heard of.
  if (there == to) return git.Run({"update-ref", ours, to}).status();
  return absl::FailedPreconditionError(Cat("branch ", name, ": somebody else moved it from ", from,
                                           " to ", there.empty() ? "nowhere" : there,
                                           ", so the work was not put on it"));
}

}  // namespace capstan::git
