// Inside of the action machine: one transition while it is put together.
#pragma once

#include <string>
#include <utility>

#include "core/machine/action_machine.h"
#include "core/machine/event_writer.h"

namespace capstan::machine {

// People are asked and have not decided.
bool ApprovalIsOpen(const ActionState& data);

// Collects the events of one transition and fills in what follows from their order.
class Builder {
 public:
  Builder(const Action& action, std::string first_cause);
  explicit Builder(const Action& action);

  ActionState& data() { return out_.data; }
  Execution::State state() const { return out_.state; }
  const Action& action() const { return action_; }

  ExecutionEvent& Event();
  // The next event is caused by a signal.
  Builder& CausedBySignal(int number);
  v1::StateChanged& To(Execution::State to);

  // The commit must also test that no signal has come since data.signals_seen.
  Builder& Guarded();
  Builder& Park(absl::Duration delay);
  Builder& StoreDecision();
  Builder& StoreArtifacts();
  // Leads to a launch: refused by emergency stops.
  Builder& Launches();
  Builder& Approval(Transition::Approval approval);
  // The approval, open or given, comes to this end, in events and store.
  void EndApproval(v1::ApprovalSummary::State state, std::string message);
  Builder& Use(TargetStep step);
  Builder& Use(ParentUse use);

  // BLOCKED until `until` at the latest, when it is looked at again; the lease is given back.
  // `target` is the target's state that it waits for to change, kFree when it waits for something
  // else: then it lets others have the target, unless its Job may exist. Likewise its place among
  // the executions of its parent.
  Transition Block(Execution::BlockReason reason, std::string message, absl::Time until,
                   absl::Time now, const TargetClaim& claim = {},
                   TargetStanding target = TargetStanding::kFree);

  Transition Then(ActionState::Step step, Effect effect,
                  absl::Duration delay = absl::ZeroDuration());

  // Writes the end, and gives up the target, the place and the open approval.
  Transition End(Execution::State state, Execution::FailureReason reason, std::string message,
                 v1::Outcome outcome);

 private:
  const Action& action_;
  std::string cause_;
  Transition out_;
};

v1::Outcome OutcomeOf(Execution::Effect effect, int exit_code = -1);

// A Job of ours may exist in the cluster: the intent is stored, so someone may have posted it.
bool JobMayExist(const Action& action);

// Ends the execution: at once while nothing can have been launched, otherwise only when the Job is
// seen to be gone.
Transition Finish(Builder builder, const Action& action, Execution::State state,
                  Execution::FailureReason reason, std::string message);

// Before this moment it has to be launched; time spent waiting for approvals does not count.
absl::Time QueueDeadline(const ActionState& data, const v1::Accepted& request);
bool PastQueueDeadline(const Action& action, absl::Time now);

}  // namespace capstan::machine
