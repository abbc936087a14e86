#include "worker/phases/usage.h"

#include <algorithm>

#include "worker/phases/json.h"

namespace capstan::phases {

Usage UsageOfMessage(const nlohmann::json& usage) {
  Usage result;
  result.input_tokens = CountField(usage, "input_tokens");
  result.output_tokens = CountField(usage, "output_tokens");
  result.cache_creation_tokens = CountField(usage, "cache_creation_input_tokens");
  result.cache_read_tokens = CountField(usage, "cache_read_input_tokens");
  return result;
}

void AddUsage(const Usage& more, std::vector<Usage>& usage) {
  auto found = std::find_if(usage.begin(), usage.end(),
                            [&](const Usage& entry) { return entry.model == more.model; });
  if (found == usage.end()) {
    usage.push_back(more);
    return;
  }
  found->input_tokens += more.input_tokens;
  found->output_tokens += more.output_tokens;
  found->cache_creation_tokens += more.cache_creation_tokens;
  found->cache_read_tokens += more.cache_read_tokens;
  found->cost_microusd += more.cost_microusd;
  found->turns += more.turns;
  found->is_upper_bound = found->is_upper_bound || more.is_upper_bound;
}

}  // namespace capstan::phases
