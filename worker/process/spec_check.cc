#include "worker/process/spec_check.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::process {
namespace {

constexpr absl::Duration kLongest = absl::Hours(24 * 7);
constexpr size_t kMostSecretBytes = 1 << 20;
constexpr size_t kMostSecrets = 100;
constexpr size_t kMostFolders = 200;
// What the child gets of these is its own.
constexpr const char* kOurs[] = {"proc", "dev",  "sys", "run",   "usr",
                                 "bin",  "sbin", "lib", "lib64", "etc"};

absl::Status Invalid(std::string_view field, std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(Cat(field, ": got ", got, ", want ", want));
}

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

absl::Status CheckPath(std::string_view field, const std::string& path, bool writable) {
  if (path.empty() || path[0] != '/' || HasNul(path))
    return Invalid(field, Cat("'", path, "'"), "an absolute path");
  std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  if (parts.empty() || std::count(parts.begin(), parts.end(), "..") > 0 ||
      std::count(parts.begin(), parts.end(), ".") > 0)
    return Invalid(field, Cat("'", path, "'"), "a path below / without . and ..");
  const bool ours = std::count(std::begin(kOurs), std::end(kOurs), parts[0]) > 0;
  if (writable && ours && parts.size() == 1)
    return Invalid(field, Cat("'", path, "'"), "no folder of the system");
  if (parts[0] == "proc" || parts[0] == "sys")
    return Invalid(field, Cat("'", path, "'"), "nothing of the kernel's");
  return absl::OkStatus();
}

absl::Status CheckLimits(const Limits& limits) {
  if (limits.timeout <= absl::ZeroDuration() || limits.timeout > kLongest)
    return Invalid("limits.timeout", absl::FormatDuration(limits.timeout), "up to 7 days");
  if (limits.max_processes < 1)
    return Invalid("limits.max_processes", Cat(limits.max_processes), "at least 1");
  if (limits.output_bytes < 1)
    return Invalid("limits.output_bytes", Cat(limits.output_bytes), "at least 1");
  if (limits.memory_bytes < 0 || limits.file_bytes < 0 || limits.cpus < 0 ||
      limits.disk_bytes < 0 || limits.disk_files < 0)
    return Invalid("limits", "a negative number", "0 or more");
  return absl::OkStatus();
}

absl::Status CheckEnvironment(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, value] : environment) {
    if (name.empty() || HasNul(name) || name.find('=') != std::string::npos || HasNul(value))
      return Invalid("environment", Cat("'", name, "'"), "a name without = and no zero bytes");
  }
  return absl::OkStatus();
}

absl::Status CheckSecrets(const std::map<std::string, std::string>& secrets) {
  size_t bytes = 0;
  for (const auto& [name, text] : secrets) {
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
    });
    if (name.empty() || name.size() > 100 || name[0] == '.' || !plain)
      return Invalid("secret_files", Cat("'", name, "'"), "letters, digits, '_', '-' and '.'");
    bytes += text.size();
  }
  if (bytes > kMostSecretBytes || secrets.size() > kMostSecrets)
    return Invalid("secret_files", Cat(secrets.size(), " files, ", bytes, " bytes"),
                   Cat("at most ", kMostSecrets, " files, ", kMostSecretBytes, " bytes"));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSpec(const Spec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty()) return Invalid("argv", "no program", "one");
  if (std::any_of(spec.argv.begin(), spec.argv.end(), HasNul))
    return Invalid("argv", "a zero byte", "none");
  if (HasNul(spec.directory)) return Invalid("directory", "a zero byte", "none");
  CAPSTAN_RETURN_IF_ERROR(CheckLimits(spec.limits));
  CAPSTAN_RETURN_IF_ERROR(CheckEnvironment(spec.environment));
  CAPSTAN_RETURN_IF_ERROR(CheckSecrets(spec.secret_files));
  const Sandbox& sandbox = spec.sandbox;
  if (sandbox.writable.size() + sandbox.readable.size() > kMostFolders)
    return Invalid("sandbox", "too many paths", Cat("at most ", kMostFolders));
  for (const std::string& path : sandbox.writable)
    CAPSTAN_RETURN_IF_ERROR(CheckPath("sandbox.writable", path, true));
  for (const std::string& path : sandbox.readable)
    CAPSTAN_RETURN_IF_ERROR(CheckPath("sandbox.readable", path, false));
  return absl::OkStatus();
}

}  // namespace capstan::process
