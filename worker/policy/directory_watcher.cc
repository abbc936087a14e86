#include "worker/policy/directory_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/time/clock.h"
#include "core/status_macros.h"

namespace capstan::policy {
namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                  IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
// A writer that touches many files is let finish; one that never stops is looked at anyway.
constexpr absl::Duration kQuiet = absl::Milliseconds(50);
constexpr absl::Duration kLongestStorm = absl::Seconds(1);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::max<std::int64_t>(0, absl::ToInt64Milliseconds(duration)));
}

void Drain(int fd) {
  char events[4096];
  while (read(fd, events, sizeof(events)) > 0) {
  }
}

}  // namespace

DirectoryWatcher::DirectoryWatcher(std::string directory)
    : directory_(std::move(directory)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CAPSTAN_CHECK(wake_fd_ >= 0);
}

DirectoryWatcher::~DirectoryWatcher() {
  if (inotify_fd_ >= 0) close(inotify_fd_);
  close(wake_fd_);
}

bool DirectoryWatcher::Arm() {
  if (inotify_fd_ >= 0) close(inotify_fd_);
  inotify_fd_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (inotify_fd_ < 0) return false;
  const bool watched = inotify_add_watch(inotify_fd_, directory_.c_str(), kEvents) >= 0;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code not_a_directory;
    if (it->is_directory(not_a_directory))
      inotify_add_watch(inotify_fd_, it->path().c_str(), kEvents);
  }
  return watched;
}

void DirectoryWatcher::Wait(absl::Duration longest) {
  pollfd fds[2] = {{wake_fd_, POLLIN, 0},
                   {inotify_fd_, POLLIN, 0}};  // poll() passes over a negative fd.
  if (poll(fds, 2, Milliseconds(longest)) > 0 && fds[1].revents != 0) {
    const absl::Time storm_ends = absl::Now() + kLongestStorm;
    do {
      Drain(inotify_fd_);
    } while (absl::Now() < storm_ends && poll(fds, 2, Milliseconds(kQuiet)) > 0 &&
             fds[0].revents == 0);
  }
  std::uint64_t wakes = 0;
  [[maybe_unused]] const ssize_t drained = read(wake_fd_, &wakes, sizeof(wakes));
}

void DirectoryWatcher::Wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

}  // namespace capstan::policy
