// Why an execution is not running, as text for people. Pure.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "capstan/v1/execution_service.pb.h"

namespace capstan::cli {

// Its state, then each reason with its age at `now`, who holds it and what clears it, the nearest
// first, then when something happens by itself.
std::string ExplainText(const v1::ExplainExecutionResponse& response, absl::Time now);

}  // namespace capstan::cli
