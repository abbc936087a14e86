// The Claude CLI as a child process: the engine that works in a workspace with tools. The CLI is
// not part of Capstan; whoever installs Capstan supplies it (docs/model-engines.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "worker/phases/model_table.h"
#include "worker/phases/phase_engine.h"
#include "worker/process/process.h"

namespace capstan::phases {

struct ClaudeOptions {
  std::string program;   // path of the CLI
  std::string base_url;  // of the Messages API; empty: the CLI's own
  // File with the key, read for every call and given to the CLI as a file, never in its environment
  // or arguments. Empty: a gateway at base_url holds the key and takes any.
  std::string api_key_file;
  std::string ca_file;  // empty: the CLI's own
  std::string default_model = "strong";
  std::string scratch;                // folder in which each run gets a home of its own
  std::vector<std::string> readable;  // what its tools need besides the system
  std::int64_t memory_bytes = 0;      // of all its processes; 0: none
  int max_processes = 512;
  std::int64_t disk_bytes = 0;  // of the workspace and the home together; 0: any
  std::int64_t disk_files = 0;
  bool sandbox = true;
};

// The tools of a request are all that the CLI has ("Bash(git *)" gives Bash and allows that use);
// nothing of the user's or the project's settings is read. Its own retry is the only retry layer
// (kMaxTries in all), and a key that is refused ends it at the first refusal. max_cost_microusd is
// looked at between turns: one turn can go beyond it.
class ClaudeEngine final : public PhaseEngine {
 public:
  static constexpr int kMaxTries = 5;
  static constexpr std::size_t kMaxArgumentBytes = 120 << 10;  // the kernel takes 128 KiB
  static constexpr std::size_t kMaxTools = 100;

  // Borrows the runner and the clock.
  ClaudeEngine(ClaudeOptions options, ModelTable models, process::Runner& runner, Clock& clock)
      : options_(std::move(options)), models_(std::move(models)), runner_(runner), clock_(clock) {}

  std::string_view name() const override { return "claude_cli"; }
  PhaseResult Run(const PhaseRequest& request, PhaseObserver& observer,
                  std::stop_token stop) override;

 private:
  absl::StatusOr<process::Spec> MakeSpec(const PhaseRequest& request, const Model& model,
                                         const std::string& home) const;
  PhaseResult RunIn(const process::Spec& spec, const PhaseRequest& request, const Model& model,
                    PhaseObserver& observer, std::stop_token stop);

  const ClaudeOptions options_;
  const ModelTable models_;
  process::Runner& runner_;
  Clock& clock_;
};

// The whole command line. INVALID_ARGUMENT: a field of the request that the CLI does not take.
absl::StatusOr<std::vector<std::string>> ClaudeArguments(const ClaudeOptions& options,
                                                         const PhaseRequest& request,
                                                         const Model& model);

}  // namespace capstan::phases
