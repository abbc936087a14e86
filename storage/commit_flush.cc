#include "storage/commit_flush.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "core/failpoint.h"
#include "core/status_macros.h"
#include "storage/event_row.h"
#include "storage/parent_line.h"
#include "storage/schema.h"
#include "storage/sql.h"
#include "storage/stop_rows.h"
#include "storage/stop_scope.h"
#include "storage/submit_rows.h"
#include "storage/target_queue.h"
#include "storage/tells.h"

namespace capstan::storage {
namespace {

// Bytes of a step beside its texts; for the limits of flush and queue.
constexpr std::size_t kItemBytes = 128;

std::size_t SizeOf(const Commit& c) {
  std::size_t size = kItemBytes + c.machine.size();
  for (const EventBody& event : c.events) size += event.size() + 8;
  for (const NewArtifact& artifact : c.artifacts) size += artifact.body.size() + 64;
  for (const NewChild& child : c.children) size += SizeOf(child.execution);
  for (const Tell& tell : c.tells) {
    size += kItemBytes + tell.signal.caller.size() + tell.signal.reason.size() +
            tell.signal.detail.size();
  }
  size += c.audit.size();
  if (c.decision) size += c.decision->input_json.size() + c.decision->result_json.size() + 128;
  return size;
}

bool IsTerminal(State state) {
  return state == v1::Execution::STATE_SUCCEEDED || state == v1::Execution::STATE_FAILED ||
         state == v1::Execution::STATE_CANCELLED;
}

bool Leaves(const Commit& c) { return c.park.has_value() || IsTerminal(c.state); }

absl::Status Validate(const Commit& c) {
  if (c.events.empty())
    return absl::InvalidArgumentError("commit: a step stores at least one event");
  if (c.target && c.target->kind == TargetStep::Kind::kWait && !c.park)
    return absl::InvalidArgumentError("commit: what waits for its target is parked");
  if (c.parent && c.parent->use == ParentUse::kWait && !c.park)
    return absl::InvalidArgumentError("commit: what waits for others of its parent is parked");
  if (c.budget && c.budget->wait && !c.park)
    return absl::InvalidArgumentError("commit: what waits for its project's budget is parked");
  if (c.park && (c.park->reason == ParkReason::kBudget) != (c.budget && c.budget->wait))
    return absl::InvalidArgumentError("commit: parked for a budget, and says for which");
  for (const NewChild& child : c.children) {
    if (!child.execution.request_id.empty())
      return absl::InvalidArgumentError("commit: what a step submits has no request id");
  }
  if (c.park && IsTerminal(c.state))
    return absl::InvalidArgumentError("commit: what has ended cannot be parked");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Committer>> FlushingCommitter::Create(const StoreOptions& options,
                                                                     Observer observer,
                                                                     Clock& clock) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<FlushingCommitter> committer(
      new FlushingCommitter(options, std::move(observer), clock));
  CAPSTAN_RETURN_IF_ERROR(CheckSchemaOn(committer->connection_));
  FlushingCommitter* const self = committer.get();
  committer->combiner_ = std::make_unique<Combiner<Item>>(
      "commit",
      CombinerLimits{options.flush_items, options.flush_bytes, options.queue_items,
                     options.queue_bytes},
      self->connection_.observer(),
      [self](std::vector<Item> items) { self->Flush(std::move(items)); });
  return committer;
}

FlushingCommitter::FlushingCommitter(const StoreOptions& options, Observer observer, Clock& clock)
    : options_(options),
      clock_(clock),
      connection_(options, "commit", Planning::kGeneric, observer, clock),
      audit_(clock.Now()),
      log_connection_(options, "log", Planning::kGeneric, observer, clock) {}

FlushingCommitter::~FlushingCommitter() {
  if (combiner_ != nullptr) combiner_->Stop();
}

void FlushingCommitter::Commit(storage::Commit commit, Done done) {
  if (const absl::Status valid = Validate(commit); !valid.ok()) return done(valid);
  const std::size_t size = SizeOf(commit);
  Item item{std::move(commit), std::move(done), clock_.BootTime() + options_.commit_timeout};
  if (combiner_->Add(item, size)) return;
  item.done(absl::UnavailableError("commit: stopping, or too many steps are waiting"));
}

void FlushingCommitter::Flush(std::vector<Item> items) {
  FlushSteps<Item> steps;
  steps.send = [this](std::span<Item*> part, bool again) { return Send(part, again); };
  steps.fail = [](Item& item, const absl::Status& error) {
    // A key that exists already (an artifact stored twice) is a defect of the step, not an answer.
    item.done(absl::IsAlreadyExists(error) ? absl::InternalError(error.message()) : error);
  };
  steps.deadline = [](const Item& item) { return item.deadline; };
  steps.stopping = [this] { return combiner_->stopping(); };

  // Sorted by execution for the order of locks, and one step of an execution at a time.
  std::vector<Item*> rest;
  for (Item& item : items) rest.push_back(&item);
  std::stable_sort(rest.begin(), rest.end(),
                   [](const Item* a, const Item* b) { return a->commit.id < b->commit.id; });
  while (!rest.empty()) {
    std::vector<Item*> round, later;
    for (Item* item : rest) {
      const bool repeated = !round.empty() && round.back()->commit.id == item->commit.id;
      (repeated ? later : round).push_back(item);
    }
    FlushUntilKnown(std::move(round), connection_, clock_, steps);
    rest = std::move(later);
  }
}

absl::Status FlushingCommitter::Send(std::span<Item*> items, bool again) {
  CAPSTAN_ASSIGN_OR_RETURN(const Answers answers, Store(items));
  if (absl::Status lost = HitFailpoint("commit.after_commit"); !lost.ok()) {
    connection_.Close();
    return lost;
  }
  // What is sent again may be stored already, and be refused for what it has done itself.
  std::vector<Unsettled> rest;
  std::vector<bool> settles(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    settles[i] = !answers[i].has_value() || (again && answers[i] != CommitResult::kCommitted);
    if (settles[i]) rest.push_back({items[i], answers[i]});
  }
  // Before anybody is answered. If this fails the whole flush is sent again; what passed must then
  // be found stored.
  if (!rest.empty()) {
    const absl::Status settled = Settle(rest, again);
    if (!settled.ok()) return absl::UnavailableError(settled.message());
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!settles[i]) items[i]->done(*answers[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<FlushingCommitter::Answers> FlushingCommitter::Store(std::span<Item*> items) {
  // One statement is a transaction by itself, which saves two round trips.
  bool beside = false, stops = false, targets = false, parents = false, budgets = false;
  for (const Item* item : items) {
    const storage::Commit& c = item->commit;
    stops = stops || c.stop_test != storage::Commit::StopTest::kNone;
    targets = targets || c.target.has_value();
    parents = parents || c.parent.has_value();
    budgets = budgets || c.budget.has_value();
    beside = beside || !c.children.empty() || !c.tells.empty() || c.park || c.decision ||
             !c.artifacts.empty() || !c.approvals.empty() || !c.usage.empty() ||
             c.counts_as_launch || !c.dry_run_key.empty() || !c.audit.empty();
  }
  const bool alone = !beside && !stops && !targets && !parents && !budgets;
  Answers answers(items.size());
  Transaction transaction(connection_);
  if (!alone) CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  if (absl::Status lost = HitFailpoint("commit.before_commit"); !lost.ok()) {
    connection_.Close();
    return lost;
  }
  LockedTargets locked;
  if (stops) CAPSTAN_RETURN_IF_ERROR(TestStops(items, answers));
  if (targets) {
    CAPSTAN_ASSIGN_OR_RETURN(locked, TestTargets(items, answers));
  }
  if (parents) CAPSTAN_RETURN_IF_ERROR(TestParents(items, answers));
  LockedProjects money;
  if (budgets) {
    CAPSTAN_ASSIGN_OR_RETURN(money, TestBudgets(items, answers));
  }
  CAPSTAN_RETURN_IF_ERROR(LockForTells(connection_, WithoutAnswer(items, answers)));
  CAPSTAN_RETURN_IF_ERROR(PassFence(items, answers));
  if (alone) return answers;
  CAPSTAN_RETURN_IF_ERROR(StoreBeside(items, answers));
  std::vector<ExecutionId> wake;
  if (targets) CAPSTAN_RETURN_IF_ERROR(ChangeTargets(items, answers, locked, wake));
  if (parents) CAPSTAN_RETURN_IF_ERROR(ChangeParents(items, answers, wake));
  if (budgets) CAPSTAN_RETURN_IF_ERROR(ChangeBudgets(items, answers, money, wake));
  const std::vector<const storage::Commit*> stored = Committed(items, answers);
  CAPSTAN_RETURN_IF_ERROR(StoreTells(connection_, stored, wake));
  std::vector<std::string> audited;
  CAPSTAN_RETURN_IF_ERROR(StoreChildren(stored, audited));
  CAPSTAN_RETURN_IF_ERROR(WakeThese(connection_, wake));  // at once: locked in order
  for (const storage::Commit* commit : stored) {
    if (!commit->audit.empty()) audited.push_back(commit->audit);
  }
  CAPSTAN_RETURN_IF_ERROR(audit_.Append(connection_, audited));
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  return answers;
}

std::vector<const storage::Commit*> FlushingCommitter::WithoutAnswer(std::span<Item*> items,
                                                                     const Answers& answers) {
  std::vector<const storage::Commit*> out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!answers[i].has_value()) out.push_back(&items[i]->commit);
  }
  return out;
}

std::vector<const storage::Commit*> FlushingCommitter::Committed(std::span<Item*> items,
                                                                 const Answers& answers) {
  std::vector<const storage::Commit*> out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (answers[i] == CommitResult::kCommitted) out.push_back(&items[i]->commit);
  }
  return out;
}

// As submitted ones are stored. None has a key that could exist.
absl::Status FlushingCommitter::StoreChildren(std::span<const storage::Commit* const> steps,
                                              std::vector<std::string>& audited) {
  std::vector<SubmitRow> rows;
  for (const storage::Commit* step : steps) {
    for (const NewChild& child : step->children) {
      rows.push_back({child.id, KeyOf(child.execution, child.id), &child.execution});
      if (!child.execution.audit.empty())
        audited.push_back(SubmittedAudit(child.id, child.execution.audit));
    }
  }
  if (rows.empty()) return absl::OkStatus();
  Params params = SubmitParams(rows, options_);
  params.Add(false);
  return connection_.Run(sql::kSubmit, params).status();
}

absl::Status FlushingCommitter::TestStops(std::span<Item*> items, Answers& answers) {
  CAPSTAN_RETURN_IF_ERROR(connection_.Run(sql::kLaunchGate).status());
  // A statement of its own: its snapshot is later than the wait for the gate.
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection_.Run(sql::kStopInForce));
  const std::vector<StopRow> stops = ReadStopRows(rows);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (c.stop_test == storage::Commit::StopTest::kNone) continue;
    const bool stopped = FindCovering(stops, c.launch) != nullptr;
    if (stopped != (c.stop_test == storage::Commit::StopTest::kStopped))
      answers[i] = CommitResult::kStopMoved;
  }
  return absl::OkStatus();
}

