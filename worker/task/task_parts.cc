#include "worker/task/task_parts.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/config/validate.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "worker/phases/engines.h"

namespace capstan::worker {
namespace {

constexpr char kModelHomes[] = ".model-homes";  // below the workspaces; none begins with a dot

absl::StatusOr<std::string> MakeFolder(const std::string& field, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) {
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (!error) return real.string();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": ", path, " cannot be made: ", error.message()));
}

// Contents of key files: what must never be kept or shown.
std::vector<std::string> SecretsOf(const config::v1::TasksConfig& config) {
  std::vector<std::string> paths = {config.claude_cli().api_key_file(),
                                    config.messages_api().api_key_file()};
  for (const auto& [name, path] : config.http().secret_files()) paths.push_back(path);
  std::vector<std::string> secrets;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    std::string text(std::istreambuf_iterator<char>(file), {});
    absl::StripAsciiWhitespace(&text);
    if (text.empty()) continue;
    for (std::string& form : SecretForms(text)) secrets.push_back(std::move(form));
  }
  return secrets;
}

absl::StatusOr<HttpCallOptions> CallsFrom(const config::v1::HttpCallsConfig& config) {
  HttpCallOptions options;
  for (const std::string& entry : config.allowed()) {
    CAPSTAN_ASSIGN_OR_RETURN(options.allowed.emplace_back(), ParseAllowedHost(entry));
  }
  options.secret_files = {config.secret_files().begin(), config.secret_files().end()};
  options.ca_file = config.ca_file();
  const auto readable = [](const std::string& field, const std::string& path) {
    if (path.empty() || std::ifstream(path).good()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(field, ": ", path, " cannot be read"));
  };
  CAPSTAN_RETURN_IF_ERROR(readable("tasks.http.ca_file", options.ca_file));
  for (const auto& [name, path] : options.secret_files)
    CAPSTAN_RETURN_IF_ERROR(readable(absl::StrCat("tasks.http.secret_files.", name), path));
  return options;
}

absl::Status CheckFolder(const std::string& field, const std::string& path) {
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(field, ": ", path, " is no folder"));
}

phases::EngineOptions EnginesFrom(const config::v1::WorkerConfig& config,
                                  const std::string& scratch) {
  const config::v1::TasksConfig& tasks = config.tasks();
  phases::EngineOptions options;
  options.models_file = absl::StrCat(config.catalog_dir(), "/models.yaml");
  options.script_file = tasks.script_file();
  if (!tasks.claude_cli().program().empty()) {
    options.claude_cli =
        phases::ClaudeOptions{.program = tasks.claude_cli().program(),
                              .base_url = tasks.claude_cli().base_url(),
                              .api_key_file = tasks.claude_cli().api_key_file(),
                              .ca_file = tasks.claude_cli().ca_file(),
                              .default_model = tasks.model(),
                              .scratch = scratch,
                              .readable = {tasks.readable().begin(), tasks.readable().end()},
                              .memory_bytes = std::int64_t{tasks.memory_mib()} << 20,
                              .max_processes = static_cast<int>(tasks.max_processes()),
                              .disk_bytes = std::int64_t{tasks.workspace_mib()} << 20,
                              .disk_files = tasks.workspace_files(),
                              .sandbox = tasks.sandbox()};
  }
  if (!tasks.messages_api().base_url().empty()) {
    options.messages_api =
        phases::MessagesOptions{.base_url = tasks.messages_api().base_url(),
                                .api_key_file = tasks.messages_api().api_key_file(),
                                .ca_file = tasks.messages_api().ca_file(),
                                .default_model = tasks.model(),
                                .calls_per_minute = tasks.messages_api().calls_per_minute()};
  }
  return options;
}

