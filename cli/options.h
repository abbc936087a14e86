// The command line, read and checked, before anything is done.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"

namespace capstan::cli {

enum class Command {
  kActionRun,
  kActionList,
  kActionShow,
  kExecutionGet,
  kExecutionList,
  kExecutionWatch,
  kExecutionCancel,
  kExecutionLogs,
  kExecutionRetry,
  kExecutionRollback,
  kExecutionExplain,
  kApprovalList,
  kApprovalShow,
  kApprovalApprove,
  kApprovalReject,
  kStopCreate,
  kStopList,
  kStopLift,
  kTargetList,
  kTargetClear,
  kBudgetList,
  kBudgetSet,
  kAuditVerify,
  kWorkerList,
  kPolicyReplay,
  kPolicyExplainDecision,
  kTaskRun,
  kTaskPause,
  kTaskResume,
  kTaskApprove,
  kTaskReject,
  kTaskAnswer,
  kTaskTranscript,
  kWorkflowList,
  kWorkflowShow,
  kWorkflowPut,
  kManifests,
  kVersion,
};

enum class Output { kText, kJson };

// What `task run` says about the task itself.
struct TaskOptions {
  std::string weight;  // instead of a workflow's name
  std::string id;
  std::string title;
  std::string description;
  std::string description_file;  // "-" is standard input
  std::string category;
  std::string spec_file;              // "-" is standard input
  std::vector<std::string> criteria;  // id=text
  std::vector<std::string> inputs;    // key=value
  std::vector<std::string> commands;  // name=words, or name=JSON array
  std::string repository;             // folder on the workers' machine
  std::string base_ref;
  v1::Profile profile = v1::PROFILE_UNSPECIFIED;
  int64_t max_cost_microusd = 0;  // 0: what the workflow says
  std::string project;
  std::string budget_override;
  std::string initiative;
  bool requires_ui_testing = false;
  v1::ContextKind context = v1::CONTEXT_KIND_UNSPECIFIED;
};

// Fields of commands other than `command` keep their defaults.
struct Options {
  Command command = Command::kVersion;

  std::string address = "127.0.0.1:50051";
  bool address_given = false;  // by the flag: then advice repeats it
  std::string ca_file;         // empty: plain text
  std::string caller;          // who the caller claims to be; empty: says nothing
  Output output = Output::kText;

  // Of the action, workflow, execution, stop, target or project; or a workflow's file.
  std::string name;

  std::vector<std::string> parameters;  // name=value
  std::string parameters_file;          // "-" is standard input
  std::string request_id;               // empty: a new one
  bool dry_run = false;
  bool no_wait = false;
  bool plain = false;  // lines for each event, also on a terminal
  int priority = 0;
  std::vector<std::string> labels;  // key=value
  std::string parent;
  int parent_step = 1;
  absl::Duration timeout = absl::ZeroDuration();  // of the action; zero: its default
  absl::Duration wait_timeout = absl::InfiniteDuration();
  v1::Execution::OnConflict on_conflict = v1::Execution::ON_CONFLICT_UNSPECIFIED;
  std::optional<int> max_retries;
  std::vector<std::string> require;  // names of conditions
  std::vector<std::string> no_require;

  bool accept_repeated_effect = false;
  std::string from_step;  // of a task that is run again; empty: all of it

  TaskOptions task;
  std::string step;     // whose transcript; empty: of all
  long long after = 0;  // entries up to this number are left out
  std::string catalog;  // folder with prompts/ and schemas/; empty: beside the workflow's folder
  bool validate_only = false;

  bool events = false;
  std::string filter;
  int limit = 50;
  std::string reason;
  bool follow = false;
  long long offset = 0;

  std::string plan_digest;  // empty: that of the open approval

  int64_t limit_microusd = 0;  // of a project, a month; 0: none

  bool stop_all = false;  // of these four exactly one is set
  std::string stop_namespace;
  std::string stop_action;
  std::string stop_worker;
  bool cancel_running = false;
  std::string bundle_dir;                      // rules that decide again
  std::vector<std::string> required_bundles;   // of them
  std::string check_program;                   // empty: capstan-policy-check
  absl::Duration since = absl::Hours(7 * 24);  // before now
  int decision_number = 0;                     // of the execution; 0: the last one

  std::string catalog_dir = "catalog";
  std::string actions_namespace;  // empty: the default of manifests
  std::string system_namespace;
  std::string worker_account;
  std::vector<std::string> target_namespaces;
  std::vector<std::string> images;  // alias=image
};

// Why there is nothing to do: help was asked for (code 0, text for standard output) or the command
// line is wrong (code 2, text for standard error).
struct Usage {
  int exit_code = 0;
  std::string text;
};

struct ParsedOptions {
  std::optional<Options> options;
  Usage usage;  // when there are none
};

// `arguments` without the program's name; `environment` gives CAPSTAN_ADDRESS, CAPSTAN_CA_FILE and
// CAPSTAN_CALLER, flags go first.
ParsedOptions ParseOptions(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment);

}  // namespace capstan::cli
