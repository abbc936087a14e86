// Lists, events, logs and figures.
#include "absl/strings/str_cat.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Reading : public StoreTest {
 protected:
  ExecutionId SubmitOne(const std::string& action, const std::string& parent = "",
                        std::map<std::string, std::string> labels = {}) {
    NewExecution execution = MakeExecution();
    execution.action = action;
    execution.parent_name = parent;
    execution.labels = std::move(labels);
    return Submit(execution)->id;
  }
  std::vector<ExecutionId> List(const ExecutionFilter& filter, const ExecutionId& before = {},
                                int limit = 100) {
    const auto ids = reader().ListExecutions(filter, before, limit);
    EXPECT_OK(ids);
    return ids.value_or(std::vector<ExecutionId>());
  }
};

TEST_F(Reading, ListsAreNewestFirstAndPagedById) {
  const ExecutionId a = SubmitOne("A"), b = SubmitOne("B"), c = SubmitOne("A");

  EXPECT_THAT(List({}), ElementsAre(c, b, a));
  EXPECT_THAT(List({}, {}, 2), ElementsAre(c, b));
  EXPECT_THAT(List({}, b), ElementsAre(a));
}

TEST_F(Reading, ListsFilterByActionParentAndLabels) {
  const ExecutionId a = SubmitOne("A", "wf", {{"team", "x"}, {"env", "dev"}});
  const ExecutionId b = SubmitOne("B", "", {{"team", "x"}});
  const auto filter = [](auto set) {
    ExecutionFilter f;
    set(f);
    return f;
  };

  EXPECT_THAT(List(filter([](auto& f) { f.action = "A"; })), ElementsAre(a));
  EXPECT_THAT(List(filter([](auto& f) { f.action = "A", f.action_not = true; })), ElementsAre(b));
  EXPECT_THAT(List(filter([](auto& f) { f.parent = "wf"; })), ElementsAre(a));
  EXPECT_THAT(List(filter([](auto& f) { f.parent = "wf", f.parent_not = true; })), ElementsAre(b));
  EXPECT_THAT(List(filter([](auto& f) { f.labels = {{"team", "x"}}; })), ElementsAre(b, a));
  EXPECT_THAT(List(filter([](auto& f) { f.labels = {{"team", "x"}, {"env", "dev"}}; })),
              ElementsAre(a));
  EXPECT_THAT(List(filter([](auto& f) { f.action = "' OR 1=1"; })), IsEmpty());
}

TEST_F(Reading, ListsByStateFindLiveParkedAndEndedOnes) {
  const WorkerId worker = NewWorker();
  const HeldExecution ended = SubmitAndClaim(worker), parked = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeEnd(ended)));
  ASSERT_OK(Commit(MakePark(parked, absl::Hours(1))));
  const ExecutionId pending = SubmitOne("A");
  using E = v1::Execution;

  ExecutionFilter filter;
  filter.states = {E::STATE_SUCCEEDED};
  EXPECT_THAT(List(filter), ElementsAre(ended.id));
  filter.states = {E::STATE_VALIDATING};
  EXPECT_THAT(List(filter), ElementsAre(parked.id));
  filter.states = {E::STATE_SUCCEEDED, E::STATE_PENDING};
  EXPECT_THAT(List(filter), ElementsAre(pending, ended.id));
  EXPECT_THAT(List(filter, pending), ElementsAre(ended.id));
  filter.states = {E::STATE_FAILED};
  EXPECT_THAT(List(filter), IsEmpty());
  EXPECT_THAT(reader().ListLive(filter, {}, 10), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(reader().ListLive({}, {}, 10), IsOkAndHolds(ElementsAre(parked.id, pending)));
  EXPECT_THAT(reader().ListLive({}, parked.id, 10), IsOkAndHolds(ElementsAre(pending)));
}

TEST_F(Reading, EventsOfSeveralExecutionsComeInTheOrderAsked) {
  const WorkerId worker = NewWorker();
  const HeldExecution a = SubmitAndClaim(worker), b = SubmitAndClaim(worker);
  ASSERT_OK(Commit(MakeEnd(a)));

  const auto events = reader().ReadAllEvents({b.id, a.id, ExecutionId()});

  ASSERT_OK(events);
  ASSERT_THAT(*events, SizeIs(4));
  EXPECT_EQ((*events)[0].execution, b.id);
  EXPECT_EQ((*events)[3].seq, 3);
  EXPECT_EQ((*events)[3].body, "event 3");
  EXPECT_THAT(*reader().ReadEvents(a.id, 1, 1), SizeIs(1));
  EXPECT_THAT(*reader().ReadEvents(a.id, 3, 10), IsEmpty());
}

