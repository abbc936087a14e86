// What a person should hear about how a child left the machine.
#pragma once

#include <string>
#include <vector>

#include "worker/process/process.h"

namespace capstan::process {

// One sentence for each process that it left behind, servers of tools (MCP) and browsers named as
// such, and one when it used more than 500 MB of memory.
std::vector<std::string> Warnings(const Result& result);

}  // namespace capstan::process
