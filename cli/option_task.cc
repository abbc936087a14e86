// The options of `capstan task …` and `capstan workflow …`.
#include <algorithm>
#include <iterator>

#include "cli/option_kit.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

template <class Value>
struct Named {
  const char* name;
  Value value;
};

constexpr Named<v1::Profile> kProfiles[] = {{"auto", v1::PROFILE_AUTO},
                                            {"fast", v1::PROFILE_FAST},
                                            {"safe", v1::PROFILE_SAFE},
                                            {"strict", v1::PROFILE_STRICT}};

constexpr Named<v1::ContextKind> kContexts[] = {{"task", v1::CONTEXT_KIND_TASK},
                                                {"branch", v1::CONTEXT_KIND_BRANCH},
                                                {"standalone", v1::CONTEXT_KIND_STANDALONE}};

// One of `names`, of which `want` tells.
template <class Value, std::size_t N>
void AddNamedValue(CLI::App* run, const char* flag, const Named<Value> (&names)[N],
                   const char* want, const char* help, Value* value) {
  std::string type;
  for (const Named<Value>& known : names) Append(&type, type.empty() ? "" : "|", known.name);
  run->add_option_function<std::string>(
         flag,
         [flag, &names, want, value](const std::string& text) {
           const auto* found = std::find_if(std::begin(names), std::end(names),
                                            [&](const auto& known) { return known.name == text; });
           if (found == std::end(names))
             throw CLI::ValidationError(flag, Cat("got \"", text, "\", want ", want));
           *value = found->value;
         },
         help)
      ->type_name(type);
}

void AddChoices(CLI::App* run, TaskOptions* task) {
  AddNamedValue(
      run, "--profile", kProfiles, "auto, fast, safe or strict",
      "How much people take part: auto asks nobody, fast also goes back at most twice, safe "
      "(default) has the workflow's gates, strict also has people pass specification and design",
      &task->profile);
  AddNamedValue(run, "--context", kContexts, "task, branch or standalone",
                "What it works on: a branch of its own (task, default with a repository), the "
                "branch --base-ref itself (branch), or an empty repository (standalone)",
                &task->context);
}

void AddMoney(CLI::App* run, TaskOptions* task) {
  AddUsd(run, "--max-cost", 0.000001, &task->max_cost_microusd,
         "What it may cost, in US dollars (default: what the workflow says)");
  run->add_option("--project", task->project, "The project whose budget it is charged to");
  run->add_option("--budget-override", task->budget_override,
                  "Why it may go on although the project's budget is spent, for the record")
      ->type_name("REASON");
}

void AddDescription(CLI::App* run, TaskOptions* task) {
  run->add_option("--title", task->title, "What it is about, in one line")
      ->required()
      ->type_name("TEXT");
  CLI::Option* text =
      run->add_option("--description", task->description, "What is to be done")->type_name("TEXT");
  run->add_option("--description-file", task->description_file,
                  "File with what is to be done, - for standard input")
      ->type_name("FILE")
      ->excludes(text);
  run->add_option("--id", task->id, "Your name for it, such as an issue's key");
  run->add_option("--category", task->category, "feature, bug, refactor, chore, docs, test, …");
  run->add_option("--initiative", task->initiative, "What it is part of, for its prompts")
      ->type_name("TEXT");
  run->add_flag("--requires-ui-testing", task->requires_ui_testing,
                "Its result has to be tested in a user interface");
  run->add_option("--spec-file", task->spec_file,
                  "File with a specification that exists already, - for standard input")
      ->type_name("FILE");
  AddRepeated(run, "--criterion", &task->criteria, "ID=TEXT",
              "What has to be true at the end; may be repeated");
  AddRepeated(run, "--input", &task->inputs, "KEY=VALUE",
              "A value for the workflow's variables; may be repeated");
  AddRepeated(run, "--command", &task->commands, "NAME=WORDS",
              "A command that quality checks name, such as tests='npm test' or "
              "lint='[\"npm\",\"run\",\"lint: all\"]'; no shell reads it; may be repeated");
  run->add_option("--repository", task->repository,
                  "Folder of a git repository on the workers' machine (default: an empty one)")
      ->type_name("PATH");
  run->add_option("--base-ref", task->base_ref, "Branch, tag or commit to begin from")
      ->type_name("REF");
}

