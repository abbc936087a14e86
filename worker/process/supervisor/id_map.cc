#include "worker/process/supervisor/id_map.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::process {
namespace {

absl::Status Write(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd.valid() && write(fd.get(), text.data(), text.size()) == ssize_t(text.size()))
    return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

// A namespace outlives the process that it was made with as long as it is open.
absl::StatusOr<Fd> MakeNamespace(std::pair<uid_t, gid_t> owner, uid_t user, gid_t group) {
  const auto pid = static_cast<pid_t>(
      syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid < 0) return absl::ErrnoToStatus(errno, "user namespace");
  if (pid == 0) {
    for (;;) pause();
  }
  const absl::Status written = WriteIdMap(pid, owner.first, user, owner.second, group, true);
  Fd fd(open(Cat("/proc/", pid, "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  CAPSTAN_RETURN_IF_ERROR(written);
  if (!fd.valid()) return absl::InternalError("user namespace: cannot be opened");
  return fd;
}

}  // namespace

absl::Status WriteIdMap(pid_t pid, uid_t user_inside, uid_t user_outside, gid_t group_inside,
                        gid_t group_outside, bool may_set_groups) {
  const std::string folder = Cat("/proc/", pid);
  if (!may_set_groups) CAPSTAN_RETURN_IF_ERROR(Write(folder + "/setgroups", "deny"));
  CAPSTAN_RETURN_IF_ERROR(
      Write(folder + "/gid_map", Cat(group_inside, " ", group_outside, " 1\n")));
  return Write(folder + "/uid_map", Cat(user_inside, " ", user_outside, " 1\n"));
}

absl::StatusOr<IdMaps> IdMaps::Make(const std::vector<std::string>& paths, uid_t user,
                                    gid_t group) {
  IdMaps maps;
  for (const std::string& path : paths) {
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0) return absl::NotFoundError(path + ": not there");
    const std::pair<uid_t, gid_t> owner = {status.st_uid, status.st_gid};
    maps.owners_[path] = owner;
    if (owner == std::pair(user, group) || maps.by_owner_.contains(owner)) continue;
    CAPSTAN_ASSIGN_OR_RETURN(maps.by_owner_[owner], MakeNamespace(owner, user, group));
  }
  return maps;
}

int IdMaps::For(const std::string& path) const {
  const auto owner = owners_.find(path);
  if (owner == owners_.end()) return -1;
  const auto found = by_owner_.find(owner->second);
  return found == by_owner_.end() ? -1 : found->second.get();
}

}  // namespace capstan::process