absl::StatusOr<LockedTargets> FlushingCommitter::TestTargets(std::span<Item*> items,
                                                             Answers& answers) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i]->commit.target && !answers[i]) keys.push_back(items[i]->commit.target->claim.key);
  }
  CAPSTAN_ASSIGN_OR_RETURN(const LockedTargets locked, LockTargets(connection_, std::move(keys)));
  // Tried on a copy, so that two steps of this flush do not take the same target.
  LockedTargets trial = locked;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (!c.target || answers[i] || c.target->kind == TargetStep::Kind::kLeave) continue;
    TargetRow& row = trial.rows[c.target->claim.key];
    const TargetStanding standing = StandingOf(row, c.target->claim, c.id, locked.now);
    const TargetStanding wanted =
        c.target->kind == TargetStep::Kind::kTake ? TargetStanding::kFree : c.target->expected;
    if (standing != wanted) {
      answers[i] = CommitResult::kTargetRefused;
    } else {
      Apply(row, *c.target, c.id, locked.now);
    }
  }
  return locked;
}

absl::Status FlushingCommitter::ChangeTargets(std::span<Item*> items, const Answers& answers,
                                              LockedTargets& targets,
                                              std::vector<ExecutionId>& wake) {
  std::set<const TargetRow*> changed;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (!c.target || answers[i] != CommitResult::kCommitted) continue;
    TargetRow& row = targets.rows[c.target->claim.key];
    const std::vector<ExecutionId> next = Apply(row, *c.target, c.id, targets.now);
    wake.insert(wake.end(), next.begin(), next.end());
    changed.insert(&row);
  }
  CAPSTAN_RETURN_IF_ERROR(
      StoreTargets(connection_, std::vector<const TargetRow*>(changed.begin(), changed.end())));
  absl::Status lost = HitFailpoint("target.between");
  if (!lost.ok()) connection_.Close();
  return lost;
}

