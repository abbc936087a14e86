// One cgroup for one child, in every hierarchy of the machine that helps: version 2, or the
// controllers of version 1. Limits, counts, and a second way to kill everything in it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "worker/process/process.h"

namespace capstan::process {

// A folder in which a controller's cgroups are made. A controller that the machine does not give
// has none.
struct CgroupParent {
  std::string controller;  // "memory", "pids", "cpu"; "" is version 2 for killing alone
  std::string folder;
  bool v2 = false;
};

// From /proc/self/mountinfo and /proc/self/cgroup. `path` as Options::cgroup: a path as
// /proc/self/cgroup has them; empty: the program's own.
std::vector<CgroupParent> FindCgroupParents(const std::string& path);

// Not thread-safe. Whatever of it the machine refuses is left out: then the limit does not hold,
// and Has() says so.
class Cgroup {
 public:
  // Makes the folders `name` and writes the limits.
  Cgroup(const std::vector<CgroupParent>& parents, const std::string& name, const Limits& limits);
  ~Cgroup();  // kills what is in it, and removes it
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  bool Has(const std::string& controller) const;
  bool Add(pid_t pid);  // false when any of its hierarchies refuses
  void Kill();          // returns when nothing is in it any more, or after a second
  std::int64_t PeakMemoryBytes() const;  // 0: not known. With the file cache that it caused.
  std::int64_t OutOfMemoryKills() const;

 private:
  struct Part {
    CgroupParent parent;
    std::string folder;
  };
  const Part* Find(const std::string& controller) const;
  std::vector<pid_t> Members() const;

  std::vector<Part> parts_;
};

// Removes what supervisors left behind that were killed: empty folders of ours whose supervisor is
// gone.
void RemoveStaleCgroups(const std::vector<CgroupParent>& parents);
// The name of the cgroup of a supervisor.
std::string CgroupName(pid_t supervisor);

}  // namespace capstan::process
