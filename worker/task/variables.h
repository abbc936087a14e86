// Variables whose values a script or a service gives: asked on the thread of whoever needs them,
// before anything is rendered.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {

// All that one of them may take.
inline constexpr absl::Duration kVariableTimeout = absl::Seconds(5);
inline constexpr std::int64_t kVariableBytes = 1'000'000;

// Why one has no value, and no default.
struct VariableProblem {
  std::string message;
  bool transient = false;
  bool stopped = false;
};

// Thread-safe. Remembers values for as long as their variables say, for each task of this worker.
class VariableSources {
 public:
  explicit VariableSources(const StepTools& tools) : tools_(tools) {}

  // Puts the values of `wanted`, in this order, into context.values; those that are there are not
  // asked for again. Those that could not be had and have a default leave a warning.
  std::optional<VariableProblem> Fetch(const std::vector<const v1::WorkflowVariable*>& wanted,
                                       StepContext& context, IterationTranscript& transcript,
                                       std::stop_token stop, std::vector<std::string>& warnings);

 private:
  struct Kept {
    std::string value;
    absl::Duration until;  // of the clock's BootTime()
  };

  // Remembered, or asked for.
  std::optional<VariableProblem> Get(const v1::WorkflowVariable& variable,
                                     const StepContext& context, std::stop_token stop,
                                     std::string& value);
  std::optional<std::string> Remembered(const std::string& key);
  void Remember(const std::string& key, const std::string& value, absl::Duration ttl);

  const StepTools tools_;
  absl::Mutex mu_;
  std::map<std::string, Kept> kept_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::worker
