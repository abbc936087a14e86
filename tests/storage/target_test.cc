// Targets, emergency stops, approvals and the audit log in the database.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "capstan/v1/event.pb.h"
#include "storage/admin_store.h"
#include "storage/sql.h"
#include "storage/stop_scope.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kKey[] = "Deployment/shop/web";

class Targets : public StoreTest {
 protected:
  AdminStore& admin() {
    if (admin_ == nullptr) admin_ = *OpenAdminStore(options_, NotingObserver(), clock_);
    return *admin_;
  }
  static TargetStep Step(TargetStep::Kind kind, TargetStanding expected = TargetStanding::kBusy,
                         TargetResult result = TargetResult::kNeutral) {
    return {kind, {kKey, "ScaleDeployment", false, absl::ZeroDuration()}, expected, result, "why"};
  }
  storage::Commit MakeTake(const HeldExecution& held) {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_VALIDATING);
    commit.target = Step(TargetStep::Kind::kTake);
    return commit;
  }
  storage::Commit MakeWait(const HeldExecution& held, TargetStanding seen = TargetStanding::kBusy) {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_BLOCKED);
    commit.expected_signals = held.signals;
    commit.park = Park{ParkReason::kTargetLock, absl::Hours(1)};
    commit.target = Step(TargetStep::Kind::kWait, seen);
    return commit;
  }
  storage::Commit MakeLeave(const HeldExecution& held, TargetResult result) {
    storage::Commit commit = MakeEnd(held);
    commit.target = Step(TargetStep::Kind::kLeave, {}, result);
    return commit;
  }
  // After a committed step of `events` events.
  static HeldExecution After(HeldExecution held, int events = 1) {
    held.last_seq += events;
    return held;
  }

 private:
  std::unique_ptr<AdminStore> admin_;
};

TEST_F(Targets, S2_56_TheNextInLineIsWokenWithTheEndOfTheOneBefore) {
  const WorkerId worker = NewWorker();
  const HeldExecution first = SubmitAndClaim(worker), second = SubmitAndClaim(worker);
  ASSERT_THAT(Commit(MakeTake(first)), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(Commit(MakeTake(second)), IsOkAndHolds(CommitResult::kTargetRefused));
  ASSERT_THAT(Commit(MakeWait(second)), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(Claim(worker), IsEmpty());

  ASSERT_THAT(Commit(MakeLeave(After(first), TargetResult::kSucceeded)),
              IsOkAndHolds(CommitResult::kCommitted));

  const auto woken = Claim(worker);
  ASSERT_THAT(woken, SizeIs(1));
  EXPECT_EQ(woken[0].id, second.id);
  const auto target = leases().ReadTarget(kKey);
  ASSERT_OK(target);
  EXPECT_EQ(target->holder, second.id);
  EXPECT_EQ(target->last_action, "ScaleDeployment");
  EXPECT_EQ(Count("parked"), 0);
}

TEST_F(Targets, AWaitIsRefusedOnceTheTargetIsFree) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  EXPECT_THAT(Commit(MakeWait(held)), IsOkAndHolds(CommitResult::kTargetRefused));
  EXPECT_EQ(Count("parked"), 0);
  EXPECT_THAT(Commit(MakeTake(held)), IsOkAndHolds(CommitResult::kCommitted));
}

TEST_F(Targets, AFencedStepDoesNotTouchTheTarget) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);
  ++held.lease.epoch;
  EXPECT_THAT(Commit(MakeTake(held)), IsOkAndHolds(CommitResult::kFenced));
  const auto target = leases().ReadTarget(kKey);
  ASSERT_OK(target);
  EXPECT_TRUE(target->holder.IsNone());
}

TEST_F(Targets, TwoStepsOfOneFlushDoNotTakeTheSameTarget) {
  const WorkerId worker = NewWorker();
  const auto held = HoldTogether(worker, 8);
  std::vector<std::promise<CommitResult>> answers(held.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    committer().Commit(MakeTake(held[i]), [&answers, i](absl::StatusOr<CommitResult> result) {
      answers[i].set_value(result.value_or(CommitResult::kFenced));
    });
  }
  int taken = 0;
  for (auto& answer : answers) taken += answer.get_future().get() == CommitResult::kCommitted;
  EXPECT_EQ(taken, 1);
}

