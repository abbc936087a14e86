// Inside of the history checker: one execution's share of a History.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/proof/history.h"

namespace capstan::proof {

inline absl::Time TimeOf(const v1::ExecutionEvent& event) {
  return absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos());
}

// Everything there is about one execution. Borrows from the History.
struct Life {
  std::string name;
  std::vector<const v1::ExecutionEvent*> events;
  std::vector<const DecisionRow*> decisions;
  std::vector<const OutcomeRow*> outcomes;
  std::vector<const kubesim::AuditEntry*> creates;  // of its Job, from outside its pods
  std::vector<const kubesim::AuditEntry*> patches;
  std::vector<const kubesim::AuditEntry*>
      writes;  // anything else that changed its Job, or by its Job
  std::vector<const kubesim::PodRun*> pods;
  std::vector<const kubesim::ScaleRecord*> scales;
  std::vector<const AuditRow*> records;
  std::vector<const ArmedSpan*> armed_spans;

  // Read off the events.
  const v1::Accepted* accepted = nullptr;
  const v1::ExecutionEvent* end = nullptr;
  const v1::ExecutionEvent* first_allow = nullptr;
  const v1::ExecutionEvent* intent = nullptr;
  const v1::ExecutionEvent* created = nullptr;
  const v1::ExecutionEvent* armed = nullptr;
  const v1::ExecutionEvent* finished = nullptr;

  // The target's key; "" for those that take none.
  std::string Takes(const History& history) const;
  bool DryRun() const { return accepted != nullptr && accepted->dry_run(); }
  bool EndedAs(v1::Execution::State state) const {
    return end != nullptr && end->state_changed().to() == state;
  }
};

// What an execution that waits promises: kPeopleAreHeard and kBlockedIsStill.
std::vector<Violation> CheckWaiting(const Life& life, const History& history);

// kWrittenDown.
std::vector<Violation> CheckRecords(const Life& life, const History& history);

// kUndoneAsLeft; `original` is what `life` undoes.
std::vector<Violation> CheckUndone(const Life& life, const Life& original);

// kOneArmedJob.
std::vector<Violation> CheckArmed(const std::vector<Life>& lives, const History& history);

}  // namespace capstan::proof
