#include "server/explain.h"

#include <algorithm>

#include "core/machine/states.h"
#include "core/money.h"
#include "core/target_name.h"
#include "core/text.h"
#include "server/proto_time.h"

namespace capstan::server {
namespace {

using v1::Execution;
using Reason = v1::ExplainExecutionResponse::Reason;

class Explanation {
 public:
  explicit Explanation(const Situation& situation) : situation_(situation) {
    *out_.mutable_execution() = situation.execution;
  }

  v1::ExplainExecutionResponse Done() {
    const Execution& execution = situation_.execution;
    if (machine::IsTerminal(execution.state())) {
      Ended();
      return std::move(out_);
    }
    if (execution.cancel_requested()) {
      Add("CANCEL_REQUESTED", "it was asked to cancel", "",
          "by itself, once what it has launched is seen to be gone");
    }
    switch (execution.state()) {
      case Execution::STATE_PENDING:
        Pending();
        break;
      case Execution::STATE_BLOCKED:
        Blocked();
        break;
      case Execution::STATE_VALIDATING:
        Held("VALIDATING", IsTask() ? "a worker asks policy, and begins with its steps"
                                    : "a worker checks it and creates its Job");
        break;
      case Execution::STATE_RUNNING:
        if (IsTask()) {
          Held("STEPS_RUNNING", StepsText());
          break;
        }
        Held("JOB_RUNNING", Cat("its Job ", execution.job().namespace_(), "/",
                                execution.job().name(), " runs, or is being removed"));
        break;
      case Execution::STATE_VERIFYING:
        Held("VERIFYING",
             IsTask() ? "its steps are done; its triggers run, and its work is put away" : Unmet());
        break;
      default:
        break;
    }
    Children();
    return std::move(out_);
  }

 private:
  Reason& Add(std::string_view code, std::string_view message, std::string_view holder,
              std::string_view clears) {
    Reason& reason = *out_.add_reasons();
    reason.set_code(std::string(code));
    reason.set_message(std::string(message));
    reason.set_holder(std::string(holder));
    reason.set_clears(std::string(clears));
    *reason.mutable_since() = situation_.execution.update_time();
    return reason;
  }

  bool IsTask() const { return !situation_.execution.workflow().empty(); }

  std::string StepsText() const {
    std::string text;
    for (const v1::StepStatus& step : situation_.execution.steps()) {
      if (step.state() == v1::StepStatus::STATE_RUNNING) {
        Append(&text, text.empty() ? "" : ", ", "step ", step.name(), " (attempt ", step.attempt(),
               ", iteration ", step.iteration(), ") runs");
      }
      if (!step.gate().empty()) {
        Append(&text, text.empty() ? "" : ", ", "the gate of step ", step.name(), " is decided by ",
               step.gate());
      }
    }
    return !text.empty() ? text
                         : "no step runs: it is about to begin with the next one, or its triggers "
                           "run, or its work is put away";
  }

  // One reason each; what it waits for in its turn says its own explanation.
  void Children() {
    for (const Execution& child : situation_.children) {
      std::string message = Cat(child.name(), " (", child.action(), ", step ", StepOf(child),
                                ") is ", machine::StateName(child.state()));
      if (child.state() == Execution::STATE_BLOCKED)
        Append(&message, "(", machine::BlockReasonName(child.block_reason()), ")");
      if (!child.message().empty()) Append(&message, ": ", child.message());
      *Add("CHILD", message, child.name(),
           Cat("by itself when it ends; capstan execution explain ", child.name()))
           .mutable_since() = child.update_time();
    }
  }

  std::string StepOf(const Execution& child) const {
    for (const v1::StepStatus& step : situation_.execution.steps()) {
      if (step.child() == child.name()) return step.name();
    }
    return "";
  }

  void Next(const google::protobuf::Timestamp& time) { *out_.mutable_next_time() = time; }

  void Ended() {
    const Execution& execution = situation_.execution;
    std::string message(machine::StateName(execution.state()));
    if (execution.state() == Execution::STATE_FAILED) {
      Append(&message, "(", machine::FailureReasonName(execution.failure_reason()), ")");
    }
    if (!execution.message().empty()) Append(&message, ": ", execution.message());
    std::string clears;
    if (execution.state() != Execution::STATE_SUCCEEDED) {
      clears = execution.outcome().effect() == Execution::EFFECT_NONE
                   ? Cat("nothing was changed; capstan execution retry ", execution.name())
                   : Cat("something may have been changed: look at the target first, then capstan "
                         "execution retry ",
                         execution.name());
    } else if (execution.has_rollback() && !execution.dry_run()) {
      clears = Cat("to undo it: capstan execution rollback ", execution.name());
    }
    *Add("ENDED", message, "", clears).mutable_since() = execution.finish_time();
  }

  void Pending() {
    const storage::StandingRow& standing = situation_.standing;
    if (standing.parked == storage::ParkReason::kRetry) {
      Add("RETRY", Cat("it is tried again after: ", situation_.execution.message()), "",
          "by itself");
      Next(ToProto(standing.parked_until));
      return;
    }
    if (!standing.worker.IsNone()) {
      Held("HELD_BY_WORKER", "a worker has taken it and is about to begin");
      return;
    }
    if (standing.live_workers == 0) {
      Add("NO_LIVE_WORKER", "no worker that takes new work is alive", "",
          "start a worker, or look at why they are gone: capstan worker list");
    } else {
      Reason& reason = Add("WAITING_FOR_WORKER",
                           Cat("it is ready and waits for a free slot of one of ",
                               standing.live_workers, " workers"),
                           "", "by itself, in order of priority and age");
      *reason.mutable_since() = ToProto(standing.due_at);
    }
    if (situation_.execution.has_queue_deadline()) Next(situation_.execution.queue_deadline());
  }

