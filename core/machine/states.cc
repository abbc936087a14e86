#include "core/machine/states.h"

#include <algorithm>

namespace capstan::machine {

bool IsTerminal(Execution::State state) {
  return state == Execution::STATE_SUCCEEDED || state == Execution::STATE_FAILED ||
         state == Execution::STATE_CANCELLED;
}

const std::vector<std::pair<Execution::State, Execution::State>>& LegalTransitions() {
  static const auto* table = new std::vector<std::pair<Execution::State, Execution::State>>{
      {Execution::STATE_PENDING, Execution::STATE_VALIDATING},
      {Execution::STATE_PENDING, Execution::STATE_FAILED},  // queue deadline, workers lost
      {Execution::STATE_PENDING, Execution::STATE_CANCELLED},
      {Execution::STATE_VALIDATING,
       Execution::STATE_PENDING},  // transient error, tried again later
      {Execution::STATE_VALIDATING, Execution::STATE_BLOCKED},
      {Execution::STATE_BLOCKED, Execution::STATE_PENDING},  // what it waited for has come
      // The end of a task is decided, and it waits for what its steps have submitted.
      {Execution::STATE_BLOCKED, Execution::STATE_BLOCKED},
      {Execution::STATE_BLOCKED, Execution::STATE_FAILED},
      {Execution::STATE_BLOCKED, Execution::STATE_CANCELLED},
      {Execution::STATE_VALIDATING, Execution::STATE_RUNNING},
      {Execution::STATE_VALIDATING, Execution::STATE_SUCCEEDED},  // dry run
      {Execution::STATE_VALIDATING, Execution::STATE_FAILED},
      {Execution::STATE_VALIDATING, Execution::STATE_CANCELLED},
      // An emergency stop before arming; a task that waits for people.
      {Execution::STATE_RUNNING, Execution::STATE_BLOCKED},
      {Execution::STATE_RUNNING, Execution::STATE_PENDING},  // a task's step is tried again later
      {Execution::STATE_RUNNING, Execution::STATE_VERIFYING},
      {Execution::STATE_RUNNING, Execution::STATE_FAILED},
      {Execution::STATE_RUNNING, Execution::STATE_CANCELLED},
      {Execution::STATE_VERIFYING, Execution::STATE_SUCCEEDED},
      {Execution::STATE_VERIFYING, Execution::STATE_FAILED},
  };
  return *table;
}

bool IsLegal(Execution::State from, Execution::State to) {
  const auto& table = LegalTransitions();
  return std::find(table.begin(), table.end(), std::pair(from, to)) != table.end();
}

std::string_view StateName(Execution::State state) {
  return std::string_view(Execution::State_Name(state)).substr(sizeof("STATE_") - 1);
}

std::string_view FailureReasonName(Execution::FailureReason reason) {
  return std::string_view(Execution::FailureReason_Name(reason))
      .substr(sizeof("FAILURE_REASON_") - 1);
}

std::string_view BlockReasonName(Execution::BlockReason reason) {
  return std::string_view(Execution::BlockReason_Name(reason)).substr(sizeof("BLOCK_REASON_") - 1);
}

}  // namespace capstan::machine
