#include "cli/options.h"

#include <sstream>

#include "absl/strings/str_join.h"
#include "cli/exit_code.h"
#include "cli/option_kit.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 ok; 1 execution failed, or a check found something; 2 usage; 3 rejected by "
    "policy;\n"
    "4 timed out waiting; 5 cancelled; 6 outcome unknown; 64 + gRPC code when the call failed;\n"
    "130 interrupted (the execution goes on).\n";

// "--flag=" without a value, as an unset variable in a script leaves it: the parser would take the
// next word for the value.
bool LacksValue(const std::string& argument) {
  return argument.rfind("--", 0) == 0 && argument.find('=') == argument.size() - 1;
}

// As CLI11 takes them: last first, and empty values as words of their own.
std::vector<std::string> ForParser(const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed;
  for (auto argument = arguments.rbegin(); argument != arguments.rend(); ++argument) {
    if (LacksValue(*argument)) {
      reversed.emplace_back();
      reversed.push_back(argument->substr(0, argument->size() - 1));
    } else {
      reversed.push_back(*argument);
    }
  }
  return reversed;
}

// What is wrong with the words that name the command; empty when they name one.
std::string CommandProblem(const CLI::App& root) {
  const CLI::App* app = &root;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  std::vector<std::string> known;
  for (const CLI::App* command : app->get_subcommands({})) known.push_back(command->get_name());
  if (known.empty()) return "";
  const std::vector<std::string> rest = root.remaining(true);
  return Cat("Error: ", app->get_name(), ": got ",
             rest.empty() ? "nothing" : Cat("\"", rest.front(), "\""), ", want one of ",
             absl::StrJoin(known, ", "), "\nRun with --help for more information.\n");
}

}  // namespace

void AddOtherCommands(CLI::App* root, Options* options) {
  CLI::App* workers = AddGroup(root, "worker", "See the fleet");
  AddCommand(workers, "list", "List the workers", Command::kWorkerList, options);
  CLI::App* audit = AddGroup(root, "audit", "Check the audit log");
  AddCommand(audit, "verify",
             "Recompute the hashes of the whole audit log; exit code 1 when it is not whole",
             Command::kAuditVerify, options);

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

ParsedOptions ParseOptions(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment) {
  Options options;
  auto set = [&](const char* variable, std::string* field) {
    if (auto found = environment.find(variable); found != environment.end()) *field = found->second;
  };
  set("CAPSTAN_ADDRESS", &options.address);
  set("CAPSTAN_CA_FILE", &options.ca_file);
  set("CAPSTAN_CALLER", &options.caller);

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
  app.add_option("--caller", options.caller,
                 "Who is calling, for development: a server believes it only with "
                 "listen.development_identity, which it takes only on a loopback address or a unix "
                 "socket (also CAPSTAN_CALLER)")
      ->type_name("NAME");
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
  AddTaskCommands(&app, &options);
  AddWorkflowCommands(&app, &options);
  AddApprovalCommands(&app, &options);
  AddStopCommands(&app, &options);
  AddTargetCommands(&app, &options);
  AddBudgetCommands(&app, &options);
  AddPolicyCommands(&app, &options);
  AddOtherCommands(&app, &options);

  std::vector<std::string> reversed = ForParser(arguments);
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    const bool required = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    if (std::string problem = required ? CommandProblem(app) : ""; !problem.empty())
      return {.options = std::nullopt, .usage = {.exit_code = kUsage, .text = std::move(problem)}};
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
