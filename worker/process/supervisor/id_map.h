// Who a child is in the folders that it is given. A mount can show files of one user as those of
// another: a folder of the worker's looks, inside, as if it belonged to the child, and what the
// child makes there belongs to the worker.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/process/fd.h"

namespace capstan::process {

// Which user namespace describes the mapping from the owner of a folder to the child.
class IdMaps {
 public:
  // One for the owner of each of `paths`. Needs root. NOT_FOUND: a path is not there.
  static absl::StatusOr<IdMaps> Make(const std::vector<std::string>& paths, uid_t user,
                                     gid_t group);

  // The descriptor for a mount of `path`; -1: none is needed.
  int For(const std::string& path) const;

 private:
  std::map<std::pair<uid_t, gid_t>, Fd> by_owner_;
  std::map<std::string, std::pair<uid_t, gid_t>> owners_;
};

// Writes the maps of a new user namespace in which `inside` is `outside`, and nothing else is.
// `may_set_groups`: the caller is root.
absl::Status WriteIdMap(pid_t pid, uid_t user_inside, uid_t user_outside, gid_t group_inside,
                        gid_t group_outside, bool may_set_groups);

}  // namespace capstan::process
