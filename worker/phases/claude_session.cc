#include "worker/phases/claude_session.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include "core/text.h"
#include "worker/phases/conversation.h"
#include "worker/phases/json.h"

namespace capstan::phases {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 2 * kMaxSessionStateBytes;  // with what is left out
constexpr int kMaxFolders = 100;

// "/a/b.c" becomes "-a-b-c".
std::string FolderName(std::string_view workspace) {
  std::string name(workspace);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  }
  return name;
}

// The program could have put a link there that leads out of its home.
std::string ReadPlainFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return "";
  std::string text;
  struct stat status = {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
      static_cast<std::size_t>(status.st_size) <= kMaxFileBytes) {
    text.resize(static_cast<std::size_t>(status.st_size));
    std::size_t read_bytes = 0;
    while (read_bytes < text.size()) {
      const ssize_t got = read(fd, text.data() + read_bytes, text.size() - read_bytes);
      if (got <= 0) break;
      read_bytes += static_cast<std::size_t>(got);
    }
    text.resize(read_bytes);
  }
  close(fd);
  return text;
}

std::string WithoutTotals(const std::string& text) {
  std::string kept;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const std::optional<nlohmann::json> entry = ParseJson(line);
    if (entry.has_value() && TextField(*entry, "type") != "cost-state") Append(&kept, line, "\n");
  }
  return kept;
}

}  // namespace

absl::StatusOr<ClaudeHome> ClaudeHome::Make(const std::string& scratch) {
  std::string path = scratch + "/claude-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    return absl::UnavailableError(Cat("scratch: got ", scratch, ", want a folder to write in"));
  }
  ClaudeHome home(std::move(path));
  std::error_code error;
  fs::create_directories(home.config() + "/projects", error);
  fs::create_directory(home.path() + "/tmp", error);
  if (error) return absl::UnavailableError(Cat("scratch: ", scratch, ": ", error.message()));
  return home;
}

ClaudeHome::~ClaudeHome() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

absl::Status ClaudeHome::RestoreSession(std::string_view session, std::string_view workspace,
                                        std::string_view state) const {
  if (state.empty()) {
    return absl::InvalidArgumentError("session_state: got none, want that of the turn before");
  }
  if (state.size() > kMaxSessionStateBytes) {
    return absl::InvalidArgumentError(
        Cat("session_state: got ", state.size(), " bytes, want at most ", kMaxSessionStateBytes));
  }
  const std::string folder = Cat(config(), "/projects/", FolderName(workspace));
  std::error_code error;
  fs::create_directories(folder, error);
  std::ofstream file(Cat(folder, "/", session, ".jsonl"), std::ios::binary);
  if (!(file << state) || !file.flush()) {
    return absl::UnavailableError(Cat("the session cannot be written to ", folder));
  }
  return absl::OkStatus();
}

std::string ClaudeHome::SaveSession(std::string_view session) const {
  const std::string projects = config() + "/projects";
  std::error_code error;
  if (fs::is_symlink(config(), error) || fs::is_symlink(projects, error)) return "";
  const fs::directory_iterator folders(projects, error);
  if (error) return "";
  int seen = 0;
  for (auto folder = fs::begin(folders); folder != fs::end(folders); folder.increment(error)) {
    if (error || ++seen > kMaxFolders) break;
    if (!fs::is_directory(folder->symlink_status(error)) || error) continue;
    const std::string text = ReadPlainFile(Cat(folder->path().string(), "/", session, ".jsonl"));
    if (text.empty()) continue;
    std::string state = WithoutTotals(text);
    return state.size() > kMaxSessionStateBytes ? "" : state;
  }
  return "";
}

}  // namespace capstan::phases
