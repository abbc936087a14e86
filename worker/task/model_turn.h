// What steps in which a model works and models that judge have in common: one answer, with one
// repair when it cannot be used, what goes to the transcript, and what was billed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/task/step_kind.h"

namespace capstan::worker {

// How it went. `turn` is the last turn; `usage` and `warnings` of all.
struct Exchange {
  enum class End {
    kAnswered,  // `turn.answer` can be used
    kUnusable,  // also after the repair: `message` says what is wrong with it
    kStopped,
    kNotStored,  // the transcript could not be: `message`
    kErred,      // turn.error
  };
  End end = End::kErred;
  phases::PhaseResult turn;
  std::string session;
  std::string message;
  std::vector<phases::Usage> usage;
  std::vector<std::string> warnings;
};

// Asks, and once more when `read` refuses the answer and there is money left for it.
Exchange Converse(const StepTools& tools, phases::PhaseEngine& engine, phases::PhaseRequest request,
                  const std::function<absl::Status(const std::string& answer)>& read,
                  IterationTranscript& transcript, std::stop_token stop);

// The engine and the model where a definition names none. Null: this worker has no such engine.
phases::PhaseEngine* EngineNamed(const StepTools& tools, const std::string& name);
std::string ModelNamed(const StepTools& tools, const StepContext& context, const std::string& name);

// What an error of an engine means for the task.
struct Meaning {
  bool transient;
  v1::Execution::FailureReason reason;
};
Meaning MeaningOf(phases::PhaseError error);
// TRANSIENT, RATE_LIMITED, …
std::string NameOf(phases::PhaseError error);

// Adds to what was billed for the iteration: one row a model.
void AddUsage(const std::vector<phases::Usage>& usage, task::IterationEnded& ended);

// Of what the iteration may cost: nothing is left, or how much (0: any amount).
bool IsSpent(const task::StepRun& run, const task::IterationEnded& ended);
std::int64_t LeftOf(const task::StepRun& run, const task::IterationEnded& ended);

}  // namespace capstan::worker
