#include "worker/process/disk_use.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "core/text.h"

namespace capstan::process {
namespace {

constexpr std::int64_t kBlockBytes = 512;  // of st_blocks, whatever the file system's are
constexpr int kBetweenTimes = 64;          // entries

absl::Duration Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace

DiskWalk::DiskWalk(const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    left_.push_back({roots_.size(), "."});
    roots_.emplace_back(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
}

void DiskWalk::Open(Folder folder) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const int fd = static_cast<int>(
      syscall(SYS_openat2, roots_[folder.root].get(), folder.path.c_str(), &how, sizeof(how)));
  if (fd < 0) {
    use_.too_deep = use_.too_deep || errno == ENAMETOOLONG;
    return;
  }
  open_.reset(fdopendir(fd));
  if (open_ == nullptr) close(fd);
  at_ = std::move(folder);
}

void DiskWalk::Count(const dirent& entry) {
  const std::string_view name = entry.d_name;
  struct stat status{};
  if (name == "." || name == ".." ||
      fstatat(dirfd(open_.get()), entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  const bool is_folder = S_ISDIR(status.st_mode);
  if (!is_folder && status.st_nlink > 1 && !linked_.insert({status.st_dev, status.st_ino}).second) {
    return;
  }
  ++use_.files;
  use_.bytes += static_cast<std::int64_t>(status.st_blocks) * kBlockBytes;
  if (is_folder) left_.push_back({at_.root, Cat(at_.path, "/", name)});
}

bool DiskWalk::Go(absl::Duration budget) {
  const absl::Duration began = Now();
  for (int count = 1; open_ != nullptr || !left_.empty(); ++count) {
    if (open_ == nullptr) {
      Folder folder = std::move(left_.back());
      left_.pop_back();
      Open(std::move(folder));
    } else if (const dirent* const entry = readdir(open_.get())) {
      Count(*entry);
    } else {
      open_.reset();
    }
    if (count % kBetweenTimes == 0 && Now() - began >= budget) break;
  }
  took_ += Now() - began;
  return open_ == nullptr && left_.empty();
}

}  // namespace capstan::process