StepOptions StepsFrom(const config::v1::TasksConfig& config) {
  StepOptions options;
  options.default_engine = config.engine();
  options.default_model = config.model();
  options.environment = {config.program_environment().begin(), config.program_environment().end()};
  options.readable.assign(config.readable().begin(), config.readable().end());
  options.sandbox = config.sandbox();
  options.network = config.network();
  options.memory_bytes = std::int64_t{config.memory_mib()} << 20;
  options.max_processes = static_cast<int>(config.max_processes());
  options.workspace_bytes = std::int64_t{config.workspace_mib()} << 20;
  options.workspace_files = config.workspace_files();
  options.stall = config::ToDuration(config.stall_timeout());
  options.scripts_dir = config.scripts_dir();
  return options;
}

std::map<std::string, std::string> EnvironmentFor(const config::v1::TasksConfig& config) {
  std::map<std::string, std::string> environment;
  for (const std::string& name : config.workflow_environment()) {
    const char* const value = std::getenv(name.c_str());
    if (value != nullptr) environment[name] = value;
  }
  return environment;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TaskParts>> TaskParts::Make(const config::v1::WorkerConfig& config,
                                                           const TaskSurroundings& around) {
  const config::v1::TasksConfig& tasks = config.tasks();
  if (tasks.workspace_dir().empty()) return std::unique_ptr<TaskParts>();
  std::unique_ptr<TaskParts> parts(new TaskParts(Redactor(SecretsOf(tasks))));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string root,
                           MakeFolder("tasks.workspace_dir", tasks.workspace_dir()));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string homes,
                           MakeFolder("tasks.workspace_dir", absl::StrCat(root, "/", kModelHomes)));
  // Shorter than what is between the moment that this worker stops acting and the one that others
  // may go on: a fifth of lease.ttl.
  const absl::Duration grace =
      std::min(absl::Seconds(2), config::ToDuration(config.lease().ttl()) / 10);
  process::Options processes;
  processes.supervisor = tasks.supervisor();
  processes.grace = grace;
  processes.silence = config::ToDuration(config.lease().ttl()) / 2;  // so a worker that hangs
  CAPSTAN_ASSIGN_OR_RETURN(parts->processes_, process::MakeRunner(processes));
  parts->steps_ = StepsFrom(tasks);
  CAPSTAN_RETURN_IF_ERROR(CheckFolder("tasks.scripts_dir", tasks.scripts_dir()));
  CAPSTAN_ASSIGN_OR_RETURN(HttpCallOptions calls, CallsFrom(tasks.http()));
  parts->http_ = std::make_unique<HttpCalls>(std::move(calls), parts->redactor_, around.clock);
  CAPSTAN_ASSIGN_OR_RETURN(parts->engines_, phases::MakeEngines(EnginesFrom(config, homes),
                                                                *parts->processes_, around.clock));
  for (const auto& engine : parts->engines_)
    parts->by_name_[std::string(engine->name())] = engine.get();
  parts->workspaces_ =
      std::make_unique<git::Workspaces>(*parts->processes_, git::WorkspacesOptions{.root = root});
  parts->effects_ = std::make_unique<TaskEffects>(
      around.policy, *parts->workspaces_, around.tracer, around.metrics,
      TaskEffectsOptions{.repositories = {tasks.repositories().begin(), tasks.repositories().end()},
                         .environment = config.policy().environment()});
  parts->runner_ = std::make_unique<TaskRunner>(
      around.committer, around.leases, around.store, *parts->effects_,
      StepTools{parts->steps_, *parts->processes_, parts->by_name_, parts->redactor_,
                around.catalog, *parts->http_, around.clock,
                [&leases = around.leases] { return leases.DatabaseNow(); }},
      around.held, around.pool, around.clock, around.tracer, around.metrics,
      TaskRunnerOptions{.max_tasks = static_cast<int>(tasks.max_tasks()),
                        .environment = EnvironmentFor(tasks)});
  Log(Level::kInfo, "tasks are taken",
      {{"workspaces", root}, {"engines", static_cast<int>(parts->engines_.size())}});
  return parts;
}

}  // namespace capstan::worker
