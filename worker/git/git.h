// git on a repository that nobody trusts: neither its files nor its configuration nor its hooks.
// Every command runs in a sandbox without a network that reaches the repository and one workspace
// alone, without the settings of the machine and of the user, with every setting that names a
// program answered by one that names none, and with the repository named outright: nothing is
// looked for.
#pragma once

#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/process/process.h"

namespace capstan::git {

// The folder that holds a repository's objects: `path` itself when it is bare, its .git otherwise.
// NOT_FOUND: no repository is there. FAILED_PRECONDITION: its .git is a link or a file, or it
// belongs to another repository; name the repository itself.
absl::StatusOr<std::string> FindGitFolder(const std::string& path);

// A few commands on one repository, for one operation. Not thread-safe.
class Git {
 public:
  struct Place {
    std::string git_folder;    // of the repository
    std::string work_folder;   // a workspace; empty: none is reached
    std::string admin_folder;  // of the workspace, in git_folder; empty: git_folder itself
  };

  // Reads the repository's settings, to answer them. `runner` must outlive it. UNAVAILABLE: the
  // command was stopped or ran too long. FAILED_PRECONDITION: the settings include other files: put
  // them into one. INTERNAL: it failed; the message is git's.
  static absl::StatusOr<Git> Open(process::Runner& runner, Place place, absl::Duration timeout,
                                  std::stop_token stop);

  // The same repository, and this workspace.
  Git WithFiles(const std::string& work_folder) const;

  // One command and its output. `extra`: more variables. Errors as above; RESOURCE_EXHAUSTED: more
  // output than 16 MiB, or no room on the disk.
  absl::StatusOr<std::string> Run(const std::vector<std::string>& arguments,
                                  const std::map<std::string, std::string>& extra = {},
                                  std::string input = {});

 private:
  Git(process::Runner& runner, Place place, absl::Duration timeout, std::stop_token stop);
  void Answer(std::string_view key, std::string_view value);

  process::Runner* runner_;
  Place place_;
  absl::Duration timeout_;
  std::stop_token stop_;
  std::map<std::string, std::string> environment_;
  int answers_ = 0;
};

}  // namespace capstan::git
