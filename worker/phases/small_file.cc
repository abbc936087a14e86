#include "worker/phases/small_file.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/strip.h"
#include "core/text.h"

namespace capstan::phases {
namespace {

constexpr std::size_t kMaxKeyBytes = 4096;

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(Cat(path, ": cannot be opened"));
  std::string text(max_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > max_bytes) {
    return absl::ResourceExhaustedError(
        Cat(path, ": got more than ", max_bytes, " bytes, want at most that"));
  }
  return text;
}

absl::StatusOr<std::string> ReadKeyFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxKeyBytes);
  if (!text.ok()) {
    return absl::FailedPreconditionError(Cat("key file ", text.status().message()));
  }
  const std::string key(absl::StripAsciiWhitespace(*text));
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (key.empty() || !printable) {
    return absl::FailedPreconditionError(Cat("key file ", path, ": want one line with a key"));
  }
  return key;
}

}  // namespace capstan::phases