  void Held(std::string_view code, std::string_view message) {
    const storage::StandingRow& standing = situation_.standing;
    const bool held = !standing.worker.IsNone();
    Add(code, message, held ? WorkerName(standing.worker) : "", "by itself");
    if (!held) {
      Add(standing.live_workers == 0 ? "NO_LIVE_WORKER" : "WAITING_FOR_WORKER",
          Cat("no worker holds it at the moment; ", standing.live_workers, " take work"), "",
          "by itself, once a worker takes it over");
    }
  }

  std::string Unmet() const {
    std::string message = "its Job succeeded, and the effect is being checked";
    for (const v1::ConditionResult& result : situation_.execution.condition_results()) {
      if (result.phase() != v1::ConditionResult::PHASE_POST || result.passed()) continue;
      Append(&message, "; ", result.name(), ": ",
             result.message().empty() ? "not yet" : result.message());
    }
    return message;
  }

  void Blocked() {
    const Execution& execution = situation_.execution;
    const storage::TargetRow& target = situation_.target;
    const std::string name = TargetName(target.key);
    std::string code(machine::BlockReasonName(execution.block_reason()));
    switch (execution.block_reason()) {
      case Execution::BLOCK_REASON_TARGET_LOCK:
        if (target.holder.IsNone()) {
          Add(code, Cat(target.key, " is free again"), "", "by itself, at once");
        } else {
          *Add(code,
               Cat("another execution may change ", target.key, " now; place ", PlaceInLine(),
                   " in its line"),
               ExecutionName(target.holder),
               Cat("by itself when it ends; capstan execution cancel ",
                   ExecutionName(target.holder)))
               .mutable_since() = ToProto(target.held_at);
        }
        break;
      case Execution::BLOCK_REASON_PREVIOUS_FAILURE:
        if (target.blocked_by.IsNone()) {
          Add(code, Cat(target.key, " is not blocked any more"), "", "by itself, at once");
        } else {
          *Add(code, Cat(target.key, " is blocked after a failure: ", target.block_message),
               ExecutionName(target.blocked_by),
               Cat("look at the target, then capstan target clear ", name, " --reason=WHY"))
               .mutable_since() = ToProto(target.blocked_at);
        }
        break;
      case Execution::BLOCK_REASON_APPROVAL:
        Add(code, execution.message(), "",
            Cat("capstan approval approve ", execution.name(), " --reason=WHY"));
        break;
      case Execution::BLOCK_REASON_USER_INPUT:
        Add(code, execution.message(), "",
            Cat("capstan approval approve ", execution.name(), " --reason=ANSWER"));
        break;
      case Execution::BLOCK_REASON_PAUSED:
        Add(code, execution.message(), "", Cat("capstan task resume ", execution.name()));
        break;
      case Execution::BLOCK_REASON_STOPPED:
        Add(code, execution.message(), "",
            "capstan stop list, then capstan stop lift NAME --reason=WHY");
        break;
      case Execution::BLOCK_REASON_BUDGET:
        Add(code, BudgetText(), "",
            Cat("by itself when others have ended, or with the next month; capstan budget set ",
                execution.project(), " AMOUNT --reason=WHY"));
        break;
      case Execution::BLOCK_REASON_PARENT_LIMIT:
        Add(code, execution.message(), "",
            Cat("by itself when another execution of ", execution.parent().name(), " ends"));
        break;
      case Execution::BLOCK_REASON_CHILD:  // see Children
        if (situation_.children.empty()) Add(code, execution.message(), "", "by itself, at once");
        break;
      default:
        Add(code, execution.message(), "", "by itself");
    }
    if (execution.has_blocked_until()) Next(execution.blocked_until());
  }

  std::string BudgetText() const {
    const storage::ProjectRow& project = situation_.project;
    std::string text =
        Cat("of the budget of project ", situation_.execution.project(), " for ", project.month,
            ", ", project.limit > 0 ? Money(project.limit) : "which has no limit any more", ", ",
            Money(project.spent), " is spent and ", Money(project.reserved), " reserved");
    for (const storage::ProjectRow::Reservation& one : project.largest) {
      Append(&text, &one == project.largest.data() ? ": " : ", ", Money(one.reserved), " by ",
             ExecutionName(one.execution));
    }
    return text;
  }

  std::string PlaceInLine() const {
    const auto& line = situation_.target.waiting;
    const auto place = std::find_if(line.begin(), line.end(), [&](const auto& waiter) {
      return ExecutionName(waiter.id) == situation_.execution.name();
    });
    return Cat(place - line.begin() + 1);
  }

  const Situation& situation_;
  v1::ExplainExecutionResponse out_;
};

}  // namespace

v1::ExplainExecutionResponse Explain(const Situation& situation) {
  return Explanation(situation).Done();
}

}  // namespace capstan::server
