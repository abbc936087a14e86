// Lost replies, killed backends, retried transactions, a database that dies under load.
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "core/failpoint.h"
#include "tests/storage/store_fixture.h"

namespace capstan {
namespace {

absl::Mutex failpoints_mu;
absl::flat_hash_map<std::string, std::function<absl::Status()>>& Failpoints() {
  static auto* failpoints = new absl::flat_hash_map<std::string, std::function<absl::Status()>>;
  return *failpoints;
}

// Does `action` the next time `name` is hit.
void OnceAt(const std::string& name, std::function<absl::Status()> action) {
  absl::MutexLock lock(&failpoints_mu);
  Failpoints()[name] = std::move(action);
}

bool WasHit(const std::string& name) {
  absl::MutexLock lock(&failpoints_mu);
  return !Failpoints().contains(name);
}

}  // namespace

absl::Status HitFailpoint(std::string_view name) {
  std::function<absl::Status()> action;
  {
    absl::MutexLock lock(&failpoints_mu);
    const auto found = Failpoints().find(std::string(name));
    if (found == Failpoints().end()) return absl::OkStatus();
    action = std::move(found->second);
    Failpoints().erase(found);
  }
  return action();
}

namespace storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::capstan::testing::TestPostgres;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::Status LoseConnection() { return absl::UnavailableError("injected"); }

class Faults : public StoreTest {
 protected:
  // Ends the backends of one of our connections ("submit"), as an operator or a crash would.
  absl::Status KillBackend(const std::string& purpose) {
    Sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE "
        "'%/" +
        purpose + "' AND datname = current_database()");
    return absl::OkStatus();
  }
  // The next `times` inserts into the feed fail with this SQLSTATE.
  void FailFeedInserts(int times, const std::string& state) {
    Sql(
        absl::StrCat("CREATE SEQUENCE failures; CREATE FUNCTION fail() RETURNS trigger LANGUAGE "
                     "plpgsql AS $$ BEGIN IF "
                     "nextval('failures') <= ",
                     times, " THEN RAISE EXCEPTION 'injected' USING ERRCODE = '", state,
                     "'; END IF; RETURN NEW; END $$; CREATE TRIGGER fail BEFORE INSERT ON feed FOR "
                     "EACH ROW EXECUTE "
                     "FUNCTION fail(); SELECT 1"));
  }
  std::vector<StoredEvent> EventsOf(const ExecutionId& id) {
    const auto events = reader().ReadEvents(id, 0, 100);
    EXPECT_OK(events);
    return events.ok() ? *events : std::vector<StoredEvent>();
  }
  void ExpectOneExecution(const SubmitResult& result) {
    EXPECT_FALSE(result.deduplicated) << "the caller sent it once";
    EXPECT_EQ(Count("execution"), 1);
    EXPECT_THAT(EventsOf(result.id), SizeIs(1));
    EXPECT_EQ(Sql("SELECT sum(cardinality(ids)) FROM lease"), "1");
  }
};

class LostSubmit : public Faults, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Points, LostSubmit,
                         ::testing::Values("submit.before_commit", "submit.after_commit"));

TEST_P(LostSubmit, IsSettledBySendingItAgain) {
  submitter();
  OnceAt(GetParam(), LoseConnection);

  const auto result = Submit(MakeExecution("key"));

  ASSERT_OK(result);
  EXPECT_TRUE(WasHit(GetParam()));
  ExpectOneExecution(*result);
}

TEST_P(LostSubmit, WithoutARequestIdIsSettledToo) {
  submitter();
  OnceAt(GetParam(), LoseConnection);

  const auto result = Submit(MakeExecution());

  ASSERT_OK(result);
  ExpectOneExecution(*result);
}

TEST_P(LostSubmit, SurvivesItsBackendBeingKilled) {
  submitter();
  OnceAt(GetParam(), [&] { return KillBackend("submit"); });

  ASSERT_OK(Submit(MakeExecution("key")));
  const auto again = Submit(MakeExecution("key"));

  ASSERT_OK(again);
  EXPECT_TRUE(again->deduplicated);
  EXPECT_EQ(Count("execution"), 1);
}

class LostCommit : public Faults, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Points, LostCommit,
                         ::testing::Values("commit.before_commit", "commit.after_commit"));

TEST_P(LostCommit, OfAStepIsSettledBySendingItAgain) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  committer();
  OnceAt(GetParam(), LoseConnection);

  EXPECT_THAT(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING, 2)),
              IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_TRUE(WasHit(GetParam()));
  EXPECT_THAT(EventsOf(held.id), SizeIs(3));
  EXPECT_EQ(Reload(worker, held).at(0).last_seq, 3);
}

