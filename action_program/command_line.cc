#include "action_program/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "absl/time/time.h"
#include "action_program/json_patch.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::action_program {
namespace {

using Json = nlohmann::json;

constexpr char kDescription[] =
    "What the built-in actions do to a cluster where kubectl cannot: each verb is safe to run "
    "again.";

// What the options of all verbs are read into, besides a Command.
struct Raw {
  Command command;
  std::string patch;
};

CLI::App* AddVerb(CLI::App& app, Raw& raw, const std::string& name, const std::string& description,
                  const std::string& kind) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->add_option("--namespace", raw.command.name_space, "Namespace of the " + kind)->required();
  verb->add_option("name", raw.command.name, "Name of the " + kind + "; give it after \"--\"")
      ->required();
  return verb;
}

std::map<const CLI::App*, Verb> AddVerbs(CLI::App& app, Raw& raw) {
  Command& command = raw.command;
  std::map<const CLI::App*, Verb> verbs;
  CLI::App* verb =
      AddVerb(app, raw, "restart-deployment", "Replace its pods by a rollout", "Deployment");
  verb->add_option("--at", command.at, "Time of the restart, RFC 3339: the same again is a no-op")
      ->required();
  verbs[verb] = Verb::kRestartDeployment;

  verb = AddVerb(app, raw, "delete-pod", "Delete this very pod and wait until it is gone", "Pod");
  verb->add_option("--uid", command.uid, "Its uid: a namesake is not touched")->required();
  verb->add_option("--grace", command.grace_seconds, "Seconds it may take to stop");
  verbs[verb] = Verb::kDeletePod;

  verb = AddVerb(app, raw, "patch-config-map", "Apply a JSON Patch to its data", "ConfigMap");
  verb->add_option("--resource-version", command.resource_version,
                   "The version that was read: any other is refused")
      ->required();
  verb->add_option("--patch", raw.patch, "JSON Patch (RFC 6902) of /data and /binaryData")
      ->required();
  verbs[verb] = Verb::kPatchConfigMap;

  verb = AddVerb(app, raw, "backup-secret", "Keep its data in a Secret elsewhere", "Secret");
  verb->add_option("--to-namespace", command.backup_namespace, "Namespace of the backup")
      ->required();
  verb->add_option("--to", command.backup_name, "Name of the backup")->required();
  verbs[verb] = Verb::kBackupSecret;

  verb = AddVerb(app, raw, "patch-secret", "Apply a JSON Patch to its data", "Secret");
  verb->add_option("--patch-file", command.patch_file, "File with a JSON Patch (RFC 6902) of /data")
      ->required();
  verbs[verb] = Verb::kPatchSecret;

  verb = AddVerb(app, raw, "restore-secret", "Give it the data of its backup back", "Secret");
  verb->add_option("--from-namespace", command.backup_namespace, "Namespace of the backup")
      ->required();
  verb->add_option("--from", command.backup_name, "Name of the backup")->required();
  verbs[verb] = Verb::kRestoreSecret;
  return verbs;
}

// CLI11 takes the next argument as the value of "--name=".
absl::Status RefuseEmptyValues(const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg.starts_with("--") && arg.find('=') == arg.size() - 1) {
      return absl::InvalidArgumentError(Cat(arg, " got nothing, want a value"));
    }
  }
  return absl::OkStatus();
}

// An empty value would address a collection, or switch a guard off.
absl::Status RequireText(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options()) {
    if (!option->get_required() || !option->as<std::string>().empty()) continue;
    return absl::InvalidArgumentError(Cat(option->get_name(), ": got nothing, want a value"));
  }
  return absl::OkStatus();
}

absl::Status Check(const Raw& raw, Command* command) {
  if (command->verb == Verb::kRestartDeployment) {
    absl::Time time;
    std::string error;
    if (!absl::ParseTime(absl::RFC3339_full, command->at, &time, &error)) {
      return absl::InvalidArgumentError(
          Cat("--at: got \"", command->at, "\", want a time as 2026-01-02T03:04:05Z"));
    }
  }
  if (command->grace_seconds < 0 || command->grace_seconds > kMaxGraceSeconds) {
    return absl::InvalidArgumentError(
        Cat("--grace: got ", command->grace_seconds, ", want 0 to ", kMaxGraceSeconds));
  }
  if (command->verb == Verb::kPatchConfigMap) {
    command->patch = Json::parse(raw.patch, nullptr, /*allow_exceptions=*/false);
    CAPSTAN_RETURN_IF_ERROR(
        Annotate(CheckJsonPatch(command->patch, {"/data", "/binaryData"}), "--patch"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& args) {
  CAPSTAN_RETURN_IF_ERROR(RefuseEmptyValues(args));
  Raw raw;
  CLI::App app(kDescription, "capstan-action");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", std::string("capstan-action ") + CAPSTAN_VERSION);
  app.add_option("--kubeconfig", raw.command.kubeconfig, "Without it, the pod's own account");
  app.add_option("--context", raw.command.context, "Context of the kubeconfig");
  const std::map<const CLI::App*, Verb> verbs = AddVerbs(app, raw);
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 takes them
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    return absl::CancelledError(chosen.empty() ? app.help() : chosen.front()->help());
  } catch (const CLI::CallForVersion& version) {
    return absl::CancelledError(Cat(version.what(), "\n"));
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  const CLI::App* chosen = app.get_subcommands().front();
  raw.command.verb = verbs.at(chosen);
  CAPSTAN_RETURN_IF_ERROR(RequireText(*chosen));
  CAPSTAN_RETURN_IF_ERROR(Check(raw, &raw.command));
  return raw.command;
}

}  // namespace capstan::action_program
