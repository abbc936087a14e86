// What a provider says was used, in one form for all of them.
#pragma once

#include <vector>

#include "nlohmann/json.hpp"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// The `usage` of a message of the Messages API. There input_tokens counts only what no cache was
// asked for: the total is Usage::effective_input(). The cost is not set.
Usage UsageOfMessage(const nlohmann::json& usage);

// Adds to the entry of the same model, or appends.
void AddUsage(const Usage& more, std::vector<Usage>& usage);

}  // namespace capstan::phases
