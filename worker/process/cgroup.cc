#include "worker/process/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/text.h"
#include "worker/process/fd.h"

namespace capstan::process {
namespace {

constexpr absl::string_view kPrefix = "capstan-step-";
constexpr const char* kControllers[] = {"memory", "pids", "cpu"};
constexpr int kCpuPeriodMicros = 100'000;
constexpr int kTries = 200;  // of kPauseMillis
constexpr int kPauseMillis = 5;

bool WriteFile(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && write(fd.get(), text.data(), text.size()) == ssize_t(text.size());
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The number behind `key` in lines "key number"; 0 when it is not there.
std::int64_t NumberOf(const std::string& path, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(ReadFile(path), '\n')) {
    const std::pair<absl::string_view, absl::string_view> field = absl::StrSplit(line, ' ');
    std::int64_t number = 0;
    if (field.first == key && absl::SimpleAtoi(field.second, &number)) return number;
  }
  return 0;
}

// Controller to own path, from /proc/self/cgroup; "" is version 2.
std::map<std::string, std::string> OwnPaths() {
  std::map<std::string, std::string> paths;
  for (absl::string_view line : absl::StrSplit(ReadFile("/proc/self/cgroup"), '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    for (absl::string_view controller : absl::StrSplit(parts[1], ','))
      paths[std::string(controller)] = parts[2];
  }
  return paths;
}

struct Mount {
  std::string root;
  std::string folder;
  bool v2 = false;
  std::vector<std::string> controllers;  // of version 1
};

std::vector<Mount> CgroupMounts() {
  std::vector<Mount> mounts;
  for (absl::string_view line : absl::StrSplit(ReadFile("/proc/self/mountinfo"), '\n')) {
    const std::vector<std::string> halves = absl::StrSplit(line, " - ");
    if (halves.size() != 2) continue;
    const std::vector<std::string> before = absl::StrSplit(halves[0], ' ');
    const std::vector<std::string> after = absl::StrSplit(halves[1], ' ');
    if (before.size() < 5 || after.size() < 3 || !absl::StartsWith(after[0], "cgroup")) continue;
    mounts.push_back({before[3], before[4], after[0] == "cgroup2", absl::StrSplit(after[2], ',')});
  }
  return mounts;
}

std::string FolderOf(const Mount& mount, std::string path) {
  if (mount.root != "/" && absl::StartsWith(path, mount.root)) path.erase(0, mount.root.size());
  while (absl::EndsWith(path, "/")) path.pop_back();
  return mount.folder + path;
}

void Pause() { poll(nullptr, 0, kPauseMillis); }

}  // namespace

std::vector<CgroupParent> FindCgroupParents(const std::string& path) {
  const std::map<std::string, std::string> own = OwnPaths();
  const auto path_of = [&](const std::string& controller) {
    if (!path.empty()) return path;
    const auto found = own.find(controller);
    return found == own.end() ? std::string("/") : found->second;
  };
  std::vector<CgroupParent> parents;
  for (const Mount& mount : CgroupMounts()) {
    if (mount.v2) {
      const std::string folder = FolderOf(mount, path_of(""));
      const std::string given = ReadFile(folder + "/cgroup.controllers");
      parents.push_back({"", folder, true});
      for (const char* controller : kControllers) {
        if (absl::StrContains(given, controller)) parents.push_back({controller, folder, true});
      }
      continue;
    }
    for (const char* controller : kControllers) {
      if (std::count(mount.controllers.begin(), mount.controllers.end(), controller) == 0) continue;
      parents.push_back({controller, FolderOf(mount, path_of(controller)), false});
    }
  }
  // Joining one takes milliseconds; the pids controller of version 1 serves for killing too.
  const bool pids_v1 = std::any_of(parents.begin(), parents.end(), [](const CgroupParent& parent) {
    return !parent.v2 && parent.controller == "pids";
  });
  if (pids_v1) std::erase_if(parents, [](const CgroupParent& p) { return p.controller.empty(); });
  return parents;
}

namespace {

bool LimitMemory(const std::string& folder, bool v2, std::int64_t bytes) {
  if (v2) {
    if (!Exists(folder + "/memory.max")) return false;
    WriteFile(folder + "/memory.oom.group", "1");
    if (bytes == 0) return true;
    WriteFile(folder + "/memory.swap.max", "0");
    return WriteFile(folder + "/memory.max", Cat(bytes));
  }
  if (bytes == 0) return Exists(folder + "/memory.limit_in_bytes");
  if (!WriteFile(folder + "/memory.limit_in_bytes", Cat(bytes))) return false;
  WriteFile(folder + "/memory.memsw.limit_in_bytes", Cat(bytes));  // not there without swap
  return true;
}

bool LimitProcesses(const std::string& folder, int count) {
  const int with_init = count + 1;
  return WriteFile(folder + "/pids.max", Cat(with_init));
}

bool LimitCpu(const std::string& folder, bool v2, double cpus) {
  const std::string probe = folder + (v2 ? "/cpu.max" : "/cpu.cfs_quota_us");
  if (cpus <= 0) return Exists(probe);  // version 2, where one folder serves all
  const auto quota = static_cast<std::int64_t>(cpus * kCpuPeriodMicros);
  if (v2) return WriteFile(probe, Cat(quota, " ", kCpuPeriodMicros));
  return WriteFile(folder + "/cpu.cfs_period_us", Cat(kCpuPeriodMicros)) &&
         WriteFile(probe, Cat(quota));
}

bool Limit(const CgroupParent& parent, const std::string& folder, const Limits& limits) {
  if (parent.controller == "memory") return LimitMemory(folder, parent.v2, limits.memory_bytes);
  if (parent.controller == "pids") return LimitProcesses(folder, limits.max_processes);
  if (parent.controller == "cpu") return LimitCpu(folder, parent.v2, limits.cpus);
  return Exists(folder + "/cgroup.kill");
}

}  // namespace

Cgroup::Cgroup(const std::vector<CgroupParent>& parents, const std::string& name,
               const Limits& limits) {
  for (const CgroupParent& parent : parents) {
    if (parent.controller == "cpu" && !parent.v2 && limits.cpus <= 0) continue;
    // Fails where the parent has processes of its own: version 2 gives no limits then.
    if (parent.v2 && !parent.controller.empty())
      WriteFile(parent.folder + "/cgroup.subtree_control", "+" + parent.controller);
    const std::string folder = Cat(parent.folder, "/", name);
    const bool made = mkdir(folder.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) continue;
    if (Limit(parent, folder, limits)) {
      parts_.push_back({parent, folder});
    } else if (made) {
      rmdir(folder.c_str());
    }
  }
}

Cgroup::~Cgroup() {
  Kill();
  for (const Part& part : parts_) {
    for (int left = kTries; left > 0; --left) {
      if (rmdir(part.folder.c_str()) == 0 || errno != EBUSY) break;
      Pause();
    }
  }
}

const Cgroup::Part* Cgroup::Find(const std::string& controller) const {
  for (const Part& part : parts_) {
    if (part.parent.controller == controller) return &part;
  }
  return nullptr;
}

bool Cgroup::Has(const std::string& controller) const { return Find(controller) != nullptr; }

bool Cgroup::Add(pid_t pid) {
  bool all = true;
  for (const Part& part : parts_) all &= WriteFile(part.folder + "/cgroup.procs", Cat(pid));
  return all;
}

std::vector<pid_t> Cgroup::Members() const {
  std::vector<pid_t> members;
  for (const Part& part : parts_) {
    for (absl::string_view line : absl::StrSplit(ReadFile(part.folder + "/cgroup.procs"), '\n')) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) members.push_back(pid);
    }
  }
  return members;
}

