// Landlock: the process and all its children reach no file but through the given folders, whatever
// is mounted where. The second wall behind the mount namespace.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace capstan::process {

int LandlockAbi();  // 0: none

// For the calling thread, which must have no_new_privs. `readable`: read and execute; `writable`:
// everything; a path may be a file. Paths that are not there are left out. Does nothing below ABI
// 2, where renames between folders would fail.
absl::Status RestrictFiles(const std::vector<std::string>& readable,
                           const std::vector<std::string>& writable);

}  // namespace capstan::process