TEST_F(Reading, ALogIsAppendedUnderTheFenceAndReadFromAnyOffset) {
  const WorkerId worker = NewWorker();
  HeldExecution held = SubmitAndClaim(worker);

  EXPECT_OK(committer().AppendLog(held.id, held.lease, 0, "hello "));
  EXPECT_OK(committer().AppendLog(held.id, held.lease, 3, "lo world")) << "overlap is skipped";
  EXPECT_OK(committer().AppendLog(held.id, held.lease, 0, "hello")) << "all of it is there";
  EXPECT_THAT(committer().AppendLog(held.id, held.lease, 99, "x"),
              StatusIs(absl::StatusCode::kOutOfRange));

  const auto log = reader().ReadLog(held.id, 4, 100);
  ASSERT_OK(log);
  EXPECT_EQ(log->chunk.data, "o world");
  EXPECT_EQ(log->length, 11);
  EXPECT_FALSE(log->complete);
  EXPECT_EQ(reader().ReadLog(held.id, 0, 3)->chunk.data, "hel");

  ASSERT_OK(Commit(MakeEnd(held)));
  EXPECT_THAT(committer().AppendLog(held.id, held.lease, 11, "late"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(reader().ReadLog(held.id, 0, 100)->complete);
  EXPECT_EQ(reader().ReadLog(ExecutionId(), 0, 100)->length, 0);
}

TEST_F(Reading, SignalsOfUnknownExecutionsAreNotFound) {
  EXPECT_THAT(reader().AppendSignal(ExecutionId(), {SignalKind::kCancel, "sre", ""}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Reading, FiguresCountReadyParkedAndWorkers) {
  const WorkerId worker = NewWorker();
  ASSERT_OK(Commit(MakePark(SubmitAndClaim(worker), absl::Hours(1))));
  SubmitMany(3);

  const auto stats = reader().ReadStats();

  ASSERT_OK(stats);
  EXPECT_EQ(stats->ready_by_queue.at(1), 3);
  EXPECT_GE(stats->oldest_ready_by_queue.at(1), absl::ZeroDuration());
  EXPECT_EQ(stats->parked, 1);
  EXPECT_EQ(stats->live_workers, 1);

  ASSERT_EQ(Claim(worker).size(), 3u);
  const auto emptied = reader().ReadStats();
  ASSERT_OK(emptied);
  for (const int queue : {1, 2}) {  // a gauge that nobody sets keeps its last value
    EXPECT_EQ(emptied->ready_by_queue.at(queue), 0);
    EXPECT_EQ(emptied->oldest_ready_by_queue.at(queue), absl::ZeroDuration());
  }
}

TEST_F(Reading, ABusyPoolRefusesAfterItsWait) {
  options_.reader_connections = 1;
  options_.reader_wait = absl::Milliseconds(1);
  const HeldExecution held = SubmitAndClaim(NewWorker());
  ASSERT_OK(reader().CheckReady());
  // The only connection waits for a row lock that another session holds.
  auto blocker =
      std::make_unique<Connection>(options_, "blocker", Planning::kGeneric, Observer(), clock_);
  ASSERT_OK(blocker->Begin());
  ASSERT_OK(blocker->RunScript(
      "lock",
      ("SELECT FROM execution WHERE id = '" + held.id.ToString() + "' FOR UPDATE").c_str()));
  auto signal = std::async(std::launch::async, [&] {
    return reader().AppendSignal(held.id, {SignalKind::kCancel, "a", ""});
  });
  while (Count("pg_locks WHERE NOT granted") == 0) {
  }

  EXPECT_THAT(reader().ReadEvents(held.id, 0, 1), StatusIs(absl::StatusCode::kResourceExhausted));

  blocker->Rollback();
  EXPECT_THAT(signal.get(), IsOkAndHolds(SignalResult::kStored));
}

}  // namespace
}  // namespace capstan::storage
