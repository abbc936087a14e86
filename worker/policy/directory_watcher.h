// Wakes when something in a policy directory may have changed: inotify on the directory and on each
// folder in it, with a deadline, so that a file system without events is still looked at.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace capstan::policy {

// One thread calls Arm() and Wait(); any thread may call Wake().
class DirectoryWatcher {
 public:
  explicit DirectoryWatcher(std::string directory);
  ~DirectoryWatcher();
  DirectoryWatcher(const DirectoryWatcher&) = delete;
  DirectoryWatcher& operator=(const DirectoryWatcher&) = delete;

  // Watches the directory as it is now. Read the directory after this, then Wait(): no change is
  // lost in between. Returns false when the directory itself cannot be watched; Wait() then only
  // ends by its deadline or Wake().
  bool Arm();

  // Returns after a change since Arm() and the quiet that follows it, at the deadline, or on
  // Wake().
  void Wait(absl::Duration longest);

  // Ends the current Wait(), or the next one.
  void Wake();

 private:
  const std::string directory_;
  const int wake_fd_;
  int inotify_fd_ = -1;
};

}  // namespace capstan::policy
