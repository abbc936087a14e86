// The history checker: given everything that clients, the store and the cluster say about a run,
// which promises were broken. Pure: no I/O and no clock, so each promise has a unit test that
// breaks it. Linear in the number of events.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"
#include "tests/support/kubesim/audit_log.h"

namespace capstan::proof {

// What was promised. The numbers are those that violations are reported under.
enum class Property {
  kSubmitsAreKept = 1,     // an acknowledged submit has its row; request id -> execution is a
                           // function; an unknown one has 0 or 1, a refused one none
  kLifeIsLegal = 2,        // seq 1, 2, 3, …; legal transitions; one end; nothing after it
  kOwnersOnlyAdvance = 3,  // no write by an older (lease, epoch) after one by a newer
  kOneAllowedEffect = 4,   // a stored allow before the launch, one Job, one armed uid, at most one
                           // effect, exactly one when SUCCEEDED, and no end that denies it
  kSuccessWasSeen = 5,     // SUCCEEDED: the Job's end was recorded, then the target was read back
  kNothingWhenNotAllowed = 6,  // denied and dry runs: nothing was written to the cluster
  kWatchersSeeTheStore = 7,    // what a watcher got is a gapless piece of the stored sequence
  kOneChangesATarget = 8,  // from the stored intent to the end nobody else has one on that target,
                           // and its Job is armed between the two; reads aside
  kPeopleAreHeard = 9,     // nothing is launched while people are asked; what needs an approval is
                           // launched as approved, by enough others than the requester
  kBlockedIsStill = 10,    // BLOCKED says for what, and nothing is decided or launched in it
  kEverythingEnds = 11,    // all executions are terminal, in time, and there were enough of them
  kWrittenDown = 12,       // each submit, vote, cancel and end has its row in the audit log, and an
                           // end's row names the Job that was launched
  kUndoneAsLeft = 13,      // a rollback changes only what is still as it was left, and back to what
                           // it was before
  kOneArmedJob = 14,  // at any moment a target has at most one armed Job that has not finished,
                      // by the API server's own log
};

// One call of a client as it saw it.
struct Submitted {
  enum class Reply { kAccepted, kRefused, kUnknown };
  std::string request_id;
  Reply reply = Reply::kUnknown;
  std::string execution;  // when accepted
};

// What one stream delivered of one execution.
struct Watched {
  std::string execution;
  std::int64_t after_seq = 0;
  std::vector<v1::ExecutionEvent> events;
  bool ended_well = false;  // the server ended it with OK: it must have reached the end
};

// A row of policy_decision.
struct DecisionRow {
  std::string execution;
  int number = 0;
  bool allow = false;
};

// A row of outcome.
struct OutcomeRow {
  std::string execution;
  v1::Execution::State state = v1::Execution::STATE_UNSPECIFIED;
  v1::Execution::FailureReason reason = v1::Execution::FAILURE_REASON_UNSPECIFIED;
};

// Under which ownership a write to an execution was let in. In the order of the writes.
struct OwnedWrite {
  std::string execution;
  std::int64_t lease = 0;
  std::int64_t epoch = 0;
};

// An entry of Capstan's audit log.
struct AuditRow {
  std::string kind;  // submit, approve, reject, cancel, end; others are not joined
  std::string execution;
  std::string caller;
  std::string state;    // of an end
  std::string job_uid;  // of an end
};

// How long a Job may have had a pod at work: from when the arm was asked for, until the API server
// had the Job's end, or the last of a deleted Job and its pods.
struct ArmedSpan {
  std::string job;
  absl::Time from;
  std::optional<absl::Time> until;
};

// ScaleRecord.from, after a write of which nobody was told whether it was applied.
inline constexpr int kNotKnown = -1;

struct History {
  std::vector<Submitted> submits;
  std::vector<v1::ExecutionEvent> events;  // as stored; those of one execution in the order of seq
  std::vector<OwnedWrite> writes;          // may be empty: not recorded
  std::vector<DecisionRow> decisions;
  std::vector<OutcomeRow> outcomes;
  std::vector<AuditRow> records;  // may be empty: not recorded
  std::vector<Watched> watched;
  std::vector<kubesim::AuditEntry> audit;
  std::vector<kubesim::PodRun> pod_runs;
  std::vector<kubesim::ScaleRecord> scales;
  std::vector<ArmedSpan> armed;  // of a real API server only

  // Actions that only read: they take no target.
  std::set<std::string> reads = {"RolloutStatus"};

  // What the run was. With interference somebody else deletes and suspends Jobs or ends pods, so
  // that OUTCOME_UNKNOWN and a second create may be right; without, they never are.
  bool interference = false;
  int load_floor = 1;                // executions accepted at least; below it the run shows nothing
  std::optional<absl::Time> healed;  // when the last fault was over
  absl::Duration time_to_end = absl::Seconds(60);  // all are terminal so long after `healed`
};

struct Violation {
  Property property;
  std::string execution;  // "" when it concerns none
  std::string text;

  friend std::ostream& operator<<(std::ostream& out, const Violation& violation) {
    return out << "property " << static_cast<int>(violation.property) << " " << violation.execution
               << ": " << violation.text;
  }
};

// Empty when every promise was kept.
std::vector<Violation> Check(const History& history);

}  // namespace capstan::proof
