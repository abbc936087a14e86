// The system calls that nothing in a sandbox needs, denied.
#pragma once

#include "absl/status/status.h"

namespace capstan::process {

// For the calling thread and all its children. With `network` it may ask for addresses and routes
// (netlink), which programs do that use the network.
absl::Status DenySystemCalls(bool network);

}  // namespace capstan::process
