#include "worker/git/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "core/text.h"
#include "worker/process/fd.h"

namespace capstan::git {
namespace {

using process::Fd;

constexpr size_t kLongestLine = 4096;

Fd OpenBeneath(const std::string& folder, const std::string& path, int flags) {
  const Fd root(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(
      syscall(SYS_openat2, root.get(), path.empty() ? "." : path.c_str(), &how, sizeof(how))));
}

}  // namespace

std::string FirstLineBeneath(const std::string& folder, const std::string& path) {
  const Fd file = OpenBeneath(folder, path, O_RDONLY | O_NONBLOCK);
  struct stat status{};
  if (!file.valid() || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
  std::string text(kLongestLine, '\0');
  const ssize_t size = read(file.get(), text.data(), text.size());
  text.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return text.substr(0, text.find('\n'));
}

absl::Time WrittenBeneath(const std::string& folder, const std::string& path) {
  const Fd file = OpenBeneath(folder, path, O_PATH | O_NOFOLLOW);
  struct stat status{};
  if (!file.valid() || fstat(file.get(), &status) != 0) return absl::InfiniteFuture();
  return absl::TimeFromTimespec(status.st_mtim);
}

absl::Status RemoveBeneath(const std::string& folder, const std::string& path) {
  const std::filesystem::path parts(path);
  const Fd parent = OpenBeneath(folder, parts.parent_path().string(), O_PATH | O_DIRECTORY);
  if (!parent.valid() && errno == ENOENT) return absl::OkStatus();
  if (!parent.valid())
    return absl::FailedPreconditionError(Cat(folder, "/", path, ": got a link on the way to it"));
  std::error_code error;
  // Through the descriptor, so that nothing is looked up again; remove_all follows no link.
  std::filesystem::remove_all(Cat("/proc/self/fd/", parent.get(), "/", parts.filename().string()),
                              error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(Cat(folder, "/", path, ": ", error.message()));
}

}  // namespace capstan::git
