#include "cli/task_input.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "cli/parameters_input.h"
#include "cli/submission.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr std::string_view kShellCharacters = "'\"\\`$|&;<>()*?[]{}~#\n";

absl::StatusOr<v1::CommandLine> FromJson(std::string_view text) {
  const absl::Status wrong =
      absl::InvalidArgumentError(Cat("got ", text, ", want a JSON array of texts"));
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return wrong;
  v1::CommandLine line;
  for (const nlohmann::json& word : json) {
    if (!word.is_string()) return wrong;
    line.add_argv(word.get_ref<const std::string&>());
  }
  return line;
}

absl::Status AddCommands(const Options& options, v1::RunTaskRequest* request) {
  CAPSTAN_ASSIGN_OR_RETURN(const auto commands, SplitPairs("--command", options.task.commands));
  for (const auto& [name, text] : commands) {
    absl::StatusOr<v1::CommandLine> line = ParseCommandLine(text);
    if (!line.ok()) return Annotate(line.status(), Cat("--command ", name));
    (*request->mutable_commands())[name] = *std::move(line);
  }
  return absl::OkStatus();
}

absl::Status AddDescription(const TaskOptions& options, v1::TaskDescription* task) {
  task->set_id(options.id);
  task->set_title(options.title);
  task->set_description(options.description);
  task->set_category(options.category);
  task->set_initiative(options.initiative);
  task->set_requires_ui_testing(options.requires_ui_testing);
  CAPSTAN_ASSIGN_OR_RETURN(const auto criteria, SplitPairs("--criterion", options.criteria));
  for (const auto& [id, text] : criteria) {
    v1::SuccessCriterion& criterion = *task->add_criteria();
    criterion.set_id(id);
    criterion.set_text(text);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::CommandLine> ParseCommandLine(std::string_view text) {
  if (text.starts_with('[')) return FromJson(text);
  if (text.find_first_of(kShellCharacters) != std::string_view::npos) {
    return absl::InvalidArgumentError(
        Cat("got ", text,
            ", want words without quotes or anything else that a shell would read, "
            "or a JSON array of texts"));
  }
  v1::CommandLine line;
  for (absl::string_view word :
       absl::StrSplit(AbslView(text), absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
    line.add_argv(std::string(word));
  }
  if (line.argv().empty()) return absl::InvalidArgumentError("got nothing, want a program");
  return line;
}

absl::StatusOr<v1::RunTaskRequest> MakeTaskRequest(const Options& options) {
  if (options.name.empty() && options.task.weight.empty()) {
    return absl::InvalidArgumentError("WORKFLOW: got nothing, want a workflow's name, or --weight");
  }
  v1::RunTaskRequest request;
  CAPSTAN_RETURN_IF_ERROR(FillSubmission(options, &request));
  request.set_workflow(options.name);
  request.set_weight(options.task.weight);
  CAPSTAN_RETURN_IF_ERROR(AddDescription(options.task, request.mutable_task()));
  CAPSTAN_ASSIGN_OR_RETURN(const auto inputs, SplitPairs("--input", options.task.inputs));
  for (const auto& [key, value] : inputs) (*request.mutable_inputs())[key] = value;
  CAPSTAN_RETURN_IF_ERROR(AddCommands(options, &request));
  if (!options.task.repository.empty() || !options.task.base_ref.empty()) {
    request.mutable_repository()->set_path(options.task.repository);
    request.mutable_repository()->set_base_ref(options.task.base_ref);
  }
  request.set_max_cost_microusd(options.task.max_cost_microusd);
  request.set_profile(options.task.profile);
  request.set_project(options.task.project);
  request.set_budget_override(options.task.budget_override);
  request.set_context(options.task.context);
  return request;
}

}  // namespace capstan::cli
