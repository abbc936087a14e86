#include "tests/scenarios/tool.h"

#include <sys/wait.h>

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace capstan::testing {

absl::StatusOr<std::string> Tool(const std::string& name) {
  const std::string command = absl::StrCat(CAPSTAN_SOURCE_DIR, "/tests/e2e/tools.sh ", name);
  std::FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return absl::UnavailableError("no shell");
  std::string path;
  char piece[256];
  while (std::fgets(piece, sizeof piece, pipe) != nullptr) path += piece;
  if (pclose(pipe) != 0) {
    return absl::UnavailableError(absl::StrCat(name, " cannot be made; tools.sh says why"));
  }
  return std::string(absl::StripAsciiWhitespace(path));
}

std::string FromLog(const Process& process, const std::string& before, const std::string& after) {
  const std::string log = process.Log();
  const std::size_t found = log.find(before);
  if (found == std::string::npos) return "";
  const std::size_t begin = found + before.size();
  const std::size_t end = log.find(after, begin);
  return end == std::string::npos ? "" : log.substr(begin, end - begin);
}

}  // namespace capstan::testing
