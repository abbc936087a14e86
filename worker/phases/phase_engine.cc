#include "worker/phases/phase_engine.h"

namespace capstan::phases {

std::string_view PhaseErrorName(PhaseError error) {
  switch (error) {
    case PhaseError::kNone:
      return "none";
    case PhaseError::kTransient:
      return "transient";
    case PhaseError::kRateLimited:
      return "rate_limited";
    case PhaseError::kSpendLimit:
      return "spend_limit";
    case PhaseError::kAuthentication:
      return "authentication";
    case PhaseError::kInvalidRequest:
      return "invalid_request";
    case PhaseError::kContextOverflow:
      return "context_overflow";
    case PhaseError::kRefused:
      return "refused";
    case PhaseError::kNoAnswer:
      return "no_answer";
    case PhaseError::kMaxTurns:
      return "max_turns";
    case PhaseError::kBudget:
      return "budget";
    case PhaseError::kTimedOut:
      return "timed_out";
    case PhaseError::kStalled:
      return "stalled";
    case PhaseError::kTruncated:
      return "truncated";
    case PhaseError::kStopped:
      return "stopped";
    case PhaseError::kProcess:
      return "process";
    case PhaseError::kDiskLimit:
      return "disk_limit";
  }
  return "unknown";
}

}  // namespace capstan::phases
