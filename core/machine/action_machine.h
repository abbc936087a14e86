// The action machine: decides what an action does next. Pure: no I/O, no clock, no threads, no
// randomness; time and everything seen in the world come in as inputs. Total: every input in every
// situation has an answer (often "ignored"), and terminal states absorb.
//
// The runner's loop: load the execution, call Next(), store the transition in one fenced commit
// (unless it is ignored), then perform the effect and feed its result back in. A crash anywhere
// between two of these is answered by the next holder's Next(Resumed).
//
//   PENDING ──► VALIDATING ─ validate ─► create Job (suspended) ─► RUNNING ─ arm ─► watch ─►
//   VERIFYING ─► SUCCEEDED
//
// A transient error before the Job's uid is recorded leads back to PENDING (parked, backoff).
// Approval, target and emergency stop lead to BLOCKED (parked) and from there, through PENDING, to
// a validation anew. Anything that ends an execution once a Job may exist removes the Job first and
// sees it gone: then FAILED or CANCELLED.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "capstan/engine/v1/action_state.pb.h"
#include "capstan/v1/event.pb.h"
#include "capstan/v1/execution.pb.h"
#include "core/machine/states.h"
#include "core/machine/target.h"

namespace capstan::machine {

using engine::v1::ActionState;
using v1::ExecutionEvent;

// An action as its holder knows it.
struct Action {
  v1::Accepted request;
  std::string correlation_id;
  Execution::State state = Execution::STATE_PENDING;
  int seq = 0;  // of the last stored event
  ActionState data;
  // Executions of its parent that may be in flight at once; 0: any number.
  int parent_limit = 0;
};

// ---- inputs

// A worker holds the execution and asks where to go on.
struct Resumed {
  int takeovers = 0;   // of its lease
  bool alone = false;  // in its lease
};

// How the target stands, when it is not free.
struct TargetAnswer {
  TargetStanding standing = TargetStanding::kFree;
  absl::Time until = absl::InfiniteFuture();  // when it stands otherwise by itself
  std::string message = {};                   // for a person, with who holds or blocks it
};

// An emergency stop.
struct StoppedBy {
  std::string name = {};  // stops/{number}
  std::string reason = {};
};

// Result of Effect::kValidate.
struct Validated {
  enum class Result {
    kDecided,            // policy was evaluated: see `decision`
    kUnknownAction,      // this worker's catalog lacks it
    kInvalidParameters,  // this worker's catalog refuses them
    kTransientError,     // facts could not be read
  };
  Result result = Result::kTransientError;
  std::string message = {};  // for every result but kDecided
  v1::PolicyDecision decision;
  bool target_found = false;
  v1::Target target;                         // with uid when found
  google::protobuf::Struct before;           // captured facts
  std::optional<v1::RollbackPlan> rollback;  // when there is an inverse
  std::string rendered_job = {};             // when allowed
  std::string job_digest = {};               // SHA-256 of its bytes, in hex
  std::string rollback_digest = {};          // SHA-256 of the rollback record's bytes, in hex
  std::string job_namespace, job_name, job_spec_hash;
  v1::Plan plan = {};  // as it stands; its digest is what an approval is bound to
  std::vector<v1::ConditionResult> preconditions = {};
  std::string moved = {};  // the target is not as `request.expected` wants it: how it differs
  // kTransientError: of the infrastructure, which does not use up the caller's retries.
  bool infrastructure = false;
  // What it takes, unless it only reads (then the key is empty).
  TargetClaim claim = {};
  bool blocks_after_failure = false;
  // Set when storing was refused because of it: how the target stands, or which stop is in force.
  std::optional<TargetAnswer> target_answer = {};
  std::optional<StoppedBy> stopped = {};
  // Likewise: too many of its parent are in flight; for a person.
  std::optional<std::string> parent_full = {};
};

// Result of Effect::kCreateJob.
struct JobCreated {
  std::string uid = {};
  bool adopted = false;
};
struct JobCreateFailed {
  enum class Kind { kTransient, kCollision, kRefused };
  Kind kind = Kind::kTransient;
  Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED;  // for kRefused
  std::string message = {};
  bool infrastructure = false;  // kTransient: does not use up the caller's retries
};

// Result of Effect::kArmJob.
struct ArmResult {
  enum class Kind {
    kArmed,              // by this call
    kFoundArmed,         // by an attempt that was lost
    kArmedButSuspended,  // somebody else suspended it
    kGone,               // no Job with this uid
    kTransientError,     // not known to have arrived
    kRefused,            // for good: forbidden or invalid
  };
  Kind kind = Kind::kTransientError;
  std::string message = {};
};

// Result of Effect::kWatchJob: only ends.
struct JobEnded {
  bool succeeded = false;
  Execution::FailureReason reason = Execution::FAILURE_REASON_UNSPECIFIED;
  int exit_code = -1;
  std::string message = {};
  std::optional<absl::Time> started = {};
  std::optional<absl::Time> ended = {};  // cluster's clock
};
struct JobGone {};           // deleted by somebody else
struct JobSuspended {};      // suspended by somebody else after it was armed
struct JobDidNotStart {      // past the start deadline
  std::string message = {};  // with the waiting reason
  Execution::FailureReason reason = Execution::FAILURE_REASON_FAILED_TO_START;
};
struct JobLost {  // could not be observed until long after its deadline
  std::string message = {};
};

// Result of Effect::kReadBack.
struct ReadBack {
  struct Postcondition {
    v1::ConditionResult result;
    absl::Duration timeout;  // since verifying began
  };
  std::optional<google::protobuf::Struct> after;
  std::vector<Postcondition> postconditions = {};
};

// Result of Effect::kRemoveJob.
struct Removed {
  enum class Kind {
    kNeverArmed,      // deleted, or absent, and shown never to have been armed
    kGone,            // gone with its pods; may have run
    kCannotBeShown,   // gave up: it may still run
    kTransientError,  // try again
  };
  Kind kind = Kind::kTransientError;
  std::string message = {};
};
// (A Job found finished by kRemoveJob is reported as JobEnded.)

// An emergency stop in force keeps what was about to be stored from being stored.
struct Stopped {
  StoppedBy by = {};
};

// Signals above data.signals_seen, in order.
struct Signalled {
  struct Cancel {
    int number = 0;
    std::string caller;
    std::string reason;
  };
  struct Vote {
    int number = 0;
    std::string caller;
    std::string reason;
    bool approve = false;
    std::string plan_digest;
    std::vector<std::string> groups;  // of the caller
    absl::Time time;
  };
  std::vector<Cancel> cancels = {};
  std::vector<Vote> votes = {};
};

using Input =
    std::variant<Resumed, Validated, JobCreated, JobCreateFailed, ArmResult, JobEnded, JobGone,
                 JobSuspended, JobDidNotStart, JobLost, ReadBack, Removed, Stopped, Signalled>;

// ---- output

enum class Effect {
  kNone,
  kValidate,   // check parameters, read facts, evaluate policy, render the Job
  kCreateJob,  // post the stored bytes; find it if it exists
  kArmJob,     // one-shot patch
  kWatchJob,   // report its end
  kReadBack,   // read the target's facts
  kRemoveJob,  // delete by uid, see it and its pods gone
  kCleanUp,    // terminal: delete the finished Job by uid
};

struct Transition {
  // Nothing to store: the input means nothing here (any more), or only asks for the effect again.
  bool ignored = true;
  Execution::State state = Execution::STATE_UNSPECIFIED;
  Execution::FailureReason failure_reason = Execution::FAILURE_REASON_UNSPECIFIED;
  ActionState data;
  std::vector<ExecutionEvent> events;  // without execution, seq and time
  // The commit must also test that no signal has come since data.signals_seen.
  bool guard_signals = false;
  // Give the lease back for so long; in BLOCKED data.block_reason says for what.
  std::optional<absl::Duration> park;
  // What the step does with the target.
  std::optional<TargetStep> target;
  // What it does among the executions of its parent.
  std::optional<ParentUse> parent;
  // The step leads to a launch: it must not be stored while an emergency stop covers it.
  bool launches = false;
  // The step waits for emergency stops to be lifted: only to be stored while one covers it.
  bool stopped = false;
  // Approvals that were asked for or came to an end.
  struct Approval {
    int number = 1;
    v1::ApprovalSummary::State state = v1::ApprovalSummary::STATE_PENDING;
    absl::Time expires;
    std::string plan_digest;
  };
  std::vector<Approval> approvals;
  // Store what came with Validated: the decision (numbered data.decisions) and, when set, the
  // artifacts "job", "rollback".
  bool store_decision = false;
  bool store_artifacts = false;
  // To do once stored; after `delay`.
  Effect effect = Effect::kNone;
  absl::Duration delay;
};

// How long a transient error before the Job's uid is recorded parks the execution: 1 s doubling to
// 60 s.
absl::Duration RetryBackoff(int transient_errors);

// After so many takeovers an execution that is alone in its lease is given up.
inline constexpr int kMaxTakeovers = 3;

// Between two looks at postconditions.
inline constexpr absl::Duration kPostconditionInterval = absl::Seconds(5);

// `now` is database time.
Transition Next(const Action& action, const Input& input, absl::Time now);

}  // namespace capstan::machine