absl::Status FlushingCommitter::TestParents(std::span<Item*> items, Answers& answers) {
  std::set<std::string> distinct;
  int limit = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!items[i]->commit.parent || answers[i]) continue;
    distinct.insert(items[i]->commit.parent->parent);
    limit = std::max(limit, items[i]->commit.parent->limit);
  }
  if (distinct.empty()) return absl::OkStatus();
  Array names(Element::kText, distinct.size() * 64);
  for (const std::string& name : distinct) names.Add(name);
  CAPSTAN_RETURN_IF_ERROR(
      connection_.Run(sql::kSiblingLock, Params().Add(std::move(names))).status());
  CAPSTAN_ASSIGN_OR_RETURN(auto lines,
                           ReadParentLines(connection_, {distinct.begin(), distinct.end()}, limit));
  // Tried on this copy, so that steps of this flush count each other. Those that leave count until
  // they are stored.
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (!c.parent || answers[i] || c.parent->use == ParentUse::kLeave) continue;
    ParentLine& line = lines[c.parent->parent];
    const bool takes = c.parent->use == ParentUse::kTake;
    if (HasPlace(line, c.id, c.parent->limit) != takes) {
      answers[i] = CommitResult::kParentRefused;
    } else if (takes) {
      line.waiting.erase(c.id);
      line.in_flight.insert(c.id);
    } else {
      line.waiting.insert(c.id);
    }
  }
  return absl::OkStatus();
}

