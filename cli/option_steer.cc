// The options of the commands that decide, stop, clear and check.
#include "cli/option_kit.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

// A stop must never cover something else than was meant, such as the flag that follows a forgotten
// value.
void AddScope(CLI::App* scope, const std::string& flag, std::string* value,
              const std::string& help) {
  scope
      ->add_option_function<std::string>(
          flag,
          [flag, value](const std::string& text) {
            if (text.empty() || text.front() == '-') {
              throw CLI::ValidationError(flag, Cat("got \"", text, "\", want a name"));
            }
            *value = text;
          },
          help)
      ->type_name("NAME");
}

}  // namespace

void AddApprovalCommands(CLI::App* root, Options* options) {
  CLI::App* group =
      AddGroup(root, "approval", "See and decide the approvals that the rules ask for");
  CLI::App* list = AddCommand(group, "list", "List open approvals, oldest first",
                              Command::kApprovalList, options);
  AddLimit(list, options);
  CLI::App* show = AddCommand(group, "show", "Show the plan that is to be approved",
                              Command::kApprovalShow, options);
  AddName(show, "EXECUTION", kExecutionNameHelp, options);
  const auto add_decision = [&](const char* name, const char* help, Command command) {
    CLI::App* decide = AddCommand(group, name, help, command, options);
    AddName(decide, "EXECUTION", kExecutionNameHelp, options);
    AddReason(decide, options);
    AddPlanDigest(decide, options);
  };
  add_decision("approve", "Say yes to the plan of one execution", Command::kApprovalApprove);
  add_decision("reject", "Say no: the execution fails", Command::kApprovalReject);
}

void AddStopCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "stop", "Emergency stops: keep things from being launched");
  CLI::App* create = AddCommand(group, "create", "Stop launches from now on; Jobs that run go on",
                                Command::kStopCreate, options);
  CLI::Option_group* scope = create->add_option_group("Scope", "What it covers: exactly one");
  scope->add_flag("--all", options->stop_all, "Everything");
  AddScope(scope, "--namespace", &options->stop_namespace, "Targets in this namespace");
  AddScope(scope, "--action", &options->stop_action, "One action");
  AddScope(scope, "--worker", &options->stop_worker, "One worker: workers/UUID, or the UUID alone");
  scope->require_option(1);
  AddReason(create, options);
  create->add_flag("--cancel-running", options->cancel_running,
                   "Also cancel what has been launched in its scope; the Jobs are deleted");
  create
      ->add_option("--request-id", options->request_id,
                   "UUID that makes the call idempotent (default: a new one)")
      ->type_name("UUID");
  AddCommand(group, "list", "List the stops in force, newest first", Command::kStopList, options);
  CLI::App* lift =
      AddCommand(group, "lift", "End a stop; what it held starts", Command::kStopLift, options);
  AddName(lift, "STOP", "stops/NUMBER, or the number alone", options);
  AddReason(lift, options);
  lift->add_flag("--dry-run", options->dry_run, "Only show what would start");
}

void AddTargetCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "target", "See who holds and what blocks targets");
  CLI::App* list =
      AddCommand(group, "list", "List targets that are held, waited for or blocked, by name",
                 Command::kTargetList, options);
  AddLimit(list, options);
  CLI::App* clear = AddCommand(
      group, "clear", "Take back the block that a failure left; what waits for the target goes on",
      Command::kTargetClear, options);
  AddName(clear, "TARGET", "targets/KIND/NAMESPACE/NAME or targets/KIND/NAME", options);
  AddReason(clear, options);
}

void AddBudgetCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "budget", "See and say what the tasks of projects may cost");
  AddCommand(group, "list", "List projects that have a budget or spent something this month",
             Command::kBudgetList, options);
  CLI::App* set =
      AddCommand(group, "set", "Say what a project may cost in a month; what waits for it goes on",
                 Command::kBudgetSet, options);
  AddName(set, "PROJECT", "Name of the project", options);
  AddUsd(set, "AMOUNT", 0, &options->limit_microusd, "US dollars a month; 0: no limit")->required();
  AddReason(set, options);
}

}  // namespace capstan::cli
