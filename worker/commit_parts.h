// Parts of a commit that follow from a transition alone. Pure.
#pragma once

#include <optional>
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

// What the task is told whose step submitted the execution that ends with this transition; nothing
// for any other execution.
std::optional<storage::Tell> TellParent(const ExecutionId& id, const v1::Accepted& request,
                                        const machine::Transition& end);

// The audit log's entry for an execution's end.
std::string AuditOf(const ExecutionId& id, const machine::Action& action,
                    const machine::Transition& end);

}  // namespace capstan::worker