absl::Status FlushingCommitter::ChangeParents(std::span<Item*> items, const Answers& answers,
                                              std::vector<ExecutionId>& wake) {
  Array held(Element::kUuid, 0), parents(Element::kText, 0), in_flight(Element::kBool, 0);
  Array left(Element::kUuid, 0);
  std::set<std::string> emptier;
  bool holds = false;
  int limit = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (!c.parent || answers[i] != CommitResult::kCommitted) continue;
    if (c.parent->use == ParentUse::kLeave) {
      left.Add(c.id);
      emptier.insert(c.parent->parent);
      limit = c.parent->limit;
      continue;
    }
    holds = true;
    held.Add(c.id);
    parents.Add(c.parent->parent);
    in_flight.Add(c.parent->use == ParentUse::kTake);
  }
  if (holds) {
    Params params;
    params.Add(std::move(held)).Add(std::move(parents)).Add(std::move(in_flight));
    CAPSTAN_RETURN_IF_ERROR(connection_.Run(sql::kSiblingHold, params).status());
  }
  if (emptier.empty()) return absl::OkStatus();
  CAPSTAN_RETURN_IF_ERROR(
      connection_.Run(sql::kSiblingLeave, Params().Add(std::move(left))).status());
  CAPSTAN_ASSIGN_OR_RETURN(const auto lines,
                           ReadParentLines(connection_, {emptier.begin(), emptier.end()}, limit));
  for (const auto& [parent, line] : lines) {
    const std::vector<ExecutionId> next = NextInLine(line, limit);
    wake.insert(wake.end(), next.begin(), next.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<LockedProjects> FlushingCommitter::TestBudgets(std::span<Item*> items,
                                                              Answers& answers) {
  std::vector<const BudgetStep*> steps;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i]->commit.budget && !answers[i]) steps.push_back(&*items[i]->commit.budget);
  }
  CAPSTAN_ASSIGN_OR_RETURN(const LockedProjects money, LockProjects(connection_, steps));
  // Tried on a copy, so that steps of this flush count each other.
  LockedProjects trial = money;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::optional<BudgetStep>& step = items[i]->commit.budget;
    if (step && !answers[i] && !TakeStep(*step, trial)) answers[i] = CommitResult::kBudgetRefused;
  }
  return money;
}

