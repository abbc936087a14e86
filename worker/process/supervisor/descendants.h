// Who is still there.
#pragma once

#include <sys/types.h>

#include <vector>

#include "worker/process/process.h"

namespace capstan::process {

// The processes below `ancestor` that have not ended, from /proc, with their pids as they see them
// themselves. At most a hundred.
std::vector<Orphan> DescendantsOf(pid_t ancestor);

}  // namespace capstan::process
