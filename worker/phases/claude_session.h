// The folder that one run of the Claude CLI has as its home, and the session file in it.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace capstan::phases {

// Made new for a run and removed with everything in it when it is destroyed.
class ClaudeHome {
 public:
  // UNAVAILABLE: the folder cannot be made below `scratch`.
  static absl::StatusOr<ClaudeHome> Make(const std::string& scratch);
  ~ClaudeHome();
  ClaudeHome(ClaudeHome&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ClaudeHome& operator=(ClaudeHome&&) = delete;

  const std::string& path() const { return path_; }
  std::string config() const { return path_ + "/.claude"; }

  // Puts the file of an earlier run where the CLI looks for it when it works in `workspace`.
  absl::Status RestoreSession(std::string_view session, std::string_view workspace,
                              std::string_view state) const;

  // The session file, or "" when there is none, it is larger than kMaxSessionStateBytes, or it is
  // not a plain file. Without the totals that the CLI keeps in it: with them the next run would
  // count, and bill against its budget, what this one has spent.
  std::string SaveSession(std::string_view session) const;

 private:
  explicit ClaudeHome(std::string path) : path_(std::move(path)) {}

  std::string path_;  // empty: moved from
};

}  // namespace capstan::phases
