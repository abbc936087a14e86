// The options of `capstan action …` and `capstan execution …`.
#include "cli/option_kit.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

void AddConflict(CLI::App* run, Options* options) {
  run->add_option_function<std::string>(
         "--on-conflict",
         [options](const std::string& text) {
           if (text == "wait") {
             options->on_conflict = v1::Execution::ON_CONFLICT_WAIT;
           } else if (text == "reject") {
             options->on_conflict = v1::Execution::ON_CONFLICT_REJECT;
           } else if (text == "coalesce") {
             options->on_conflict = v1::Execution::ON_CONFLICT_COALESCE;
           } else {
             throw CLI::ValidationError("--on-conflict",
                                        Cat("got \"", text, "\", want wait, reject or coalesce"));
           }
         },
         "When the target is busy: wait in line (default), reject: fail at once, or coalesce: "
         "wait, but give up for a later one of the same action")
      ->type_name("wait|reject|coalesce");
}

}  // namespace

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
  run->add_flag("--dry-run", options->dry_run, "Stop after policy, launch nothing, show the plan");
  AddSubmission(run, options);
  AddDuration(run, "--timeout", &options->timeout,
              "How long the action may run (default: the action's)");
  AddConflict(run, options);
  run->add_option("--max-retries", options->max_retries,
                  "How many passing errors before the launch it may survive (default 2)")
      ->check(CLI::Range(0, 5));
  AddRepeated(run, "--require", &options->require, "CONDITION",
              "Fail when this pre- or postcondition does not hold, whatever the action says; may "
              "be repeated");
  AddRepeated(run, "--no-require", &options->no_require, "CONDITION",
              "Only warn when this one does not hold; may be repeated");
  AddFollowing(run, options);

  AddCommand(group, "list", "List the actions", Command::kActionList, options);
  CLI::App* show = AddCommand(group, "show", "Show one action, its parameters and conditions",
                              Command::kActionShow, options);
  AddName(show, "ACTION", "Name of the action", options);
}

namespace {

void AddSuccessors(CLI::App* group, Options* options) {
  CLI::App* retry = AddCommand(
      group, "retry", "Run an execution that failed or was cancelled again, and wait for its end",
      Command::kExecutionRetry, options);
  AddName(retry, "EXECUTION", kExecutionNameHelp, options);
  retry->add_flag("--accept-repeated-effect", options->accept_repeated_effect,
                  "The target was looked at: run it even though its effect may already be there");
  AddFollowing(retry, options);

  CLI::App* rollback =
      AddCommand(group, "rollback", "Undo an execution that succeeded, and wait for the end",
                 Command::kExecutionRollback, options);
  AddName(rollback, "EXECUTION", kExecutionNameHelp, options);
  rollback->add_flag("--dry-run", options->dry_run,
                     "Stop after policy, launch nothing, show the plan");
  AddFollowing(rollback, options);

  CLI::App* explain =
      AddCommand(group, "explain", "Say why one execution is not running, or how it ended",
                 Command::kExecutionExplain, options);
  AddName(explain, "EXECUTION", kExecutionNameHelp, options);
}

}  // namespace

void AddExecutionCommands(CLI::App* root, Options* options) {
  CLI::App* group =
      AddGroup(root, "execution", "See, watch, explain, cancel, retry and undo executions");
  CLI::App* get = AddCommand(group, "get", "Show one execution", Command::kExecutionGet, options);
  AddName(get, "EXECUTION", kExecutionNameHelp, options);
  get->add_flag("--events", options->events, "Show its events instead");
  CLI::App* list =
      AddCommand(group, "list", "List executions, newest first", Command::kExecutionList, options);
  list->add_option("--filter", options->filter,
                   "Terms joined by AND, such as: action = \"ScaleDeployment\" AND state = FAILED")
      ->type_name("FILTER");
  AddLimit(list, options);
  CLI::App* watch = AddCommand(group, "watch", "Follow one execution to its end",
                               Command::kExecutionWatch, options);
  AddName(watch, "EXECUTION", kExecutionNameHelp, options);
  AddWatching(watch, options);
  CLI::App* cancel = AddCommand(group, "cancel", "Ask to cancel one execution",
                                Command::kExecutionCancel, options);
  AddName(cancel, "EXECUTION", kExecutionNameHelp, options);
  cancel->add_option("--reason", options->reason, "Why, for the record");
  AddSuccessors(group, options);
  CLI::App* logs =
      AddCommand(group, "logs", "Print what the action's program wrote, as it is, whatever -o says",
                 Command::kExecutionLogs, options);
  AddName(logs, "EXECUTION", kExecutionNameHelp, options);
  logs->add_flag("-f,--follow", options->follow, "Go on until the execution has ended");
  logs->add_option("--offset", options->offset, "First byte wanted")->check(CLI::NonNegativeNumber);
}

}  // namespace capstan::cli
