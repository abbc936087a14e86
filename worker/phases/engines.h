// The model engines of a worker, from its configuration.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "worker/phases/claude_engine.h"
#include "worker/phases/messages_engine.h"
#include "worker/phases/phase_engine.h"
#include "worker/process/process.h"

namespace capstan::phases {

// What is not set has no engine.
struct EngineOptions {
  std::string models_file = "catalog/models.yaml";
  std::optional<ClaudeOptions> claude_cli;
  std::optional<MessagesOptions> messages_api;
  std::string script_file;  // of the scripted engine; empty: none
};

// The engines borrow `runner` and `clock`. Any error stops start-up and names the field:
// INVALID_ARGUMENT (models or script file, default model, address), NOT_FOUND (a file or the CLI),
// FAILED_PRECONDITION (a key file that cannot be read, a scratch folder that cannot be written).
absl::StatusOr<std::vector<std::unique_ptr<PhaseEngine>>> MakeEngines(const EngineOptions& options,
                                                                      process::Runner& runner,
                                                                      Clock& clock);

}  // namespace capstan::phases
