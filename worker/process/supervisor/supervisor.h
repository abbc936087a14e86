// One child from start to end: its cgroup, its namespaces, its deadline, its report. The process
// that runs this has a single thread and nothing else to do.
#pragma once

#include "worker/process/wire.h"

namespace capstan::process {

// Runs the order with file descriptors 0, 1 and 2 as the child's; follows kControlFd. Returns when
// nothing of the child is left. Not found out here: Result::End::kOutputLimit.
Result Supervise(const Order& order);

}  // namespace capstan::process
