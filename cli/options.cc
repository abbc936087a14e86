#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "cli/exit_code.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kMaxLimit = 100000;  // executions that one listing prints

constexpr char kFooter[] =
    "Exit codes: 0 ok; 1 execution failed; 2 usage; 3 rejected by policy; 4 timed out waiting; 5 "
    "cancelled;\n"
    "6 outcome unknown; 64 + gRPC code when the call failed; 130 interrupted (the execution goes "
    "on).\n";

// Durations are read with Abseil: 90s, 5m, 1h.
std::string ReadDuration(const std::string& text, absl::Duration* duration) {
  if (absl::ParseDuration(text, duration) && *duration > absl::ZeroDuration()) return "";
  return Cat("got \"", text, "\", want a duration such as 90s or 5m");
}

void AddDuration(CLI::App* app, const std::string& flag, absl::Duration* duration,
                 const std::string& help) {
  app->add_option_function<std::string>(
         flag,
         [flag, duration](const std::string& text) {
           if (std::string error = ReadDuration(text, duration); !error.empty()) {
             throw CLI::ValidationError(flag, error);
           }
         },
         help)
      ->type_name("DURATION");
}

// An option that may be repeated, with one value each time: it never eats the words that follow.
void AddRepeated(CLI::App* app, const std::string& flag, std::vector<std::string>* values,
                 const std::string& type, const std::string& help) {
  app->add_option(flag, *values, help)->allow_extra_args(false)->type_name(type);
}

// A sub-command that, when chosen, sets options.command.
CLI::App* AddCommand(CLI::App* group, const std::string& name, const std::string& help,
                     Command command, Options* options) {
  CLI::App* app = group->add_subcommand(name, help);
  app->fallthrough();
  app->callback([options, command] { options->command = command; });
  return app;
}

CLI::App* AddGroup(CLI::App* root, const std::string& name, const std::string& help) {
  CLI::App* group = root->add_subcommand(name, help);
  group->require_subcommand(1);
  group->fallthrough();
  return group;
}

void AddName(CLI::App* app, const std::string& what, const std::string& help, Options* options) {
  app->add_option(what, options->name, help)->required();
}

void AddActionCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "action", "Run actions and see which there are");
  CLI::App* run =
      AddCommand(group, "run", "Run an action and wait for its end", Command::kActionRun, options);
  AddName(run, "ACTION", "Name of the action, such as ScaleDeployment", options);
  AddRepeated(run, "-p,--parameter", &options->parameters, "NAME=VALUE",
              "A parameter; may be repeated");
  run->add_option("--parameters-file", options->parameters_file,
                  "File with a JSON object of parameters, - for standard input; -p goes over it")
      ->type_name("FILE");
  run->add_option(
         "--request-id", options->request_id,
         "UUID that makes the run idempotent: the same one never runs twice (default: a new one)")
      ->type_name("UUID");
  run->add_flag("--dry-run", options->dry_run, "Stop after policy, launch nothing, show the plan");
  AddRepeated(run, "--label", &options->labels, "KEY=VALUE",
              "A label to find the execution by; may be repeated");
  run->add_option("--parent", options->parent, "Name of the workflow whose step this is");
  run->add_option("--parent-step", options->parent_step, "Number of the step, from 1")
      ->check(CLI::Range(1, 1 << 30));
  run->add_option("--priority", options->priority, "1 (first) to 5 (last), 3 by default")
      ->check(CLI::Range(1, 5));
  AddDuration(run, "--timeout", &options->timeout,
              "How long the action may run (default: the action's)");
  run->add_flag("--no-wait", options->no_wait, "Return as soon as the request is stored");
  AddDuration(run, "--wait-timeout", &options->wait_timeout,
              "Stop waiting after this long; the execution goes on");

  AddCommand(group, "list", "List the actions", Command::kActionList, options);
  CLI::App* show = AddCommand(group, "show", "Show one action and its parameters",
                              Command::kActionShow, options);
  AddName(show, "ACTION", "Name of the action", options);
}

