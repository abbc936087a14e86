#include "worker/phases/engines.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "core/find_program.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/phases/script.h"
#include "worker/phases/scripted_engine.h"
#include "worker/phases/small_file.h"

namespace capstan::phases {
namespace {

absl::Status CheckAddress(std::string_view field, const std::string& url) {
  if (url.starts_with("https://") || url.starts_with("http://")) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat(field, ".base_url: got \"", url, "\", want http(s)://…"));
}

absl::Status CheckModel(std::string_view field, const ModelTable& models, const std::string& name) {
  if (models.Find(name) != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat(field, ".default_model: got \"", name, "\", want one of ", models.KnownNames()));
}

// Read again for every call: here only so that a wrong path shows at once.
absl::Status CheckKey(std::string_view field, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  return Annotate(ReadKeyFile(path).status(), Cat(field, ".api_key_file"));
}

absl::Status CheckScratch(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!path.starts_with('/') || access(path.c_str(), W_OK) != 0) {
    return absl::FailedPreconditionError(Cat("claude_cli.scratch: got \"", path,
                                             "\", want an absolute path of a folder to write in"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ClaudeOptions> Checked(ClaudeOptions options, const ModelTable& models) {
  CAPSTAN_ASSIGN_OR_RETURN(options.program, FindProgram(options.program));
  if (access(options.program.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        Cat("claude_cli.program: got ", options.program, ", want a program that can be run"));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckModel("claude_cli", models, options.default_model));
  CAPSTAN_RETURN_IF_ERROR(CheckKey("claude_cli", options.api_key_file));
  CAPSTAN_RETURN_IF_ERROR(CheckScratch(options.scratch));
  if (!options.base_url.empty()) {
    CAPSTAN_RETURN_IF_ERROR(CheckAddress("claude_cli", options.base_url));
  }
  return options;
}

absl::StatusOr<MessagesOptions> Checked(MessagesOptions options, const ModelTable& models) {
  CAPSTAN_RETURN_IF_ERROR(CheckModel("messages_api", models, options.default_model));
  CAPSTAN_RETURN_IF_ERROR(CheckKey("messages_api", options.api_key_file));
  CAPSTAN_RETURN_IF_ERROR(CheckAddress("messages_api", options.base_url));
  if (options.max_output_tokens < 1) {
    return absl::InvalidArgumentError(Cat("messages_api.max_output_tokens: got ",
                                          options.max_output_tokens, ", want at least 1"));
  }
  return options;
}

}  // namespace

absl::StatusOr<std::vector<std::unique_ptr<PhaseEngine>>> MakeEngines(const EngineOptions& options,
                                                                      process::Runner& runner,
                                                                      Clock& clock) {
  std::vector<std::unique_ptr<PhaseEngine>> engines;
  if (options.claude_cli.has_value() || options.messages_api.has_value()) {
    CAPSTAN_ASSIGN_OR_RETURN(const ModelTable models, ModelTable::Load(options.models_file));
    if (options.claude_cli.has_value()) {
      CAPSTAN_ASSIGN_OR_RETURN(ClaudeOptions claude, Checked(*options.claude_cli, models));
      engines.push_back(std::make_unique<ClaudeEngine>(std::move(claude), models, runner, clock));
    }
    if (options.messages_api.has_value()) {
      CAPSTAN_ASSIGN_OR_RETURN(MessagesOptions messages, Checked(*options.messages_api, models));
      engines.push_back(std::make_unique<MessagesEngine>(std::move(messages), models, clock));
    }
  }
  if (!options.script_file.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(Script script, Script::Load(options.script_file));
    engines.push_back(std::make_unique<ScriptedEngine>(std::move(script), clock));
  }
  return engines;
}

}  // namespace capstan::phases