void AddRun(CLI::App* group, Options* options) {
  CLI::App* run =
      AddCommand(group, "run", "Run a workflow and wait for its end", Command::kTaskRun, options);
  CLI::Option* name = run->add_option("WORKFLOW", options->name,
                                      "Name of the workflow, or NAME@DIGEST for an older one");
  run->add_option("--weight", options->task.weight,
                  "trivial, small, medium, large or greenfield: the workflow of that name")
      ->type_name("WEIGHT")
      ->excludes(name);
  AddDescription(run, &options->task);
  AddChoices(run, &options->task);
  AddMoney(run, &options->task);
  run->add_flag("--dry-run", options->dry_run, "Stop after policy, run nothing");
  AddSubmission(run, options);
  AddDuration(run, "--timeout", &options->timeout,
              "How long it may take, waiting for people not counted (default: the workflow's)");
  AddFollowing(run, options);
}

CLI::App* AddNamed(CLI::App* group, const char* name, const char* help, Command command,
                   Options* options) {
  CLI::App* app = AddCommand(group, name, help, command, options);
  AddName(app, "EXECUTION", kExecutionNameHelp, options);
  return app;
}

void AddSteering(CLI::App* group, Options* options) {
  for (CLI::App* app :
       {AddNamed(group, "pause", "Let what runs come to its end and begin nothing new",
                 Command::kTaskPause, options),
        AddNamed(group, "resume", "Let a paused task go on where it stood", Command::kTaskResume,
                 options),
        AddNamed(group, "cancel", "Ask to cancel one task", Command::kExecutionCancel, options)}) {
    app->add_option("--reason", options->reason, "Why, for the record")->type_name("TEXT");
  }
  CLI::App* approve = AddNamed(group, "approve", "Say yes to the step that waits for an approval",
                               Command::kTaskApprove, options);
  approve->add_option("--reason", options->reason, "Why, for the record")->type_name("TEXT");
  AddPlanDigest(approve, options);
  CLI::App* reject = AddNamed(group, "reject", "Say no to the step that waits, or to its question",
                              Command::kTaskReject, options);
  AddReason(reject, options);
  AddPlanDigest(reject, options);
  CLI::App* answer = AddNamed(group, "answer", "Answer the question that a step asks",
                              Command::kTaskAnswer, options);
  AddReason(answer, options, "--reason,--answer", "The answer");
  AddPlanDigest(answer, options);
}

}  // namespace

void AddTaskCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "task", "Run, watch, steer and read tasks");
  AddRun(group, options);
  AddWatching(
      AddNamed(group, "watch", "Follow one task to its end", Command::kExecutionWatch, options),
      options);
  CLI::App* retry =
      AddNamed(group, "retry", "Run an ended task again as a new one, and wait for its end",
               Command::kExecutionRetry, options);
  retry
      ->add_option("--from-step", options->from_step,
                   "Begin with this step; what it does not need again is taken over")
      ->type_name("STEP");
  retry->add_flag("--accept-repeated-effect", options->accept_repeated_effect,
                  "What it changes was looked at: run it even though that may have happened");
  AddFollowing(retry, options);
  AddSteering(group, options);
  CLI::App* transcript =
      AddNamed(group, "transcript", "Print what models and programs said and were told",
               Command::kTaskTranscript, options);
  transcript->add_option("--step", options->step, "Only of this step")->type_name("STEP");
  transcript->add_flag("-f,--follow", options->follow, "Go on until the task has ended");
  transcript->add_option("--after", options->after, "Leave out entries up to this number")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
}

void AddWorkflowCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "workflow", "See and store workflows");
  AddCommand(group, "list", "List the workflows", Command::kWorkflowList, options);
  CLI::App* show =
      AddCommand(group, "show", "Show one workflow and its steps", Command::kWorkflowShow, options);
  AddName(show, "WORKFLOW", "Name of the workflow, or NAME@DIGEST for an older one", options);
  CLI::App* put = AddCommand(
      group, "put", "Store a workflow, which new tasks then run; those that run keep theirs",
      Command::kWorkflowPut, options);
  AddName(put, "FILE", "The workflow as YAML", options);
  put->add_option("--catalog", options->catalog,
                  "Folder with the prompts/ and schemas/ that it names (default: the one that the "
                  "file's folder is in)")
      ->type_name("DIR");
  put->add_flag("--validate-only", options->validate_only, "Check it and store nothing");
}

}  // namespace capstan::cli
