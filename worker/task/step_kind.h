// Step kinds: each works on one iteration of a step to its end. They decide nothing about the task
// and write nothing to the store but the transcript.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/workflow.pb.h"
#include "core/catalog/catalog.h"
#include "core/clock.h"
#include "core/ids.h"
#include "core/redact.h"
#include "core/task/task_machine.h"
#include "core/workflow/task_values.h"
#include "storage/types.h"
#include "worker/phases/phase_engine.h"
#include "worker/process/process.h"
#include "worker/task/http_calls.h"
#include "worker/task/transcript.h"

namespace capstan::worker {

// What tasks may use on this worker.
struct StepOptions {
  std::string default_engine;
  std::string default_model;
  // All of the environment that programs of steps get, beside HOME, PATH and CI.
  std::map<std::string, std::string> environment;
  // Folders and files that programs may read beside the system's and the workspace.
  std::vector<std::string> readable;
  bool sandbox = true;
  bool network = false;  // for commands and checks
  std::int64_t memory_bytes = 4LL << 30;
  int max_processes = 512;
  // What a workspace may hold; 0: any.
  std::int64_t workspace_bytes = 0;
  std::int64_t workspace_files = 0;
  absl::Duration stall = absl::Minutes(20);
  // Folder with the scripts that variables may name. Empty: there are none.
  std::string scripts_dir;
};

// One iteration, as it is to be worked on. Lives until Work returns.
struct StepContext {
  ExecutionId id;
  v1::Accepted request;
  std::shared_ptr<const v1::Workflow> workflow;
  const v1::WorkflowStep* definition = nullptr;  // of it; null: triggers of the whole task
  task::StepRun run;
  absl::Duration until = absl::InfiniteDuration();  // on Clock::BootTime: the step's time is up
  engine::v1::TaskState::Step state;
  std::string session;           // to go on with; empty: a new conversation
  std::string session_artifact;  // with its state; empty: none
  std::string session_state;
  workflow::Facts facts;  // that `values` are made of
  workflow::Values values;
  v1::Workspace workspace;
  std::string kept_work;  // TaskState.kept_work
  std::string traceparent;
  std::string correlation_id;
};

struct StepResult {
  task::IterationEnded ended;
  std::vector<storage::NewArtifact> artifacts;
  std::optional<storage::NewChild> child;  // that ended.child names
};

// Thread-safe.
class StepKind {
 public:
  virtual ~StepKind() = default;
  virtual StepResult Work(const StepContext& context, IterationTranscript& transcript,
                          std::stop_token stop) = 0;
};

// What the kinds share. Everything in it outlives them.
struct StepTools {
  const StepOptions& options;
  process::Runner& processes;
  const phases::PhaseEngines& engines;
  const Redactor& redactor;
  const catalog::Catalog& catalog;
  const HttpCalls& http;
  Clock& clock;
  std::function<absl::Time()> database_now;
};

std::unique_ptr<StepKind> MakeModelStep(const StepTools& tools);
std::unique_ptr<StepKind> MakeCommandStep(const StepTools& tools);
std::unique_ptr<StepKind> MakeHttpStep(const StepTools& tools);
std::unique_ptr<StepKind> MakeCheckStep(const StepTools& tools);
// What decides the gate of a step: run.iteration is 0.
std::unique_ptr<StepKind> MakeGate(const StepTools& tools);
// Needs no workspace, says nothing to the transcript, and returns at once: what it makes is not
// submitted yet. What is given outlives it.
std::unique_ptr<StepKind> MakeActionStep(const catalog::Catalog& catalog, const Redactor& redactor,
                                         std::function<absl::Time()> database_now);

// Those that have iterations.
using StepKinds = std::map<v1::WorkflowStep::KindCase, std::unique_ptr<StepKind>>;
StepKinds MakeStepKinds(const StepTools& tools);

// "llm", "command", …: as definitions write it.
std::string KindName(const v1::WorkflowStep& step);

// ---- for the kinds

// The end of this iteration, without what came of it.
task::IterationEnded EndOf(const StepContext& context);

// An iteration that could not be done.
StepResult Failure(const StepContext& context, v1::Execution::FailureReason reason,
                   std::string error, std::string message);

// "{step}/{attempt}.{iteration}/{what}".
std::string ArtifactName(const StepContext& context, std::string_view what);

// Runs a program in the workspace; its output goes to the transcript, and its end is kept.
struct ProgramRun {
  process::Result result;
  std::string output;  // the last kProgramOutputBytes, redacted, UTF-8
};
inline constexpr std::size_t kProgramOutputBytes = 64 * 1024;
inline constexpr std::int64_t kProgramFileBytes = 4LL << 30;  // largest file it may write
ProgramRun RunProgram(const StepTools& tools, const StepContext& context,
                      std::vector<std::string> argv, const std::string& directory,
                      absl::Duration timeout, IterationTranscript& transcript,
                      std::stop_token stop);

// The workspace holds more than it may: an error of the iteration that ends the task.
void AddDiskLimit(const process::Result& result, task::IterationEnded& ended);

// Runs a program as `command` says; `ended` gets how it came out, all but its answer. nullopt: it
// was not run.
std::optional<ProgramRun> RunCommand(const StepTools& tools, const StepContext& context,
                                     const v1::CommandStep& command,
                                     IterationTranscript& transcript, std::stop_token stop,
                                     task::IterationEnded& ended);

// A program in the workspace: what it may touch, and how much.
process::Spec ProgramSpec(const StepTools& tools, const StepContext& context,
                          std::vector<std::string> argv, absl::Duration timeout);

// Program and arguments with their values put in.
absl::StatusOr<std::vector<std::string>> RenderArgv(const v1::CommandStep& command,
                                                    const workflow::Values& values);

// Why a program's end is no success; empty: it is one.
std::string Complaint(const v1::CommandStep& command, const ProgramRun& run);

// "exit code 1", "stopped after 2m".
std::string EndText(const process::Result& result);

// Runs the checks of a step; adds to `ended`: their results, whether they block, and what the next
// iteration has to know.
void RunChecks(const StepTools& tools, const StepContext& context, IterationTranscript& transcript,
               std::stop_token stop, task::IterationEnded& ended);

}  // namespace capstan::worker
