#include "cli/commands.h"

#include "cli/action_commands.h"
#include "cli/approval_commands.h"
#include "cli/budget_commands.h"
#include "cli/channel.h"
#include "cli/execution_commands.h"
#include "cli/exit_code.h"
#include "cli/fleet_commands.h"
#include "cli/manifests_command.h"
#include "cli/options.h"
#include "cli/policy_commands.h"
#include "cli/session.h"
#include "cli/stop_commands.h"
#include "cli/successor_commands.h"
#include "cli/target_commands.h"
#include "cli/task_commands.h"
#include "cli/workflow_commands.h"

namespace capstan::cli {
namespace {

int PrintVersion(const Options& options, Environment& environment) {
  if (options.output == Output::kJson) {
    environment.out << "{\"version\":\"" << CAPSTAN_VERSION << "\"}\n" << std::flush;
  } else {
    environment.out << "capstan " << CAPSTAN_VERSION << "\n" << std::flush;
  }
  return kOk;
}

int RunWithServer(const Options& options, Environment& environment) {
  auto channel = MakeChannel(options.address, options.ca_file, options.caller);
  if (!channel.ok()) return UsageError(environment, std::string(channel.status().message()));
  Session session(options, environment, *std::move(channel));
  switch (options.command) {
    case Command::kActionRun:
      return ActionRun(session);
    case Command::kActionList:
      return ActionList(session);
    case Command::kActionShow:
      return ActionShow(session);
    case Command::kExecutionGet:
      return ExecutionGet(session);
    case Command::kExecutionList:
      return ExecutionList(session);
    case Command::kExecutionWatch:
      return ExecutionWatch(session);
    case Command::kExecutionCancel:
      return ExecutionCancel(session);
    case Command::kExecutionLogs:
      return ExecutionLogs(session);
    case Command::kExecutionRetry:
      return ExecutionRetry(session);
    case Command::kExecutionRollback:
      return ExecutionRollback(session);
    case Command::kExecutionExplain:
      return ExecutionExplain(session);
    case Command::kApprovalList:
      return ApprovalList(session);
    case Command::kApprovalShow:
      return ApprovalShow(session);
    case Command::kApprovalApprove:
      return ApprovalApprove(session);
    case Command::kApprovalReject:
      return ApprovalReject(session);
    case Command::kStopCreate:
      return StopCreate(session);
    case Command::kStopList:
      return StopList(session);
    case Command::kStopLift:
      return StopLift(session);
    case Command::kTargetList:
      return TargetList(session);
    case Command::kTargetClear:
      return TargetClear(session);
    case Command::kBudgetList:
      return BudgetList(session);
    case Command::kBudgetSet:
      return BudgetSet(session);
    case Command::kAuditVerify:
      return AuditVerify(session);
    case Command::kWorkerList:
      return WorkerList(session);
    case Command::kPolicyReplay:
      return PolicyReplay(session);
    case Command::kPolicyExplainDecision:
      return PolicyExplainDecision(session);
    case Command::kTaskRun:
      return TaskRun(session);
    case Command::kTaskPause:
      return TaskPause(session);
    case Command::kTaskResume:
      return TaskResume(session);
    case Command::kTaskApprove:
      return TaskApprove(session);
    case Command::kTaskReject:
      return TaskReject(session);
    case Command::kTaskAnswer:
      return TaskAnswer(session);
    case Command::kTaskTranscript:
      return TaskTranscript(session);
    case Command::kWorkflowList:
      return WorkflowList(session);
    case Command::kWorkflowShow:
      return WorkflowShow(session);
    case Command::kWorkflowPut:
      return WorkflowPut(session);
    case Command::kManifests:
    case Command::kVersion:
      break;  // need no server
  }
  return kUsage;
}

}  // namespace

int Run(const std::vector<std::string>& arguments, Environment& environment) {
  ParsedOptions parsed = ParseOptions(arguments, environment.variables);
  if (!parsed.options) {
    (parsed.usage.exit_code == kOk ? environment.out : environment.err)
        << parsed.usage.text << std::flush;
    return parsed.usage.exit_code;
  }
  const Options& options = *parsed.options;
  if (options.command == Command::kVersion) return PrintVersion(options, environment);
  if (options.command == Command::kManifests) return PrintManifests(options, environment);
  return RunWithServer(options, environment);
}

}  // namespace capstan::cli
