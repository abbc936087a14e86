#include "worker/process/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "worker/process/fd.h"

namespace capstan::process {
namespace {

// The kernel's own header of this system may be older than its kernel; values of
// linux/landlock.h.
struct RulesetAttributes {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};
struct __attribute__((packed)) PathRule {
  std::uint64_t allowed_access;
  std::int32_t parent_fd;
};
constexpr unsigned kRulePathBeneath = 1;
constexpr unsigned kGetVersion = 1;
constexpr std::uint64_t kExecute = 1 << 0, kWriteFile = 1 << 1, kReadFile = 1 << 2,
                        kReadFolder = 1 << 3, kTruncate = 1 << 14, kDeviceControl = 1 << 15;
constexpr std::uint64_t kAllOfAbi2 = (1 << 14) - 1;
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceControl;
constexpr std::uint64_t kScopeAbstractSockets = 1 << 0, kScopeSignals = 1 << 1;

std::uint64_t Handled(int abi) {
  return kAllOfAbi2 | (abi >= 3 ? kTruncate : 0) | (abi >= 5 ? kDeviceControl : 0);
}

absl::Status Allow(int ruleset, const std::string& path, std::uint64_t access) {
  const Fd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status{};
  if (!fd.valid() || fstat(fd.get(), &status) != 0) return absl::OkStatus();
  if (!S_ISDIR(status.st_mode)) access &= kOfFiles;
  const PathRule rule = {access, fd.get()};
  if (syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) == 0)
    return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "landlock: " + path);
}

}  // namespace

int LandlockAbi() {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kGetVersion);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

absl::Status RestrictFiles(const std::vector<std::string>& readable,
                           const std::vector<std::string>& writable) {
  const int abi = LandlockAbi();
  if (abi < 2) return absl::OkStatus();
  const std::uint64_t handled = Handled(abi);
  const RulesetAttributes attributes = {handled, 0,
                                        abi >= 6 ? kScopeAbstractSockets | kScopeSignals : 0};
  const size_t size = abi >= 6 ? sizeof(attributes) : sizeof(attributes.handled_access_fs);
  const Fd ruleset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset.valid()) return absl::ErrnoToStatus(errno, "landlock");
  for (const std::string& path : readable) {
    const absl::Status allowed = Allow(ruleset.get(), path, kExecute | kReadFile | kReadFolder);
    if (!allowed.ok()) return allowed;
  }
  for (const std::string& path : writable) {
    const absl::Status allowed = Allow(ruleset.get(), path, handled);
    if (!allowed.ok()) return allowed;
  }
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "landlock");
}

}  // namespace capstan::process
