#include "worker/process/supervisor/descendants.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/text.h"

namespace capstan::process {
namespace {

constexpr size_t kMostOrphans = 100;
constexpr size_t kMostOfCommand = 300;

struct Entry {
  pid_t parent = 0;
  int inner_pid = 0;
  bool zombie = false;
  std::string name;
};

Entry ReadStatus(pid_t pid) {
  Entry entry;
  std::ifstream file(Cat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::ByAnyChar(": \t"), absl::SkipEmpty());
    if (parts.size() < 2) continue;
    if (parts[0] == "PPid") (void)absl::SimpleAtoi(parts[1], &entry.parent);
    if (parts[0] == "NSpid") (void)absl::SimpleAtoi(parts.back(), &entry.inner_pid);
    if (parts[0] == "State") entry.zombie = parts[1] == "Z" || parts[1] == "X";
    if (parts[0] == "Name") entry.name = std::string(parts[1]);
  }
  return entry;
}

std::string CommandOf(pid_t pid, const std::string& name) {
  std::ifstream file(Cat("/proc/", pid, "/cmdline"), std::ios::binary);
  std::string command(kMostOfCommand, '\0');
  file.read(command.data(), static_cast<std::streamsize>(command.size()));
  command.resize(static_cast<size_t>(file.gcount()));
  while (!command.empty() && command.back() == '\0') command.pop_back();
  for (char& c : command) {
    if (c == '\0' || c == '\n') c = ' ';
  }
  return command.empty() ? name : command;
}

std::map<pid_t, Entry> AllProcesses() {
  std::map<pid_t, Entry> all;
  std::error_code error;
  std::filesystem::directory_iterator file("/proc", error);
  for (; !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(file->path().filename().string(), &pid)) all[pid] = ReadStatus(pid);
  }
  return all;
}

bool IsBelow(const std::map<pid_t, Entry>& all, pid_t pid, pid_t ancestor) {
  for (size_t steps = 0; steps < all.size(); ++steps) {
    const auto entry = all.find(pid);
    if (entry == all.end() || entry->second.parent == 0) return false;
    pid = entry->second.parent;
    if (pid == ancestor) return true;
  }
  return false;
}

// Whose parents ended are its children now: with none it has no descendants either. Where the
// kernel has no such file, it may have.
bool MayHaveDescendants(pid_t ancestor) {
  std::ifstream file(Cat("/proc/", ancestor, "/task/", ancestor, "/children"));
  pid_t child = 0;
  return !file || static_cast<bool>(file >> child);
}

}  // namespace

std::vector<Orphan> DescendantsOf(pid_t ancestor) {
  if (!MayHaveDescendants(ancestor)) return {};
  const std::map<pid_t, Entry> all = AllProcesses();
  std::vector<Orphan> found;
  for (const auto& [pid, entry] : all) {
    if (found.size() == kMostOrphans) break;
    if (!entry.zombie && IsBelow(all, pid, ancestor))
      found.push_back({entry.inner_pid, CommandOf(pid, entry.name)});
  }
  return found;
}

}  // namespace capstan::process