absl::Status FlushingCommitter::ChangeBudgets(std::span<Item*> items, const Answers& answers,
                                              const LockedProjects& money,
                                              std::vector<ExecutionId>& wake) {
  std::vector<StoredBudgetStep> steps;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const storage::Commit& c = items[i]->commit;
    if (c.budget && answers[i] == CommitResult::kCommitted) steps.push_back({c.id, &*c.budget});
  }
  return StoreBudgetSteps(connection_, steps, money, wake);
}

absl::Status FlushingCommitter::PassFence(std::span<Item*> all, Answers& answers) {
  std::vector<std::size_t> places;  // in `all`, of those that are asked
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!answers[i]) places.push_back(i);
  }
  if (places.empty()) return absl::OkStatus();
  const std::size_t n = places.size();
  Array ids(Element::kUuid, n * 20), leases(Element::kInt8, n * 12), epochs(Element::kInt4, n * 8);
  Array seqs(Element::kInt4, n * 8), signals(Element::kInt4, n * 8), events(Element::kInt4, n * 8);
  Array states(Element::kInt2, n * 6), reasons(Element::kInt2, n * 6),
      machines(Element::kBytes, n * 64);
  Array leaves(Element::kBool, n * 5), bodies(Element::kBytes, n * 512);
  std::set<std::int64_t> distinct;
  for (const std::size_t place : places) {
    const storage::Commit& c = all[place]->commit;
    ids.Add(c.id);
    leases.Add(c.lease.id);
    epochs.Add(c.lease.epoch);
    seqs.Add(c.expected_seq);
    if (c.expected_signals) {
      signals.Add(*c.expected_signals);
    } else {
      signals.AddNull();
    }
    events.Add(static_cast<std::int32_t>(c.events.size()));
    states.Add(static_cast<std::int16_t>(c.state));
    reasons.Add(static_cast<std::int16_t>(c.failure_reason));
    machines.Add(c.machine);
    leaves.Add(Leaves(c));
    bodies.Add(EncodeEvents(c.events));
    distinct.insert(c.lease.id);
  }
  Array distinct_leases(Element::kInt8, distinct.size() * 12);
  for (const std::int64_t id : distinct) distinct_leases.Add(id);
  Params params;
  params.Add(std::move(ids)).Add(std::move(leases)).Add(std::move(epochs)).Add(std::move(seqs));
  params.Add(std::move(signals))
      .Add(std::move(events))
      .Add(std::move(states))
      .Add(std::move(reasons));
  params.Add(std::move(machines)).Add(std::move(leaves)).Add(std::move(bodies));
  params.Add(std::move(distinct_leases));

  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection_.Run(sql::kCommit, params));
  for (const std::int64_t number : rows.Ints(0, 0))
    answers[places[static_cast<std::size_t>(number - 1)]] = CommitResult::kCommitted;
  return absl::OkStatus();
}

