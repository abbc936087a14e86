#include <cctype>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/ids.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/phases/claude_engine.h"
#include "worker/phases/json.h"

namespace capstan::phases {
namespace {

constexpr int kMaxTurns = 1000;
// Run by the CLI's shell: the key is in no environment and in no argument.
constexpr char kKeyHelper[] = "cat \"$CAPSTAN_SECRETS/api_key\"";

absl::Status Invalid(std::string_view field, std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(Cat(field, ": got ", got, ", want ", want));
}

// The CLI takes several tools in one argument, and what begins with a dash as an option.
absl::Status CheckTool(const std::string& tool) {
  const bool good = !tool.empty() && std::isalpha(static_cast<unsigned char>(tool[0])) != 0 &&
                    tool.find(',') == std::string::npos && tool.find('\n') == std::string::npos;
  if (!good) return Invalid("tools", Cat("\"", tool, "\""), "a name such as Edit or Bash(git *)");
  return absl::OkStatus();
}

absl::Status Check(const PhaseRequest& request) {
  if (!ExecutionId::Parse(request.session).has_value()) {
    return Invalid("session", Cat("\"", request.session, "\""), "a uuid");
  }
  if (request.workspace.empty() || request.workspace[0] != '/') {
    return Invalid("workspace", Cat("\"", request.workspace, "\""), "an absolute path");
  }
  if (request.max_turns < 1 || request.max_turns > kMaxTurns) {
    return Invalid("max_turns", Cat(request.max_turns), Cat("1 to ", kMaxTurns));
  }
  if (request.tools.size() > ClaudeEngine::kMaxTools) {
    return Invalid("tools", Cat(request.tools.size()), Cat("at most ", ClaudeEngine::kMaxTools));
  }
  for (const std::string& tool : request.tools) CAPSTAN_RETURN_IF_ERROR(CheckTool(tool));
  for (const std::string* text : {&request.schema, &request.system_prompt}) {
    if (text->size() <= ClaudeEngine::kMaxArgumentBytes) continue;
    return Invalid(text == &request.schema ? "schema" : "system_prompt",
                   Cat(text->size(), " bytes"), Cat("at most ", ClaudeEngine::kMaxArgumentBytes));
  }
  if (!request.schema.empty() && !ParseJson(request.schema).has_value()) {
    return Invalid("schema", "no JSON", "a JSON schema");
  }
  return absl::OkStatus();
}

void AddTools(const std::vector<std::string>& tools, std::vector<std::string>& argv) {
  std::vector<std::string> names;
  for (const std::string& tool : tools) names.push_back(tool.substr(0, tool.find('(')));
  argv.insert(argv.end(), {"--tools", absl::StrJoin(names, ",")});
  if (!tools.empty()) argv.insert(argv.end(), {"--allowedTools", absl::StrJoin(tools, ",")});
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ClaudeArguments(const ClaudeOptions& options,
                                                         const PhaseRequest& request,
                                                         const Model& model) {
  CAPSTAN_RETURN_IF_ERROR(Check(request));
  std::vector<std::string> argv = {options.program,
                                   "-p",
                                   "--output-format",
                                   "stream-json",
                                   "--verbose",
                                   "--include-partial-messages",
                                   "--model",
                                   model.name,
                                   "--max-turns",
                                   Cat(request.max_turns),
                                   request.resume ? "--resume" : "--session-id",
                                   request.session,
                                   "--setting-sources",
                                   "",
                                   "--strict-mcp-config",
                                   "--permission-mode",
                                   "dontAsk"};
  AddTools(request.tools, argv);
  if (!request.schema.empty()) argv.insert(argv.end(), {"--json-schema", request.schema});
  if (!request.system_prompt.empty()) {
    argv.insert(argv.end(), {"--append-system-prompt", request.system_prompt});
  }
  if (request.max_cost_microusd > 0) {
    argv.insert(argv.end(),
                {"--max-budget-usd",
                 absl::StrFormat("%.6f", static_cast<double>(request.max_cost_microusd) / 1e6)});
  }
  if (!options.api_key_file.empty()) {
    argv.insert(argv.end(), {"--settings", JsonText({{"apiKeyHelper", kKeyHelper}})});
  }
  return argv;
}

}  // namespace capstan::phases
