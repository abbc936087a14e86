// What goes into the store and comes out of it. Plain values; no SQL and no libpqxx here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"
#include "core/ids.h"
#include "core/machine/target.h"

namespace capstan::storage {

using State = v1::Execution::State;

// Which worker pool an execution waits in; also decides how many executions share a lease.
enum class Queue : std::int16_t { kAction = 1, kTask = 2 };

// An event goes in and comes out as a serialised v1::ExecutionEvent without execution, seq and
// time, which the store keeps beside it.
using EventBody = std::string;

struct StoredEvent {
  ExecutionId execution;
  std::int32_t seq = 0;
  absl::Time time;  // of its commit
  EventBody body;
};

// ---- submit

struct NewExecution {
  std::string caller;
  std::string request_id;    // empty: no idempotency key
  std::string request_hash;  // SHA-256 over the request without request_id and wait_until; 32 bytes
  Queue queue = Queue::kAction;
  std::int16_t priority = 3;
  std::string action;
  std::string parent_name;  // empty: none
  std::int32_t parent_step = 0;
  std::map<std::string, std::string> labels;
  EventBody accepted;  // becomes event 1
  std::string audit;   // JSON for the audit log; empty: none
};

struct SubmitResult {
  ExecutionId id;
  bool deduplicated = false;  // it existed already under this caller's request_id
};

// ---- leases

// A worker's right to write a batch of executions. Compared as (id, epoch): the same id under a
// later epoch is another one.
struct LeaseRef {
  std::int64_t id = 0;
  std::int32_t epoch = 0;
  friend auto operator<=>(const LeaseRef&, const LeaseRef&) = default;
};

struct WorkerInfo {
  std::string host;
  std::string version;
};

// An execution as its new holder finds it: read in a statement of its own after the claim.
struct HeldExecution {
  ExecutionId id;
  Queue queue = Queue::kAction;
  LeaseRef lease;
  std::int16_t takeovers = 0;  // how often this lease was taken from a lost worker
  bool alone = false;          // it is the only execution of its lease
  State state = v1::Execution::STATE_PENDING;
  std::int32_t last_seq = 0;
  std::int32_t signals = 0;
  std::string machine;        // serialised engine state; empty before the first step
  EventBody accepted;         // event 1
  absl::Time create_time;     // database time
  absl::Duration queue_wait;  // since it last became ready
};

// ---- commit

enum class ParkReason : std::int16_t {
  kRetry = 1,
  kApproval = 2,
  kTargetLock = 3,
  kCooldown = 4,
  kBackoff = 5,
  kPreviousFailure = 6,
  kStopped = 7,
  kParentLimit = 8,
  kPaused = 9,
  kUserInput = 10,
  kChild = 11,
  kBudget = 12,
};

// Give the lease back and wait. `delay` counts from the commit on the database's clock.
struct Park {
  ParkReason reason = ParkReason::kRetry;
  absl::Duration delay;
};

struct NewDecision {
  std::int32_t number = 1;  // 1, 2, … per execution
  bool allow = false;
  std::string bundle_digest;
  std::string input_json;
  std::string result_json;
};

struct NewArtifact {
  std::string name;  // "job", "rollback"; of tasks: {step}/{attempt}.{iteration}/…
  std::string media_type;
  std::string body;
};

// ---- targets

using machine::TargetClaim;
using machine::TargetResult;
using machine::TargetStanding;
using machine::TargetStep;

struct TargetWaiter {
  ExecutionId id;
  std::string coalesces;  // its action when it gives up for a later one, else empty
  friend bool operator==(const TargetWaiter&, const TargetWaiter&) = default;
};

struct TargetRow {
  std::string key;
  ExecutionId holder;  // none: nobody
  absl::Time held_at;
  std::vector<TargetWaiter> waiting;  // in order
  std::int32_t failures = 0;          // to start, in a row
  absl::Time backoff_until = absl::InfinitePast();
  ExecutionId blocked_by;  // none: not blocked
  absl::Time blocked_at;
  std::string block_message;
  std::string last_action;  // of the last success
  absl::Time last_success_at = absl::InfinitePast();
};

// ---- parents

using machine::ParentUse;

// What a step does among the executions of its parent.
struct ParentStep {
  ParentUse use = ParentUse::kTake;
  std::string parent;
  int limit = 0;  // of those in flight; 0: none
};

struct ParentLine {
  std::set<ExecutionId> in_flight;
  std::set<ExecutionId> waiting;  // by submission; the first ones are enough
};

// ---- budgets of projects; amounts in millionths of a US dollar

// What a step does with the budget of the execution's project.
struct BudgetStep {
  struct Month {
    std::string month;  // 2026-11
    std::int64_t reserved_before = 0;
    std::int64_t reserved = 0;  // by this execution from now on
    std::int64_t billed = 0;
    bool is_upper_bound = false;  // some of `billed`
    // Something is begun: only while spent and reserved are within the limit; when it is
    // `unbounded`, only while there is none.
    bool begins = false;
    bool unbounded = false;
  };
  // It waits until more than `needs` is left in that month, and is only stored while it is not.
  struct Wait {
    std::string month;
    std::int64_t needs = 0;
  };