TEST_P(LostCommit, OfAnEndIsSettledBySendingItAgain) {
  const HeldExecution held = SubmitAndClaim(NewWorker());
  committer();
  OnceAt(GetParam(), [&] { return KillBackend("commit"); });

  EXPECT_THAT(Commit(MakeEnd(held)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_THAT(EventsOf(held.id), SizeIs(3));
  EXPECT_EQ(Count("outcome"), 1);
}

TEST_P(LostCommit, OfAParkWithDecisionAndArtifactIsSettledBySendingItAgain) {
  const HeldExecution held = SubmitAndClaim(NewWorker());
  auto step = MakePark(held, absl::Hours(1));
  step.decision = NewDecision{1, true, "digest", "{}", "{}"};
  step.artifacts.push_back({"job", "application/json", "{}"});
  committer();
  OnceAt(GetParam(), LoseConnection);

  EXPECT_THAT(Commit(step), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Count("parked"), 1);
  EXPECT_EQ(Count("artifact"), 1);
  EXPECT_EQ(Count("policy_decision"), 1);
}

TEST_P(LostCommit, I7_OfAReservationIsSettledAndNotRefusedForWhatItReservedItself) {
  const auto admin = *OpenAdminStore(options_, NotingObserver(), clock_);
  ASSERT_OK(admin->SetProjectBudget("shop", 10, ""));
  const std::string month = Sql("SELECT to_char(now(), 'YYYY-MM')");
  HeldExecution held = SubmitAndClaim(NewWorker());
  storage::Commit reserve = MakeStep(held, v1::Execution::STATE_RUNNING);
  reserve.budget.emplace().project = "shop";
  reserve.budget->months.push_back({.month = month, .reserved = 10, .begins = true});
  committer();
  OnceAt(GetParam(), LoseConnection);

  EXPECT_THAT(Commit(reserve), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Sql("SELECT sum(reserved_microusd) FROM project_reservation"), "10");
  ++held.last_seq;
  storage::Commit settle = MakeEnd(held);
  settle.budget.emplace().project = "shop";
  settle.budget->months.push_back({.month = month, .reserved_before = 10, .billed = 6});
  OnceAt(GetParam(), LoseConnection);
  EXPECT_THAT(Commit(settle), IsOkAndHolds(CommitResult::kCommitted));
  EXPECT_EQ(Sql("SELECT spent_microusd FROM project_spend"), "6") << "once";
  EXPECT_EQ(Count("project_reservation"), 0);
}

TEST_F(Faults, ALostCommitWhoseLeaseWasTakenMeanwhileIsFenced) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  const HeldExecution held = SubmitAndClaim(lost);
  committer();
  std::vector<HeldExecution> taken;
  OnceAt("commit.after_commit", [&] {
    Sql("UPDATE worker SET dead_at = now() WHERE id = '" + lost.ToString() + "' RETURNING 1");
    EXPECT_THAT(leases().ReapLostWorkers(survivor, absl::Hours(1)), IsOkAndHolds(1));
    taken = Claim(survivor);
    return LoseConnection();
  });

  EXPECT_THAT(Commit(MakeStep(held, v1::Execution::STATE_VALIDATING)),
              IsOkAndHolds(CommitResult::kFenced));

  ASSERT_THAT(taken, SizeIs(1));
  EXPECT_EQ(taken[0].last_seq, 2) << "it was stored, and the new holder has seen it";
}

TEST_F(Faults, ALostClaimComesBackWithTheHeartbeat) {
  const WorkerId worker = NewWorker();
  const auto submitted = Submit(MakeExecution());
  OnceAt("claim.before_commit", LoseConnection);
  EXPECT_THAT(leases().Claim(worker, Queue::kAction, 10), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(leases().Heartbeat(worker), IsOkAndHolds(IsEmpty()));
  OnceAt("claim.after_commit", LoseConnection);
  EXPECT_THAT(leases().Claim(worker, Queue::kAction, 10), StatusIs(absl::StatusCode::kUnavailable));

  const auto held = leases().Heartbeat(worker);

  ASSERT_OK(held);
  ASSERT_THAT(*held, SizeIs(1));
  const auto adopted = leases().Load(worker, *held, {});
  ASSERT_OK(adopted);
  ASSERT_THAT(*adopted, SizeIs(1));
  EXPECT_EQ((*adopted)[0].id, submitted->id);
}

TEST_F(Faults, AReaperThatDiesBetweenItsTransactionsIsFinishedByTheNext) {
  const WorkerId lost = NewWorker(), survivor = NewWorker();
  SubmitAndClaim(lost);
  Sql("UPDATE worker SET dead_at = now() WHERE id = '" + lost.ToString() + "' RETURNING 1");
  OnceAt("reap.between", LoseConnection);

  EXPECT_THAT(leases().ReapLostWorkers(survivor, absl::Hours(1)),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(leases().ReapLostWorkers(survivor, absl::Hours(1)), IsOkAndHolds(1));
}

TEST_F(Faults, AWakeThatDiesHalfWayLeavesTheExecutionParked) {
  const WorkerId worker = NewWorker();
  ASSERT_OK(Commit(MakePark(SubmitAndClaim(worker), absl::ZeroDuration())));
  OnceAt("wake.between", LoseConnection);

  EXPECT_THAT(leases().WakeDue(10), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(Count("parked"), 1);
  EXPECT_EQ(leases().WakeDue(10)->count, 1);
}

TEST_F(Faults, ALostHeartbeatOrSignalSaysSo) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaim(worker);
  OnceAt("heartbeat.before", LoseConnection);
  OnceAt("signal.after_commit", LoseConnection);

  EXPECT_THAT(leases().Heartbeat(worker), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(reader().AppendSignal(held.id, {SignalKind::kCancel, "sre", ""}),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(leases().Heartbeat(worker), IsOkAndHolds(ElementsAre(held.lease)));
  EXPECT_EQ(Count("signal"), 1);
}

class RolledBack : public Faults, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(States, RolledBack, ::testing::Values("40001", "40P01"));

TEST_P(RolledBack, FlushesAreSentAgainAsAWhole) {
  const WorkerId worker = NewWorker();
  FailFeedInserts(2, GetParam());
  const auto submitted = Submit(MakeExecution());
  ASSERT_OK(submitted);
  Sql("SELECT setval('failures', 1)");
  const auto held = Claim(worker);
  ASSERT_THAT(held, SizeIs(1));

  EXPECT_THAT(Commit(MakeEnd(held[0])), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_THAT(EventsOf(held[0].id), SizeIs(3));
  EXPECT_EQ(Count("outcome"), 1);
}

TEST_F(Faults, ADefectInOneStepFailsThatStepAlone) {
  const WorkerId worker = NewWorker();
  const auto held = HoldTogether(worker, 16);
  ASSERT_THAT(held, SizeIs(16));
  std::vector<absl::StatusOr<CommitResult>> results(16, absl::UnknownError("not answered"));
  absl::BlockingCounter answered(16);
  for (std::size_t i = 0; i < 16; ++i) {
    auto step = MakeStep(held[i], v1::Execution::STATE_VALIDATING);
    if (i == 5) step.artifacts = {{"same", "", ""}, {"same", "", ""}};
    committer().Commit(std::move(step), [&, i](absl::StatusOr<CommitResult> result) {
      results[i] = result;
      answered.DecrementCount();
    });
  }
  answered.Wait();

  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 5) {
      EXPECT_THAT(results[i], StatusIs(absl::StatusCode::kInternal));
    } else {
      EXPECT_THAT(results[i], IsOkAndHolds(CommitResult::kCommitted));
    }
  }
}

// A server of its own, which is killed.
class Crash : public ::testing::Test {};

TEST_F(Crash, NothingAcknowledgedIsLostWhenPostgresIsKilledUnderLoad_S2_31) {
  auto postgres = TestPostgres::Start();
  ASSERT_OK(postgres);
  const int cycles = std::getenv("CAPSTAN_CRASH_CYCLES") != nullptr
                         ? std::atoi(std::getenv("CAPSTAN_CRASH_CYCLES"))
                         : 3;
  StoreOptions options;
  options.dsn = (*postgres)->NewDatabase();
  options.submit_timeout = absl::Seconds(60);
  SystemClock clock;
  auto submitter = OpenSubmitter(options, {}, clock);
  ASSERT_OK(submitter);

  absl::Mutex mu;
  std::set<ExecutionId> acknowledged;
  int unknown = 0, pending = 0;
  std::atomic<bool> loading = true;
  std::thread load([&] {
    for (int i = 0; loading; ++i) {
      {
        absl::MutexLock lock(&mu);
        const auto room = [&] { return pending < 200; };
        mu.Await(absl::Condition(&room));
        ++pending;
      }
      (*submitter)
          ->Submit(MakeExecution(absl::StrCat("key ", i)),
                   [&](absl::StatusOr<SubmitResult> result) {
                     absl::MutexLock lock(&mu);
                     --pending;
                     if (result.ok()) {
                       EXPECT_TRUE(acknowledged.insert(result->id).second);
                     } else {
                       ++unknown;
                     }
                   });
    }
  });
  for (int cycle = 0; cycle < cycles; ++cycle) {
    {
      absl::MutexLock lock(&mu);
      const std::size_t before = acknowledged.size();
      const auto progress = [&] { return acknowledged.size() >= before + 2000; };
      mu.Await(absl::Condition(&progress));
    }
    (*postgres)->Kill9();
    ASSERT_OK((*postgres)->Restart());
  }
  loading = false;
  load.join();
  submitter->reset();

  std::set<ExecutionId> stored;
  for (const auto& row : testing::MustRunSql(options.dsn, "SELECT id FROM execution")) {
    stored.insert(*ExecutionId::Parse(row[0]));
  }
  std::printf("cycles=%d acknowledged=%zu stored=%zu unknown=%d\n", cycles, acknowledged.size(),
              stored.size(), unknown);
  EXPECT_EQ(unknown, 0) << "each was settled within its deadline";
  EXPECT_EQ(stored, acknowledged) << "nothing lost, nothing stored twice";
  EXPECT_EQ(testing::SqlValue(options.dsn, "SELECT sum(cardinality(ids)) FROM lease"),
            absl::StrCat(stored.size()));
}

}  // namespace
}  // namespace storage
}  // namespace capstan