void Cgroup::Kill() {
  for (const Part& part : parts_) {
    if (part.parent.v2) WriteFile(part.folder + "/cgroup.kill", "1");
  }
  for (int left = kTries; left > 0; --left) {
    const std::vector<pid_t> members = Members();
    if (members.empty()) return;
    for (pid_t pid : members) kill(pid, SIGKILL);
    Pause();
  }
}

std::int64_t Cgroup::PeakMemoryBytes() const {
  const Part* memory = Find("memory");
  if (memory == nullptr) return 0;
  const char* file = memory->parent.v2 ? "/memory.peak" : "/memory.max_usage_in_bytes";
  std::int64_t bytes = 0;
  return absl::SimpleAtoi(ReadFile(memory->folder + file), &bytes) ? bytes : 0;
}

std::int64_t Cgroup::OutOfMemoryKills() const {
  const Part* memory = Find("memory");
  if (memory == nullptr) return 0;
  const char* file = memory->parent.v2 ? "/memory.events" : "/memory.oom_control";
  return NumberOf(memory->folder + file, "oom_kill");
}

std::string CgroupName(pid_t supervisor) {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::StrCat(kPrefix, supervisor, "-", now.tv_sec, "-", now.tv_nsec);
}

void RemoveStaleCgroups(const std::vector<CgroupParent>& parents) {
  for (const CgroupParent& parent : parents) {
    std::error_code error;
    std::filesystem::directory_iterator entry(parent.folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      const std::string name = entry->path().filename();
      const std::vector<std::string> parts = absl::StrSplit(absl::StripPrefix(name, kPrefix), '-');
      pid_t pid = 0;
      if (!absl::StartsWith(name, kPrefix) || !absl::SimpleAtoi(parts[0], &pid)) continue;
      if (kill(pid, 0) != 0 && errno == ESRCH) rmdir(entry->path().c_str());
    }
  }
}

}  // namespace capstan::process