TEST_F(Targets, S2_60_ClearingABlockIsAuditedAndWakesTheNext) {
  const WorkerId worker = NewWorker();
  const HeldExecution first = SubmitAndClaim(worker), second = SubmitAndClaim(worker);
  EXPECT_THAT(admin().ClearTargetBlock(kKey, "{}"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(Commit(MakeTake(first)), IsOkAndHolds(CommitResult::kCommitted));
  ASSERT_THAT(Commit(MakeLeave(After(first), TargetResult::kBlocks)),
              IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(Commit(MakeTake(second)), IsOkAndHolds(CommitResult::kTargetRefused));
  ASSERT_THAT(Commit(MakeWait(second, TargetStanding::kBlocked)),
              IsOkAndHolds(CommitResult::kCommitted));
  auto listed = admin().ListTargets("", 10);
  ASSERT_OK(listed);
  ASSERT_THAT(*listed, SizeIs(1));
  EXPECT_EQ((*listed)[0].blocked_by, first.id);
  EXPECT_EQ((*listed)[0].block_message, "why");

  const auto cleared = admin().ClearTargetBlock(kKey, R"({"kind":"clear_target_block"})");

  ASSERT_OK(cleared);
  EXPECT_TRUE(cleared->blocked_by.IsNone());
  EXPECT_EQ(cleared->holder, second.id);
  EXPECT_THAT(Claim(worker), SizeIs(1));
  EXPECT_EQ(Sql("SELECT body FROM audit"), R"([{"kind":"clear_target_block"}])");
}

TEST_F(Targets, ATargetSurvivesTheWayThroughTheDatabase) {
  const WorkerId worker = NewWorker();
  const HeldExecution first = SubmitAndClaim(worker), second = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeTake(first)));
  auto wait = MakeWait(second);
  wait.target->claim.coalesce = true;
  ASSERT_OK(Commit(wait));
  const auto read = admin().ReadTarget(kKey);
  ASSERT_OK(read);
  EXPECT_THAT(read->waiting, ElementsAre(TargetWaiter{second.id, "ScaleDeployment"}));
  EXPECT_EQ(read->holder, first.id);
  EXPECT_LT(absl::AbsDuration(read->held_at - absl::Now()), absl::Minutes(1));
}

// ---- stops

TEST_F(Targets, S2_21_AStopRefusesLaunchesInItsScopeFromItsCommitOn) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  const auto launch = [&] {
    storage::Commit commit = MakeStep(held, v1::Execution::STATE_VALIDATING);
    commit.stop_test = storage::Commit::StopTest::kNotStopped;
    commit.launch = {"shop", "ScaleDeployment", worker.ToString()};
    return commit;
  };
  const auto stop = admin().Stop({.scope = StopScope::kNamespace,
                                  .subject = "shop",
                                  .caller = "sre",
                                  .reason = "fire",
                                  .request_id = "r",
                                  .audit = R"({"kind":"stop"})"});
  ASSERT_OK(stop);
  EXPECT_EQ(admin()
                .Stop({.scope = StopScope::kNamespace,
                       .subject = "shop",
                       .caller = "sre",
                       .reason = "fire",
                       .request_id = "r"})
                ->id,
            stop->id);

  EXPECT_THAT(Commit(launch()), IsOkAndHolds(CommitResult::kStopMoved));
  auto elsewhere = launch();
  elsewhere.launch.name_space = "other";
  // A wait for a stop that does not cover it is refused, too: nobody would wake it.
  auto wait = MakePark(held, absl::Hours(1));
  wait.stop_test = storage::Commit::StopTest::kStopped;
  wait.launch = elsewhere.launch;
  EXPECT_THAT(Commit(wait), IsOkAndHolds(CommitResult::kStopMoved));
  wait.launch = launch().launch;
  wait.park->reason = ParkReason::kStopped;
  ASSERT_THAT(Commit(wait), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_THAT(admin().ListStopped(ExecutionId(), 10), IsOkAndHolds(ElementsAre(held.id)));

  const auto lifted = admin().LiftStop(stop->id, "sre", "out", R"({"kind":"lift"})");
  ASSERT_OK(lifted);
  EXPECT_TRUE(lifted->lifted_at.has_value());
  EXPECT_OK(admin().LiftStop(stop->id, "sre", "again", ""));
  EXPECT_THAT(admin().StopsInForce(), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(leases().StopsInForce(), IsOkAndHolds(IsEmpty()));
  ASSERT_OK(admin().Wake({held.id}));
  EXPECT_THAT(Claim(worker), SizeIs(1));
  EXPECT_THAT(admin().LiftStop(900, "sre", "none", ""), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Targets, S2_21_TheOldestOfManyStopsStillStops) {
  const HeldExecution held = SubmitAndClaim(NewWorker());
  ASSERT_OK(admin().Stop(
      {.scope = StopScope::kNamespace, .subject = "shop", .caller = "sre", .reason = "fire"}));
  Sql("INSERT INTO stop (scope, subject, caller, reason, request_id) "
      "SELECT 2, 'other-' || n, 'sre', 'fire', '' FROM generate_series(1, 1000) AS n RETURNING 1");
  storage::Commit launch = MakeStep(held, v1::Execution::STATE_VALIDATING);
  launch.stop_test = storage::Commit::StopTest::kNotStopped;
  launch.launch = {"shop", "ScaleDeployment", ""};

  EXPECT_THAT(Commit(launch), IsOkAndHolds(CommitResult::kStopMoved));
  EXPECT_THAT(leases().StopsInForce(), IsOkAndHolds(SizeIs(1001)));
}

TEST_F(Targets, S2_21_OnlyAStopThatIsNewIsAudited) {
  const NewStop stop{.scope = StopScope::kAll,
                     .subject = "",
                     .caller = "sre",
                     .reason = "fire",
                     .request_id = "r",
                     .audit = R"({"kind":"stop"})"};

  ASSERT_OK(admin().Stop(stop));
  ASSERT_OK(admin().Stop(stop));

  EXPECT_EQ(Count("audit"), 1);
}

TEST_F(Targets, S2_21_OfTwoLiftsAtTheSameMomentOneIsAudited) {
  const auto stop =
      admin().Stop({.scope = StopScope::kAll, .subject = "", .caller = "sre", .reason = "fire"});
  ASSERT_OK(stop);
  const auto elsewhere = *OpenAdminStore(options_, NotingObserver(), clock_);
  // Both come while a launch is being stored: they have found the stop in force.
  auto launch =
      std::make_unique<Connection>(options_, "launch", Planning::kGeneric, Observer(), clock_);
  ASSERT_OK(launch->Begin());
  ASSERT_OK(launch->Run(sql::kLaunchGate));
  const auto lift = [&](AdminStore& store) {
    return std::async(std::launch::async, [&store, id = stop->id] {
      return store.LiftStop(id, "sre", "out", R"({"kind":"lift"})").status();
    });
  };
  auto first = lift(admin()), second = lift(*elsewhere);
  while (Count("pg_locks WHERE NOT granted") < 2) {
  }

  launch->Rollback();

  EXPECT_OK(first.get());
  EXPECT_OK(second.get());
  EXPECT_EQ(Count("audit"), 1);
}

TEST_F(Targets, S2_21_WhatALiftDidNotGetToWakeIsWokenByTheWorkers) {
  const WorkerId worker = NewWorker();
  const auto park = [&](const std::string& name_space) {
    v1::ExecutionEvent first;
    first.mutable_accepted()->set_action("ScaleDeployment");
    first.mutable_accepted()->mutable_target()->set_namespace_(name_space);
    NewExecution execution = MakeExecution();
    execution.accepted = first.SerializeAsString();
    EXPECT_OK(Submit(execution));
    const auto held = Claim(worker);
    storage::Commit wait = MakePark(held.at(0), absl::Hours(1));
    wait.park->reason = ParkReason::kStopped;
    wait.stop_test = storage::Commit::StopTest::kStopped;
    wait.launch = {name_space, "ScaleDeployment", worker.ToString()};
    EXPECT_THAT(Commit(wait), IsOkAndHolds(CommitResult::kCommitted));
    return held.at(0).id;
  };
  const auto stop = [&](StopScope scope, const std::string& subject) {
    return admin()
        .Stop({.scope = scope, .subject = subject, .caller = "sre", .reason = "fire"})
        ->id;
  };
  const std::int64_t shop = stop(StopScope::kNamespace, "shop");
  const std::int64_t bank = stop(StopScope::kNamespace, "bank");
  const ExecutionId in_shop = park("shop"), in_bank = park("bank");
  EXPECT_THAT(leases().WakeUnstopped(100), IsOkAndHolds(0));
  const std::int64_t of_worker = stop(StopScope::kWorker, worker.ToString());
  ASSERT_OK(admin().LiftStop(shop, "sre", "out", ""));  // and the server that lifted it is gone

  EXPECT_THAT(leases().WakeUnstopped(100), IsOkAndHolds(0)) << "who knows what the worker holds";
  ASSERT_OK(admin().LiftStop(of_worker, "sre", "out", ""));
  EXPECT_THAT(leases().WakeUnstopped(1), IsOkAndHolds(1));
  EXPECT_THAT(leases().WakeUnstopped(1), IsOkAndHolds(0)) << "still stopped";

  const auto woken = Claim(worker);
  ASSERT_THAT(woken, SizeIs(1));
  EXPECT_EQ(woken[0].id, in_shop);
  EXPECT_THAT(admin().ListStopped(ExecutionId(), 10), IsOkAndHolds(ElementsAre(in_bank)));
  ASSERT_OK(admin().LiftStop(bank, "sre", "out", ""));
  EXPECT_THAT(leases().WakeUnstopped(1), IsOkAndHolds(0)) << "the end of the list";
  EXPECT_THAT(leases().WakeUnstopped(1), IsOkAndHolds(1));
  EXPECT_EQ(Count("parked"), 0);
}

TEST(StopScopes, CoverWhatTheyName) {
  const LaunchScope launch{"shop", "ScaleDeployment", "w1"};
  const auto covers = [&](StopScope scope, const std::string& subject) {
    StopRow stop;
    stop.scope = scope;
    stop.subject = subject;
    return Covers(stop, launch);
  };
  EXPECT_TRUE(covers(StopScope::kAll, ""));
  EXPECT_TRUE(covers(StopScope::kNamespace, "shop"));
  EXPECT_FALSE(covers(StopScope::kNamespace, "sho"));
  EXPECT_TRUE(covers(StopScope::kAction, "ScaleDeployment"));
  EXPECT_FALSE(covers(StopScope::kAction, "DrainNode"));
  EXPECT_TRUE(covers(StopScope::kWorker, "w1"));
  EXPECT_FALSE(covers(StopScope::kWorker, "w2"));
}

// ---- approvals

TEST_F(Targets, OpenApprovalsAreListedUntilTheyEnd) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  auto ask = MakeStep(held, v1::Execution::STATE_VALIDATING);
  ask.approvals = {{1, ApprovalState::kPending, absl::Now() + absl::Hours(1), "digest"}};
  ASSERT_OK(Commit(ask));
  const auto open = admin().ListOpenApprovals(ExecutionId(), 10);
  ASSERT_OK(open);
  ASSERT_THAT(*open, SizeIs(1));
  EXPECT_EQ((*open)[0].execution, held.id);

  auto again = MakeStep(After(held), v1::Execution::STATE_VALIDATING);
  again.approvals = {{1, ApprovalState::kVoid, absl::Now() + absl::Hours(1), "digest"},
                     {2, ApprovalState::kPending, absl::Now() + absl::Hours(1), "other"}};
  ASSERT_OK(Commit(again));
  EXPECT_EQ((*admin().ListOpenApprovals(ExecutionId(), 10))[0].number, 2);
  auto given = MakeStep(After(held, 2), v1::Execution::STATE_VALIDATING);
  given.approvals = {{2, ApprovalState::kApproved, absl::Now() + absl::Hours(1), "other"}};
  ASSERT_OK(Commit(given));
  EXPECT_THAT(admin().ListOpenApprovals(ExecutionId(), 10), IsOkAndHolds(IsEmpty()));
}

TEST_F(Targets, LaunchesAndDryRunsAreCountedWhenTheirStepIsStored) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  auto launch = MakeStep(held, v1::Execution::STATE_VALIDATING);
  launch.launch.name_space = "shop";
  launch.counts_as_launch = true;
  launch.dry_run_key = "k";
  ASSERT_OK(Commit(launch));
  ASSERT_THAT(Commit(launch), IsOkAndHolds(CommitResult::kFenced));
  const auto around = leases().ReadSurroundings("shop", absl::Hours(1), "k", held.id);
  ASSERT_OK(around);
  EXPECT_EQ(around->launches, 1);
  EXPECT_TRUE(around->prior_dry_run);
  const auto elsewhere = leases().ReadSurroundings("other", absl::Hours(1), "l", held.id);
  ASSERT_OK(elsewhere);
  EXPECT_EQ(elsewhere->launches, 0);
  EXPECT_FALSE(elsewhere->prior_dry_run);
}

TEST_F(Targets, S2_30a_ThoseThatHoldATargetAreCountedWithoutTheOneThatAsks) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  const auto changing = [&](const ExecutionId& asking) {
    const auto around = leases().ReadSurroundings("shop", absl::Hours(1), "k", asking);
    return around.ok() ? around->changing : -1;
  };
  EXPECT_EQ(changing(ExecutionId()), 0);

  ASSERT_THAT(Commit(MakeTake(held)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(changing(ExecutionId()), 1);
  EXPECT_EQ(changing(held.id), 0);
}

// ---- audit

TEST_F(Targets, S2_53_S2_69_WhatIsAuditedIsChainedInTheTransactionOfTheChange) {
  NewExecution execution = MakeExecution("request");
  execution.audit = R"({"kind":"submit"})";
  const auto submitted = Submit(execution);
  ASSERT_OK(submitted);
  ASSERT_OK(Submit(execution));  // the same request again changes nothing
  const WorkerId worker = NewWorker();
  const auto held = Claim(worker);
  ASSERT_THAT(held, SizeIs(1));
  ASSERT_OK(reader().AppendSignal(held[0].id, {.kind = SignalKind::kCancel,
                                               .caller = "sre",
                                               .reason = "",
                                               .audit = R"({"kind":"cancel"})"}));
  auto end = MakeEnd(held[0]);
  end.audit = R"({"kind":"end"})";
  ASSERT_OK(Commit(end));
  ASSERT_THAT(Commit(end), IsOkAndHolds(CommitResult::kFenced));

  const auto chains = admin().AuditChains();
  ASSERT_OK(chains);
  std::vector<std::string> bodies;
  for (const AuditChainEnd& chain : *chains) {
    const auto entries = admin().ReadAudit(chain.chain, 0, 100);
    ASSERT_OK(entries);
    std::string hash;
    for (const AuditEntry& entry : *entries) {
      bodies.push_back(entry.body);
      hash = Sha256(absl::StrCat(hash, chain.chain.ToString(), " ", entry.number, " ",
                                 entry.at_micros, " ", entry.body));
      EXPECT_EQ(entry.hash, hash);
    }
    EXPECT_EQ(chain.hash, hash);
    EXPECT_EQ(chain.number, static_cast<std::int64_t>(entries->size()));
  }
  EXPECT_THAT(bodies, ::testing::UnorderedElementsAre(
                          absl::StrCat(R"([{"execution":")", submitted->id.ToString(),
                                       R"(","submitted":{"kind":"submit"}}])"),
                          R"([{"kind":"cancel"}])", R"([{"kind":"end"}])"));
}

TEST_F(Targets, WhereAnExecutionStandsIsRead) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  auto standing = reader().ReadStanding(held.id);
  ASSERT_OK(standing);
  EXPECT_TRUE(standing->leased);
  EXPECT_EQ(standing->worker, worker);
  EXPECT_GE(standing->live_workers, 1);
  ASSERT_OK(Commit(MakePark(held, absl::Hours(1))));
  standing = reader().ReadStanding(held.id);
  ASSERT_OK(standing);
  EXPECT_FALSE(standing->leased);
  EXPECT_EQ(standing->parked, ParkReason::kRetry);
  EXPECT_THAT(reader().ReadStanding(ExecutionId()), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace capstan::storage
