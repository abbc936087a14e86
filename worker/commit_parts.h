// Parts of a commit that follow from a transition alone. Pure.
#pragma once

#include <string>

#include "core/machine/action_machine.h"
#include "storage/types.h"

namespace capstan::worker {

// What a parked execution waits for.
storage::ParkReason ParkReasonOf(machine::Execution::State state,
                                 machine::Execution::BlockReason reason);

// How a target stands for an execution, in words; nothing when it is free.
std::optional<machine::TargetAnswer> TargetAnswerFor(const storage::TargetRow& target,
                                                     const machine::TargetClaim& claim,
                                                     const ExecutionId& id, absl::Time now);

// What a stored signal says. One whose detail does not parse is about no plan, and is ignored.
machine::Signalled::Cancel CancelOf(const storage::Signal& signal);
machine::Signalled::Vote VoteOf(const storage::Signal& signal);

// The audit log's entry for an execution's end.
std::string AuditOf(const ExecutionId& id, const machine::Action& action,
                    const machine::Transition& end);

}  // namespace capstan::worker
