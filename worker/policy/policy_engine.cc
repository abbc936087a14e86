#include "worker/policy/policy_engine.h"

#include <string>
#include <utility>

#include "core/ids.h"

namespace capstan::policy {

Decision DecideOn(const PolicyInput& input, Clock& clock,
                  const std::function<void(Decision&)>& decide) {
  const absl::Duration start = clock.BootTime();
  Decision decision;
  absl::StatusOr<std::string> text = ToJsonText(input);
  if (text.ok()) {
    decision.input_json = *std::move(text);
    decision.input_sha256 = Sha256Hex(decision.input_json);
    decide(decision);
  } else {
    Deny(decision, Decision::Error::kBadInput, std::string(text.status().message()));
  }
  decision.took = clock.BootTime() - start;
  return decision;
}

}  // namespace capstan::policy