absl::Status FlushingCommitter::StoreBeside(std::span<Item*> items, const Answers& answers) {
  Array parked(Element::kUuid, 0), park_reasons(Element::kInt2, 0), delays(Element::kInt8, 0);
  Array projects(Element::kText, 0), needs(Element::kInt8, 0);
  Array decided(Element::kUuid, 0), numbers(Element::kInt4, 0), allows(Element::kBool, 0);
  Array digests(Element::kText, 0), inputs(Element::kText, 0), results(Element::kText, 0);
  Array owners(Element::kUuid, 0), names(Element::kText, 0), types(Element::kText, 0),
      bodies(Element::kBytes, 0);
  bool parks = false, decides = false, keeps = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (answers[i] != CommitResult::kCommitted) continue;
    const storage::Commit& c = items[i]->commit;
    if (c.park) {
      parks = true;
      parked.Add(c.id);
      park_reasons.Add(static_cast<std::int16_t>(c.park->reason));
      delays.Add(std::int64_t{absl::ToInt64Microseconds(c.park->delay)});
      if (c.budget && c.budget->wait) {
        projects.Add(c.budget->project);
        needs.Add(c.budget->wait->needs);
      } else {
        projects.AddNull();
        needs.AddNull();
      }
    }
    if (c.decision) {
      decides = true;
      decided.Add(c.id);
      numbers.Add(c.decision->number);
      allows.Add(c.decision->allow);
      digests.Add(c.decision->bundle_digest);
      inputs.Add(c.decision->input_json);
      results.Add(c.decision->result_json);
    }
    for (const NewArtifact& artifact : c.artifacts) {
      keeps = true;
      owners.Add(c.id);
      names.Add(artifact.name);
      types.Add(artifact.media_type);
      bodies.Add(artifact.body);
    }
  }
  if (parks) {
    Params params;
    params.Add(std::move(parked)).Add(std::move(park_reasons)).Add(std::move(delays));
    params.Add(std::move(projects)).Add(std::move(needs));
    CAPSTAN_RETURN_IF_ERROR(connection_.Run(sql::kCommitPark, params).status());
  }
  if (decides) {
    Params params;
    params.Add(std::move(decided)).Add(std::move(numbers)).Add(std::move(allows));
    params.Add(std::move(digests)).Add(std::move(inputs)).Add(std::move(results));
    CAPSTAN_RETURN_IF_ERROR(connection_.Run(sql::kCommitDecide, params).status());
  }
  if (keeps) {
    Params params;
    params.Add(std::move(owners))
        .Add(std::move(names))
        .Add(std::move(types))
        .Add(std::move(bodies));
    CAPSTAN_RETURN_IF_ERROR(connection_.Run(sql::kCommitArtifact, params).status());
  }
  CAPSTAN_RETURN_IF_ERROR(StoreApprovals(items, answers));
  CAPSTAN_RETURN_IF_ERROR(StoreUsage(items, answers));
  return NoteLaunches(items, answers);
}

absl::Status FlushingCommitter::StoreApprovals(std::span<Item*> items, const Answers& answers) {
  Array ids(Element::kUuid, 0), numbers(Element::kInt4, 0), states(Element::kInt2, 0);
  Array expires(Element::kInt8, 0), digests(Element::kText, 0);
  // A step that ends one approval and asks for the next stores two rows.
  bool any = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (answers[i] != CommitResult::kCommitted) continue;
    for (const ApprovalStep& approval : items[i]->commit.approvals) {
      any = true;
      ids.Add(items[i]->commit.id);
      numbers.Add(approval.number);
      states.Add(static_cast<std::int16_t>(approval.state));
      expires.Add(std::int64_t{absl::ToUnixMicros(approval.expires)});
      digests.Add(approval.plan_digest);
    }
  }
  if (!any) return absl::OkStatus();
  Params params;
  params.Add(std::move(ids)).Add(std::move(numbers)).Add(std::move(states));
  params.Add(std::move(expires)).Add(std::move(digests));
  return connection_.Run(sql::kCommitApproval, params).status();
}

absl::Status FlushingCommitter::StoreUsage(std::span<Item*> items, const Answers& answers) {
  Array ids(Element::kUuid, 0), steps(Element::kText, 0), attempts(Element::kInt4, 0);
  Array iterations(Element::kInt4, 0), models(Element::kText, 0), input(Element::kInt8, 0);
  Array output(Element::kInt8, 0), created(Element::kInt8, 0), read(Element::kInt8, 0);
  Array costs(Element::kInt8, 0), bounds(Element::kBool, 0), callers(Element::kText, 0);
  bool any = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (answers[i] != CommitResult::kCommitted) continue;
    for (const NewUsage& usage : items[i]->commit.usage) {
      any = true;
      ids.Add(items[i]->commit.id);
      steps.Add(usage.step);
      attempts.Add(usage.attempt);
      iterations.Add(usage.iteration);
      models.Add(usage.model);
      input.Add(usage.input_tokens);
      output.Add(usage.output_tokens);
      created.Add(usage.cache_creation_tokens);
      read.Add(usage.cache_read_tokens);
      costs.Add(usage.cost_microusd);
      bounds.Add(usage.is_upper_bound);
      callers.Add(usage.caller);
    }
  }
  if (!any) return absl::OkStatus();
  Params params;
  params.Add(std::move(ids)).Add(std::move(steps)).Add(std::move(attempts));
  params.Add(std::move(iterations)).Add(std::move(models)).Add(std::move(input));
  params.Add(std::move(output)).Add(std::move(created)).Add(std::move(read));
  params.Add(std::move(costs)).Add(std::move(bounds)).Add(std::move(callers));
  return connection_.Run(sql::kCommitUsage, params).status();
}