void AddExecutionCommands(CLI::App* root, Options* options) {
  const std::string name_help = "executions/UUID, or the UUID alone";
  CLI::App* group = AddGroup(root, "execution", "See, watch and cancel executions");
  CLI::App* get = AddCommand(group, "get", "Show one execution", Command::kExecutionGet, options);
  AddName(get, "EXECUTION", name_help, options);
  get->add_flag("--events", options->events, "Show its events instead");
  CLI::App* list =
      AddCommand(group, "list", "List executions, newest first", Command::kExecutionList, options);
  list->add_option("--filter", options->filter,
                   "Terms joined by AND, such as: action = \"ScaleDeployment\" AND state = FAILED")
      ->type_name("FILTER");
  list->add_option("--limit", options->limit, "At most this many (default 50)")
      ->check(CLI::Range(1, kMaxLimit));
  CLI::App* watch = AddCommand(group, "watch", "Follow one execution to its end",
                               Command::kExecutionWatch, options);
  AddName(watch, "EXECUTION", name_help, options);
  AddDuration(watch, "--wait-timeout", &options->wait_timeout, "Stop waiting after this long");
  CLI::App* cancel = AddCommand(group, "cancel", "Ask to cancel one execution",
                                Command::kExecutionCancel, options);
  AddName(cancel, "EXECUTION", name_help, options);
  cancel->add_option("--reason", options->reason, "Why, for the record");
  CLI::App* logs =
      AddCommand(group, "logs", "Print what the action's program wrote, as it is, whatever -o says",
                 Command::kExecutionLogs, options);
  AddName(logs, "EXECUTION", name_help, options);
  logs->add_flag("-f,--follow", options->follow, "Go on until the execution has ended");
  logs->add_option("--offset", options->offset, "First byte wanted")->check(CLI::NonNegativeNumber);
}

void AddOtherCommands(CLI::App* root, Options* options) {
  CLI::App* workers = AddGroup(root, "worker", "See the fleet");
  AddCommand(workers, "list", "List the workers", Command::kWorkerList, options);

  CLI::App* manifests = AddCommand(
      root, "manifests",
      "Print what an administrator applies to a cluster: capstan manifests | kubectl apply -f -",
      Command::kManifests, options);
  manifests
      ->add_option("--catalog-dir", options->catalog_dir,
                   "Folder with actions/*.yaml (default: catalog)")
      ->type_name("DIR");
  manifests->add_option("--actions-namespace", options->actions_namespace,
                        "Namespace in which Jobs run");
  manifests->add_option("--system-namespace", options->system_namespace,
                        "Namespace of the worker's account");
  manifests->add_option("--worker-account", options->worker_account,
                        "Name of the worker's account");
  AddRepeated(manifests, "--target-namespace", &options->target_namespaces, "NAMESPACE",
              "Namespace whose objects actions may change; may be repeated (default: all)");
  AddRepeated(manifests, "--image", &options->images, "ALIAS=IMAGE",
              "Pinned image of a runner; may be repeated");
  AddCommand(root, "version", "Print the version of this program", Command::kVersion, options);
}

}  // namespace

ParsedOptions ParseOptions(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment) {
  Options options;
  if (auto found = environment.find("CAPSTAN_ADDRESS"); found != environment.end())
    options.address = found->second;
  if (auto found = environment.find("CAPSTAN_CA_FILE"); found != environment.end())
    options.ca_file = found->second;

  CLI::App app("Runs operational work safely.", "capstan");
  app.require_subcommand(1);
  app.footer(kFooter);
  CLI::Option* address = app.add_option(
      "--address", options.address,
      "Server, host:port or unix:/path (default 127.0.0.1:50051; also CAPSTAN_ADDRESS)");
  app.add_option("--ca-file", options.ca_file,
                 "PEM file with the CA of the server's certificate; without it plain text (also "
                 "CAPSTAN_CA_FILE)")
      ->type_name("FILE");
  app.add_option_function<std::string>(
         "-o,--output",
         [&options](const std::string& text) {
           if (text != "text" && text != "json") {
             throw CLI::ValidationError("--output", Cat("got \"", text, "\", want text or json"));
           }
           options.output = text == "json" ? Output::kJson : Output::kText;
         },
         "text, or json: the message of the API")
      ->type_name("FORMAT");
  AddActionCommands(&app, &options);
  AddExecutionCommands(&app, &options);
  AddOtherCommands(&app, &options);

  // CLI11 takes them last first.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const bool help = app.exit(error, out, err) == 0;
    return {.options = std::nullopt,
            .usage = {.exit_code = help ? kOk : kUsage,
                      .text = help ? out.str() : Cat("Error: ", err.str())}};
  }
  options.address_given = address->count() > 0;
  return {.options = std::move(options), .usage = {}};
}

}  // namespace capstan::cli
