// The answer of a model that judges: whether something is good enough, and why.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace capstan::workflow {

struct Judgement {
  bool passed = false;
  std::string reason;  // for a person; with what was found, a line each
};

// What such an answer has to look like. A part of the program, not of a definition: what it means
// is not left to workflows.
extern const char kJudgementSchema[];

// INVALID_ARGUMENT: it is not JSON within the limits of an answer, or does not fit the schema; the
// message says what to change.
absl::StatusOr<Judgement> ReadJudgement(std::string_view text);

}  // namespace capstan::workflow
