// A model judges: a gate of a step, or the work of one as a check.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/workflow.pb.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {

struct Verdict {
  enum class End {
    kPassed,
    kNotPassed,
    kNotAsked,  // the rest says why
    kStopped,
  };
  End end = End::kNotAsked;
  std::string words;  // of the model, or why it could not be asked
  // kNotAsked: as in IterationEnded.
  std::string error;
  bool transient = false;
  absl::Duration retry_after;
  v1::Execution::FailureReason reason = v1::Execution::FAILURE_REASON_UNSPECIFIED;
  std::vector<phases::Usage> usage;
  std::vector<std::string> warnings = {};
};

// Asks a model without tools, in a conversation of its own. `most`: what it may cost, 0: any
// amount.
Verdict Judge(const StepTools& tools, const StepContext& context, const v1::ModelJudgement& judge,
              const workflow::Values& values, std::int64_t most, absl::Duration timeout,
              IterationTranscript& transcript, std::stop_token stop);

}  // namespace capstan::worker
