// The command line in pieces: what each group of commands adds to the parser. Internal to
// options.cc and its option_*.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/options.h"

namespace capstan::cli {

inline constexpr int kMaxLimit = 100000;  // rows that one listing prints
inline constexpr char kExecutionNameHelp[] = "executions/UUID, or the UUID alone";

// A group of sub-commands, of which one must be chosen.
CLI::App* AddGroup(CLI::App* root, const std::string& name, const std::string& help);

// A sub-command that, when chosen, sets options.command.
CLI::App* AddCommand(CLI::App* group, const std::string& name, const std::string& help,
                     Command command, Options* options);

// What the command is about: options.name, required.
void AddName(CLI::App* app, const std::string& what, const std::string& help, Options* options);

// --reason, required and not empty: the API wants one for the record. `flags` may name it
// otherwise, such as "--reason,--answer".
void AddReason(CLI::App* app, Options* options, const std::string& flags = "--reason",
               const std::string& help = "Why, for the record");

// --plan-digest of a decision.
void AddPlanDigest(CLI::App* app, Options* options);

// --limit of a listing.
void AddLimit(CLI::App* app, Options* options);

// --label, --parent, --parent-step and --priority: of commands that submit something new.
void AddSubmission(CLI::App* app, Options* options);

// --plain and --wait-timeout: of commands that follow an execution.
void AddWatching(CLI::App* app, Options* options);

// The same with --request-id and --no-wait: of commands that make an execution and follow it.
void AddFollowing(CLI::App* app, Options* options);

// Durations are read with Abseil: 90s, 5m, 1h.
void AddDuration(CLI::App* app, const std::string& flag, absl::Duration* duration,
                 const std::string& help);

// An amount of US dollars, such as 2.50, of `least` or more; `name` begins with -- or is
// positional.
CLI::Option* AddUsd(CLI::App* app, const std::string& name, double least, int64_t* microusd,
                    const std::string& help);

// An option that may be repeated, with one value each time: it never eats the words that follow.
void AddRepeated(CLI::App* app, const std::string& flag, std::vector<std::string>* values,
                 const std::string& type, const std::string& help);

void AddActionCommands(CLI::App* root, Options* options);
void AddExecutionCommands(CLI::App* root, Options* options);
void AddTaskCommands(CLI::App* root, Options* options);
void AddWorkflowCommands(CLI::App* root, Options* options);
void AddApprovalCommands(CLI::App* root, Options* options);
void AddStopCommands(CLI::App* root, Options* options);
void AddTargetCommands(CLI::App* root, Options* options);
void AddBudgetCommands(CLI::App* root, Options* options);
void AddPolicyCommands(CLI::App* root, Options* options);
void AddOtherCommands(CLI::App* root, Options* options);

}  // namespace capstan::cli