  std::string project;
  std::vector<Month> months;  // each once
  std::optional<Wait> wait;
  bool goes_beyond = false;  // the limit is not tested
};

// How a project stands in a month.
struct ProjectRow {
  struct Reservation {
    ExecutionId execution;
    std::int64_t reserved = 0;
  };
  std::string project;
  std::int64_t limit = 0;  // 0: none
  std::string month;       // the current one, in UTC
  std::int64_t spent = 0;
  std::int64_t reserved = 0;
  bool is_upper_bound = false;            // some of `spent`
  std::vector<Reservation> largest = {};  // of those that reserve; not in lists
};

// ---- emergency stops

enum class StopScope : std::int16_t { kAll = 1, kNamespace = 2, kAction = 3, kWorker = 4 };

struct StopRow {
  std::int64_t id = 0;
  StopScope scope = StopScope::kAll;
  std::string subject;  // namespace, action, or worker id; empty for kAll
  std::string reason;
  std::string caller;
  absl::Time created_at;
  std::optional<absl::Time> lifted_at;
};

// What a stop is compared with.
struct LaunchScope {
  std::string name_space;
  std::string action;
  std::string worker;  // id
};

// ---- approvals

enum class ApprovalState : std::int16_t {
  kPending = 1,
  kApproved = 2,
  kRejected = 3,
  kExpired = 4,
  kVoid = 5,
};

// What one model cost in one iteration of a step.
struct NewUsage {
  std::string step;
  std::int32_t attempt = 0;
  std::int32_t iteration = 0;
  std::string model;
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t cache_creation_tokens = 0;
  std::int64_t cache_read_tokens = 0;
  std::int64_t cost_microusd = 0;
  bool is_upper_bound = false;
  std::string caller;  // of the execution
};

struct ApprovalStep {
  std::int32_t number = 1;
  ApprovalState state = ApprovalState::kPending;
  absl::Time expires;
  std::string plan_digest;
};

// ---- signals

enum class SignalKind : std::int16_t {
  kCancel = 1,
  kApprove = 2,
  kReject = 3,
  kPause = 4,
  kResume = 5,
  kChildEnded = 6,  // sent by the last step of an execution that a step of a task has submitted
};

struct Signal {
  std::int32_t number = 0;  // 1, 2, … per execution
  SignalKind kind = SignalKind::kCancel;
  std::string caller;
  std::string reason;
  absl::Time time;
  // kApprove, kReject: serialised engine.v1.ApprovalVote; kChildEnded: engine.v1.ChildEnd
  std::string detail;
};

struct NewSignal {
  SignalKind kind = SignalKind::kCancel;
  std::string caller = {};
  std::string reason = {};
  std::string detail = {};  // as Signal
  std::string audit = {};   // JSON for the audit log; empty: none
};

enum class SignalResult {
  kStored,
  kAlreadyEnded,  // terminal state: nothing was stored
};

// ---- what a step does to other executions

// A new one, under an id of the step's making.
struct NewChild {
  ExecutionId id;
  NewExecution execution;  // without a request id
};

// A signal to another one. One that has ended, or does not exist, gets none.
struct Tell {
  ExecutionId to;
  NewSignal signal;  // without `audit`
};

// One step of one execution: all of it or nothing is stored, in one transaction with the three-test
// fence.
struct Commit {
  ExecutionId id;
  LeaseRef lease;
  std::int32_t expected_seq = 0;  // last_seq as read
  // When set, the commit also needs execution.signals to be this: nothing was asked for in between.
  std::optional<std::int32_t> expected_signals;
  State state = v1::Execution::STATE_PENDING;
  v1::Execution::FailureReason failure_reason = v1::Execution::FAILURE_REASON_UNSPECIFIED;
  std::string machine;
  std::vector<EventBody> events;  // get expected_seq + 1, + 2, …
  std::optional<Park> park;       // else, unless `state` is terminal, the lease is kept
  std::optional<NewDecision> decision;
  std::vector<NewArtifact> artifacts;
  std::vector<ApprovalStep> approvals;
  std::vector<NewUsage> usage;
  std::vector<NewChild> children;
  std::vector<Tell> tells;
  std::optional<TargetStep> target;
  std::optional<ParentStep> parent;
  std::optional<BudgetStep> budget;
  // The step launches something (kNotStopped), or waits because it must not (kStopped): only stored
  // if that is how emergency stops in force have it for `launch`.
  enum class StopTest { kNone, kNotStopped, kStopped };
  StopTest stop_test = StopTest::kNone;
  LaunchScope launch;
  bool counts_as_launch = false;  // in launch.name_space
  std::string dry_run_key;        // what succeeded as a dry run; empty: nothing
  std::string audit;              // JSON for the audit log; empty: none
};

// What policy is told about others.
struct SurroundingsRow {
  std::int64_t launches = 0;
  bool prior_dry_run = false;
  std::int64_t changing = 0;  // others that hold a target
};

enum class CommitResult {
  kCommitted,
  kFenced,         // somebody else owns the execution now: forget everything about it
  kSignalsMoved,   // expected_signals did not hold; nothing was stored: read the signals and decide
                   // again
  kTargetRefused,  // the target does not stand as the step needs; nothing was stored: read it and
                   // decide again
  kParentRefused,  // there is a place among the executions of the parent, or there is none, other
                   // than the step needs; nothing was stored: look and decide again
  kBudgetRefused,  // less of the project's budget is left than the step needs, or more than what
                   // waits for it says; nothing was stored: read it and decide again
  kStopMoved,      // stops in force are not as the step needs; nothing was stored: read them and
                   // decide again
};

// ---- reading

// A decision as it was stored.
struct DecisionRow {
  ExecutionId execution;
  std::int32_t number = 1;
  absl::Time at;
  bool allow = false;
  std::string bundle_digest;
  std::string input_json;
  std::string result_json;
};

// Which decisions, and above which one a page begins.
struct DecisionRange {
  ExecutionId execution = {};               // none: of any
  absl::Time since = absl::InfinitePast();  // submission of the execution
  ExecutionId after = {};
  std::int32_t after_number = 0;
};

struct DecisionPage {
  std::vector<DecisionRow> rows;
  bool more = false;  // there are rows above the last one
};

struct ExecutionFilter {
  std::optional<std::string> action;
  bool action_not = false;
  std::optional<std::string> parent;
  bool parent_not = false;
  std::vector<State> states;  // empty: any
  std::map<std::string, std::string> labels;
};

struct WorkerRow {
  WorkerId id;
  WorkerInfo info;
  bool draining = false;
  bool dead = false;
  absl::Time started_at;
  absl::Time heartbeat_at;
  std::int32_t executions_held = 0;
};

// Where an execution stands beside its events.
struct StandingRow {
  bool leased = false;
  WorkerId worker;  // none: nobody holds it
  absl::Time due_at;
  std::optional<ParkReason> parked;
  absl::Time parked_until;
  int live_workers = 0;  // that take new work
};

struct OpenApproval {
  ExecutionId execution;
  std::int32_t number = 1;
  absl::Time requested_at;
};

struct AuditEntry {
  std::int64_t number = 0;
  std::int64_t at_micros = 0;
  std::string body;
  std::string hash;
};

struct AuditChainEnd {
  AuditChainId chain;
  std::int64_t number = 0;
  std::string hash;
};

struct LogChunk {
  std::int64_t offset = 0;
  std::string data;
};

// ---- feed

enum class FeedKind : std::int16_t { kEvents = 1, kSignal = 2 };

// Place in the feed: what committed at or before it has been seen.
struct FeedPosition {
  std::uint64_t xid = 0;
  std::int64_t position = 0;
  friend auto operator<=>(const FeedPosition&, const FeedPosition&) = default;
};

// "These executions reached at least these seqs" (kEvents) or "these got a signal" (kSignal).
struct FeedRow {
  FeedPosition position;
  FeedKind kind = FeedKind::kEvents;
  std::vector<std::pair<ExecutionId, std::int32_t>> reached;
};

}  // namespace capstan::storage
