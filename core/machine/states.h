// Which states there are and which may follow which: the one table that the machine, the store's
// checks, the history checker and the documentation agree on.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "capstan/v1/execution.pb.h"

namespace capstan::machine {

using v1::Execution;

// SUCCEEDED, FAILED, CANCELLED: absorb everything.
bool IsTerminal(Execution::State state);

// Whether a StateChanged event may lead from one to the other.
bool IsLegal(Execution::State from, Execution::State to);

// Every legal pair.
const std::vector<std::pair<Execution::State, Execution::State>>& LegalTransitions();

// "PENDING", "POLICY_DENIED": the enum value's name without its prefix, for messages, logs and
// metric labels.
std::string_view StateName(Execution::State state);
std::string_view FailureReasonName(Execution::FailureReason reason);
std::string_view BlockReasonName(Execution::BlockReason reason);

}  // namespace capstan::machine