absl::Status FlushingCommitter::NoteLaunches(std::span<Item*> items, const Answers& answers) {
  Array ids(Element::kUuid, 0), names(Element::kText, 0), keys(Element::kText, 0);
  bool launches = false;
  std::set<std::string> tried;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (answers[i] != CommitResult::kCommitted) continue;
    const storage::Commit& c = items[i]->commit;
    if (!c.dry_run_key.empty()) tried.insert(c.dry_run_key);
    if (!c.counts_as_launch) continue;
    launches = true;
    ids.Add(c.id);
    names.Add(c.launch.name_space);
  }
  if (launches) {
    CAPSTAN_RETURN_IF_ERROR(
        connection_.Run(sql::kCommitLaunch, Params().Add(std::move(ids)).Add(std::move(names)))
            .status());
  }
  if (tried.empty()) return absl::OkStatus();
  for (const std::string& key : tried) keys.Add(key);
  return connection_.Run(sql::kCommitDryRun, Params().Add(std::move(keys))).status();
}

absl::Status FlushingCommitter::Settle(const std::vector<Unsettled>& items, bool again) {
  Array ids(Element::kUuid, 0), leases(Element::kInt8, 0), epochs(Element::kInt4, 0);
  Array seqs(Element::kInt4, 0), bodies(Element::kBytes, 0);
  std::vector<CommitResult> results;
  for (const auto& [item, refused] : items) {
    results.push_back(refused.value_or(CommitResult::kFenced));
    const storage::Commit& c = item->commit;
    ids.Add(c.id);
    leases.Add(c.lease.id);
    epochs.Add(c.lease.epoch);
    seqs.Add(c.expected_seq + static_cast<std::int32_t>(c.events.size()));
    bodies.Add(EncodeEvents(c.events));
  }
  Params params;
  params.Add(std::move(ids)).Add(std::move(leases)).Add(std::move(epochs));
  params.Add(std::move(seqs)).Add(std::move(bodies));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection_.Run(sql::kCommitSettle, params));

  for (int row = 0; row < rows.size(); ++row) {
    const auto i = static_cast<std::size_t>(rows.Int(row, 0) - 1);
    const storage::Commit& c = items[i].item->commit;
    const bool ours = rows.Bool(row, 1);
    const std::int64_t last_seq = rows.Int(row, 2);
    const bool stored = rows.Bool(row, 4);
    // While the lease is ours nobody else can have written the same; once it is given back it no
    // longer matters.
    if (again && stored && (ours || Leaves(c))) {
      results[i] = CommitResult::kCommitted;
    } else if (!items[i].refused && ours && last_seq == c.expected_seq) {
      if (!c.expected_signals || rows.Int(row, 3) == *c.expected_signals) {
        return absl::AbortedError("commit: the execution changed while it was looked at");
      }
      results[i] = CommitResult::kSignalsMoved;
    }
  }
  for (std::size_t i = 0; i < items.size(); ++i) items[i].item->done(results[i]);
  return absl::OkStatus();
}

absl::Status FlushingCommitter::AppendLog(const ExecutionId& id, const LeaseRef& lease,
                                          std::int64_t offset, std::string_view data) {
  absl::MutexLock lock(&log_mu_);
  const auto params = Params().Add(id).Add(lease.id).Add(lease.epoch).Add(offset).Add(data);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, log_connection_.Run(sql::kLogAppend, params));
  if (rows.empty())
    return absl::FailedPreconditionError("log: somebody else owns the execution now");
  if (rows.Int(0, 0) < offset)
    return absl::OutOfRangeError("log: bytes before this offset are missing");
  return absl::OkStatus();
}

}  // namespace capstan::storage
