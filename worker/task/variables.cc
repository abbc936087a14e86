#include "worker/task/variables.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/config/validate.h"
#include "core/status_macros.h"
#include "core/utf8.h"
#include "core/workflow/json_text.h"
#include "core/workflow/loader.h"
#include "core/workflow/render.h"
#include "core/workflow/templates.h"

namespace capstan::worker {
namespace {

namespace fs = std::filesystem;
using ProgramEnd = process::Result::End;

constexpr std::size_t kMaxKeptBytes = 64 << 20;  // of all tasks
constexpr std::size_t kMaxKept = 1000;
constexpr std::size_t kMessageBytes = 500;
constexpr workflow::JsonLimits kJsonLimits = {.bytes = kMaxHttpBody + 1024, .depth = 64};

absl::Duration TtlOf(const v1::WorkflowVariable& variable) {
  return config::ToDuration(variable.has_script() ? variable.script().cache_ttl()
                                                  : variable.http().cache_ttl());
}

// The same for the same task, variable, and what its templates say.
absl::StatusOr<std::string> KeyOf(const v1::WorkflowVariable& variable,
                                  const StepContext& context) {
  absl::Status status;
  std::string key = absl::StrCat(context.id.ToString(), " ", variable.name());
  workflow::EachTemplate(variable, "", [&](const std::string& path, const std::string& text) {
    absl::StatusOr<std::string> rendered = workflow::Render(text, context.values);
    if (!rendered.ok() && status.ok()) status = rendered.status();
    if (rendered.ok()) absl::StrAppend(&key, "\n", path, " ", rendered->size(), " ", *rendered);
  });
  if (!status.ok()) return status;
  return key;
}

// The file that a script's name stands for: in the folder, also where links lead within it.
absl::StatusOr<std::string> FileOf(const std::string& folder, const std::string& name) {
  const auto refuse = [&](absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat("script ", name, ": ", why));
  };
  if (folder.empty()) return refuse("this worker has no tasks.scripts_dir");
  if (name.find('/') != std::string::npos || absl::StartsWith(name, "."))
    return refuse("want a file's name");
  std::error_code error;
  const fs::path real_folder = fs::canonical(folder, error);
  if (error) return refuse("tasks.scripts_dir cannot be read");
  const fs::path file = fs::canonical(real_folder / name, error);
  if (error) return refuse("it is not in tasks.scripts_dir");
  const auto [end, rest] =
      std::mismatch(real_folder.begin(), real_folder.end(), file.begin(), file.end());
  if (end != real_folder.end()) return refuse("it leads out of tasks.scripts_dir");
  if (!fs::is_regular_file(file, error) || access(file.c_str(), X_OK) != 0)
    return refuse("it is not a program");
  return file.string();
}

std::string TextOf(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

VariableProblem Lasting(absl::string_view message) { return {.message = std::string(message)}; }

std::optional<VariableProblem> AskScript(const StepTools& tools, const v1::ScriptVariable& script,
                                         const StepContext& context, std::stop_token stop,
                                         std::string& value) {
  if (context.workspace.path().empty()) return Lasting("the task has no workspace to run it in");
  const absl::StatusOr<std::string> file = FileOf(tools.options.scripts_dir, script.name());
  if (!file.ok()) return Lasting(file.status().message());
  std::vector<std::string> argv = {*file};
  for (const std::string& argument : script.arguments()) {
    absl::StatusOr<std::string> text = workflow::Render(argument, context.values);
    if (!text.ok()) return Lasting(text.status().message());
    argv.push_back(*std::move(text));
  }
  process::Spec spec = ProgramSpec(tools, context, std::move(argv), kVariableTimeout);
  spec.limits.output_bytes = kVariableBytes;
  spec.sandbox.readable.push_back(fs::path(*file).parent_path().string());
  std::string complaints;
  const process::Result result = tools.processes.Run(
      spec,
      [&](process::Stream stream, std::string_view piece) {
        (stream == process::Stream::kOut ? value : complaints).append(piece);
      },
      stop);
  if (result.end == ProgramEnd::kStopped)
    return VariableProblem{.message = "stopped", .stopped = true};
  if (result.end != ProgramEnd::kExited || result.exit_code != 0) {
    const std::string said = tools.redactor.Redact(MendUtf8(complaints));
    return VariableProblem{
        .message = absl::StrCat("script ", script.name(), ": ", EndText(result),
                                said.empty() ? "" : ": ", std::string(Tail(said, kMessageBytes))),
        .transient = result.end == ProgramEnd::kTimedOut};
  }
  value = tools.redactor.Redact(MendUtf8(value));
  return std::nullopt;
}

std::optional<VariableProblem> AskService(const StepTools& tools, const v1::HttpVariable& http,
                                          const StepContext& context, std::stop_token stop,
                                          std::string& value) {
  const v1::HttpStep call = workflow::CallOf(http);
  const HttpOutcome outcome = tools.http.Call(call, context.values, kVariableTimeout, stop);
  if (outcome.end == HttpOutcome::End::kStopped)
    return VariableProblem{.message = outcome.message, .stopped = true};
  const std::string complaint =
      outcome.end == HttpOutcome::End::kAnswered ? Complaint(call, outcome) : outcome.message;
  if (!complaint.empty())
    return VariableProblem{.message = complaint, .transient = IsTransient(outcome)};
  if (outcome.body.size() > kVariableBytes)
    return Lasting(absl::StrCat("got a body of more than ", kVariableBytes, " bytes"));
  value = outcome.body;
  if (http.path().empty()) return std::nullopt;
  const absl::StatusOr<nlohmann::json> json = workflow::ParseJson(value, kJsonLimits);
  if (!json.ok()) return Lasting(absl::StrCat("its answer: ", json.status().message()));
  const nlohmann::json* const part = workflow::Find(*json, http.path());
  if (part == nullptr || part->is_null())
    return Lasting(absl::StrCat("its answer has nothing at ", http.path()));
  value = TextOf(*part);
  return std::nullopt;
}

}  // namespace

std::optional<VariableProblem> VariableSources::Fetch(
    const std::vector<const v1::WorkflowVariable*>& wanted, StepContext& context,
    IterationTranscript& transcript, std::stop_token stop, std::vector<std::string>& warnings) {
  for (const v1::WorkflowVariable* variable : wanted) {
    if (context.facts.step.fetched.contains(variable->name())) continue;
    std::string value;
    std::optional<VariableProblem> problem = Get(*variable, context, stop, value);
    if (problem.has_value()) {
      problem->message = absl::StrCat("variable ", variable->name(), ": ", problem->message);
      transcript.Entry(storage::TranscriptRole::kNote, problem->message);
      if (problem->stopped || !variable->has_default_value()) return problem;
      warnings.push_back(absl::StrCat(problem->message, "; its default is used"));
      continue;
    }
    context.facts.step.fetched[variable->name()] = std::move(value);
    context.values = workflow::BuildValues(*context.workflow, context.facts.task,
                                           context.facts.step, context.values.steps);
  }
  return std::nullopt;
}

std::optional<VariableProblem> VariableSources::Get(const v1::WorkflowVariable& variable,
                                                    const StepContext& context,
                                                    std::stop_token stop, std::string& value) {
  const absl::StatusOr<std::string> key = KeyOf(variable, context);
  if (!key.ok()) return Lasting(key.status().message());
  const absl::Duration ttl = TtlOf(variable);
  if (ttl > absl::ZeroDuration()) {
    if (std::optional<std::string> known = Remembered(*key)) {
      value = *std::move(known);
      return std::nullopt;
    }
  }
  std::optional<VariableProblem> problem =
      variable.has_script() ? AskScript(tools_, variable.script(), context, stop, value)
                            : AskService(tools_, variable.http(), context, stop, value);
  if (problem.has_value()) return problem;
  absl::StripTrailingAsciiWhitespace(&value);
  if (ttl > absl::ZeroDuration()) Remember(*key, value, ttl);
  return std::nullopt;
}

std::optional<std::string> VariableSources::Remembered(const std::string& key) {
  absl::MutexLock lock(&mu_);
  const auto found = kept_.find(key);
  if (found == kept_.end() || found->second.until <= tools_.clock.BootTime()) return std::nullopt;
  return found->second.value;
}

// What is over goes, and when it is too much, what would be over first.
void VariableSources::Remember(const std::string& key, const std::string& value,
                               absl::Duration ttl) {
  absl::MutexLock lock(&mu_);
  const absl::Duration now = tools_.clock.BootTime();
  kept_[key] = {value, now + ttl};
  std::erase_if(kept_, [&](const auto& one) { return one.second.until <= now; });
  const auto bytes = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::size_t sum = 0;
    for (const auto& [name, kept] : kept_) sum += name.size() + kept.value.size();
    return sum;
  };
  while (kept_.size() > kMaxKept || bytes() > kMaxKeptBytes) {
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
      return a.second.until < b.second.until;
    }));
  }
}

}  // namespace capstan::worker
