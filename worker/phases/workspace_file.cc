#include "worker/phases/workspace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::phases {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// What errno says about a file that could not be opened.
absl::Status Refusal(std::string_view path) {
  const int error = errno;
  const std::string message = Cat("path: got ", path, ": ", std::strerror(error));
  const bool in_the_way =
      error == ELOOP || error == ENOTDIR || error == EISDIR || error == ENXIO || error == EMLINK;
  return in_the_way ? absl::FailedPreconditionError(message) : absl::UnavailableError(message);
}

// One step down, never over a link.
absl::StatusOr<Fd> OpenFolder(int parent, const std::string& name, std::string_view path) {
  if (mkdirat(parent, name.c_str(), 0777) != 0 && errno != EEXIST) return Refusal(path);
  Fd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.get() < 0) return Refusal(path);
  return folder;
}

absl::Status WriteAll(int fd, std::string_view text, std::string_view path) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0) return Refusal(path);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRelativePath(std::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(AbslView(path), '/');
  for (const std::string& part : parts) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(
          Cat("path: got \"", path, "\", want a relative one without . and .."));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteInWorkspace(const std::string& workspace, std::string_view path,
                              std::string_view content) {
  CAPSTAN_RETURN_IF_ERROR(CheckRelativePath(path));
  Fd folder(open(workspace.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return Refusal(workspace);
  std::vector<std::string> parts = absl::StrSplit(AbslView(path), '/');
  const std::string name = std::move(parts.back());
  parts.pop_back();
  for (const std::string& part : parts) {
    CAPSTAN_ASSIGN_OR_RETURN(folder, OpenFolder(folder.get(), part, path));
  }
  const Fd file(openat(folder.get(), name.c_str(),
                       O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
  if (file.get() < 0) return Refusal(path);
  struct stat status = {};
  if (fstat(file.get(), &status) != 0) return Refusal(path);
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return absl::FailedPreconditionError(Cat("path: got ", path, ", want a file with one name"));
  }
  if (ftruncate(file.get(), 0) != 0) return Refusal(path);
  return WriteAll(file.get(), content, path);
}

}  // namespace capstan::phases
