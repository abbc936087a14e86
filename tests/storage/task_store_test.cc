// What only tasks need: definitions, transcripts, what steps left behind, what was billed.
#include "storage/task_store.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "core/ids.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::StatusCode kFenced = absl::StatusCode::kFailedPrecondition;

class TaskStoreTest : public StoreTest {
 protected:
  TaskStoreTest() : store_(OpenTaskStore(options_, NotingObserver(), clock_).value()) {}

  HeldExecution SubmitAndClaimTask(const WorkerId& worker) {
    NewExecution execution = MakeExecution();
    execution.queue = Queue::kTask;
    execution.action = "workflows/w";
    EXPECT_OK(Submit(execution));
    return leases().Claim(worker, Queue::kTask, 1)->at(0);
  }
  // The entries with these texts, from number `first` on.
  absl::Status Append(const HeldExecution& held, std::int64_t first,
                      const std::vector<std::string>& texts, const std::string& step = "build") {
    std::vector<NewTranscriptEntry> entries;
    for (const std::string& text : texts)
      entries.push_back({step, 1, 2, TranscriptRole::kChunk, text});
    return store_->AppendTranscript(held.id, held.lease, first, entries);
  }
  std::vector<std::string> TextsOf(const HeldExecution& held, std::int64_t after = 0,
                                   const std::string& step = "", int limit = 100) {
    std::vector<std::string> texts;
    const auto rows = store_->ReadTranscript(held.id, after, step, limit);
    EXPECT_OK(rows);
    for (const TranscriptRow& row : *rows)
      texts.push_back(absl::StrCat(row.number, " ", row.entry.text));
    return texts;
  }
  NewDefinition Definition(const std::string& name, const std::string& body) {
    NewDefinition definition;
    definition.name = name;
    definition.digest = Sha256Hex(body);
    definition.body = body;
    definition.caller = "ann";
    return definition;
  }
  std::int32_t NewestVersion(const std::string& name) {
    return store_->ReadDefinition(name, "")->version;
  }

  const std::unique_ptr<TaskStore> store_;
};

// ---- definitions

TEST_F(TaskStoreTest, ADefinitionIsFoundByNameAndByDigest) {
  const std::string kBytes("a\0\\\xff", 4);  // as a serialised message may have them
  const auto put = store_->PutDefinition(Definition("small", kBytes));
  ASSERT_OK(put);
  EXPECT_TRUE(put->made);

  const auto newest = store_->ReadDefinition("small", "");
  const auto by_digest = store_->ReadDefinition("small", put->row.digest);

  ASSERT_OK(newest);
  EXPECT_EQ(newest->version, 1);
  EXPECT_EQ(newest->body, kBytes);
  EXPECT_EQ(newest->caller, "ann");
  EXPECT_LT(absl::AbsDuration(newest->created_at - absl::Now()), absl::Hours(1));
  EXPECT_EQ(by_digest->body, newest->body);
}

TEST_F(TaskStoreTest, ADefinitionThatIsNotThereIsNotFound) {
  ASSERT_OK(store_->PutDefinition(Definition("small", "a")));

  EXPECT_THAT(store_->ReadDefinition("other", ""), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->ReadDefinition("small", "other"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(TaskStoreTest, TheSameDefinitionAgainIsNotANewVersion) {
  ASSERT_OK(store_->PutDefinition(Definition("small", "a")));

  const auto again = store_->PutDefinition(Definition("small", "a"));

  ASSERT_OK(again);
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->row.version, 1);
}

TEST_F(TaskStoreTest, AChangedDefinitionIsTheCurrentOneAndTheOldOneStays) {
  ASSERT_OK(store_->PutDefinition(Definition("small", "a")));

  EXPECT_EQ(store_->PutDefinition(Definition("small", "b"))->row.version, 2);

  EXPECT_EQ(store_->ReadDefinition("small", "")->body, "b");
  EXPECT_EQ(store_->ReadDefinition("small", Sha256Hex("a"))->body, "a");
}

TEST_F(TaskStoreTest, SomebodyMayGoBackToAnEarlierDefinition) {
  ASSERT_OK(store_->PutDefinition(Definition("small", "a")));
  ASSERT_OK(store_->PutDefinition(Definition("small", "b")));

  const auto back = store_->PutDefinition(Definition("small", "a"));

  EXPECT_TRUE(back->made);
  EXPECT_EQ(back->row.version, 3);
  EXPECT_EQ(store_->ReadDefinition("small", "")->body, "a");
}

TEST_F(TaskStoreTest, AnOlderProgramDoesNotMakeItsDefinitionsTheCurrentOnesAgain) {
  NewDefinition older = Definition("small", "a"), newer = Definition("small", "b");
  older.comes_with_program = newer.comes_with_program = true;
  ASSERT_OK(store_->PutDefinition(older));
  ASSERT_OK(store_->PutDefinition(newer));

  const auto again = store_->PutDefinition(older);

  ASSERT_OK(again);
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->row.body, "b");
}

TEST_F(TaskStoreTest, TheNewestOfEachNameIsListed) {
  ASSERT_OK(store_->PutDefinition(Definition("small", "a")));
  ASSERT_OK(store_->PutDefinition(Definition("large", "c")));
  ASSERT_OK(store_->PutDefinition(Definition("small", "b")));

  EXPECT_THAT(store_->ListDefinitions(),
              IsOkAndHolds(
                  ElementsAre(Field(&DefinitionRow::body, "c"), Field(&DefinitionRow::body, "b"))));
}

TEST_F(TaskStoreTest, ServersThatStartAtTheSameTimeMakeOneVersion) {
  std::vector<std::thread> servers;
  for (int i = 0; i < 8; ++i) {
    servers.emplace_back([this] {
      const auto store = OpenTaskStore(options_, NotingObserver(), clock_);
      ASSERT_OK(store);
      for (const char* body : {"a", "b", "c"}) {
        NewDefinition definition = Definition("small", body);
        definition.comes_with_program = true;
        EXPECT_OK((*store)->PutDefinition(definition));
      }
    });
  }
  for (std::thread& server : servers) server.join();

  EXPECT_EQ(NewestVersion("small"), 3);
  EXPECT_EQ(Sql("SELECT string_agg(convert_from(body, 'UTF8'), '' ORDER BY version) "
                "FROM definition"),
            "abc");
}

TEST_F(TaskStoreTest, ANewDefinitionIsAuditedOnce) {
  NewDefinition definition = Definition("small", "a");
  definition.audit = R"({"kind": "put_workflow"})";
  ASSERT_OK(store_->PutDefinition(definition));

  ASSERT_OK(store_->PutDefinition(definition));

  EXPECT_EQ(Count("audit WHERE body LIKE '%put_workflow%'"), 1);
}

// ---- transcripts

TEST_F(TaskStoreTest, S4_21_ATranscriptIsReadAsItWasWritten) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  ASSERT_OK(store_->AppendTranscript(held.id, held.lease, 1,
                                     {{"build", 1, 2, TranscriptRole::kPrompt, "Do it."},
                                      {"test", 3, 4, TranscriptRole::kResponse, "Done: ü."}}));

  const auto rows = store_->ReadTranscript(held.id, 0, "", 10);

  ASSERT_OK(rows);
  ASSERT_THAT(*rows, SizeIs(2));
  EXPECT_EQ((*rows)[0].number, 1);
  EXPECT_EQ((*rows)[0].entry.role, TranscriptRole::kPrompt);
  EXPECT_EQ((*rows)[0].entry.text, "Do it.");
  EXPECT_EQ((*rows)[1].number, 2);
  EXPECT_EQ((*rows)[1].entry.step, "test");
  EXPECT_EQ((*rows)[1].entry.attempt, 3);
  EXPECT_EQ((*rows)[1].entry.iteration, 4);
  EXPECT_EQ((*rows)[1].entry.text, "Done: ü.");
  EXPECT_LT(absl::AbsDuration((*rows)[1].at - absl::Now()), absl::Hours(1));
}

TEST_F(TaskStoreTest, S4_22_ATranscriptIsReadOnFromAnyNumberOfOneStepAndInPages) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  ASSERT_OK(Append(held, 1, {"a", "b"}));
  ASSERT_OK(Append(held, 3, {"c"}, "test"));
  ASSERT_OK(Append(held, 4, {"d"}));

  EXPECT_THAT(TextsOf(held), ElementsAre("1 a", "2 b", "3 c", "4 d"));
  EXPECT_THAT(TextsOf(held, 2), ElementsAre("3 c", "4 d"));
  EXPECT_THAT(TextsOf(held, 1, "build"), ElementsAre("2 b", "4 d"));
  EXPECT_THAT(TextsOf(held, 0, "", 2), ElementsAre("1 a", "2 b"));
  EXPECT_THAT(TextsOf(held, 4), IsEmpty());
}

TEST_F(TaskStoreTest, EntriesThatAreStoredAlreadyAreNotStoredAgain) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  ASSERT_OK(Append(held, 1, {"a", "b"}));

  EXPECT_OK(Append(held, 1, {"a", "b"}));
  EXPECT_OK(Append(held, 2, {"b", "c"})) << "the reply of a longer one was lost";

  EXPECT_THAT(TextsOf(held), ElementsAre("1 a", "2 b", "3 c"));
}

TEST_F(TaskStoreTest, ATranscriptNeverHasAGap) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  ASSERT_OK(Append(held, 1, {"a"}));

  EXPECT_THAT(Append(held, 3, {"c"}), StatusIs(absl::StatusCode::kOutOfRange));

  EXPECT_THAT(TextsOf(held), ElementsAre("1 a"));
}

TEST_F(TaskStoreTest, NothingToAppendNeedsNoLease) {
  EXPECT_OK(store_->AppendTranscript(ExecutionId(), LeaseRef(), 1, {}));
}

TEST_F(TaskStoreTest, AWorkerThatLostItsLeaseDoesNotWriteTheTranscript) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaimTask(worker);
  ASSERT_OK(Append(held, 1, {"a"}));
  ASSERT_OK(leases().Release(worker, {held.lease}));
  EXPECT_THAT(Append(held, 2, {"late"}), StatusIs(kFenced)) << "nobody has it";

  const HeldExecution next = leases().Claim(NewWorker(), Queue::kTask, 1)->at(0);

  EXPECT_THAT(Append(held, 2, {"late"}), StatusIs(kFenced)) << "somebody else has it";
  EXPECT_OK(Append(next, 2, {"b"}));
  EXPECT_THAT(TextsOf(held), ElementsAre("1 a", "2 b"));
}

TEST_F(TaskStoreTest, TheLeaseOfAnotherExecutionDoesNotWriteTheTranscript) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaimTask(worker);
  HeldExecution other = SubmitAndClaimTask(worker);
  other.lease = held.lease;

  EXPECT_THAT(Append(other, 1, {"a"}), StatusIs(kFenced));
}

TEST_F(TaskStoreTest, AParkedTaskHasNoTranscriptWrittenUntilItIsClaimedAgain) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaimTask(worker);
  ASSERT_OK(Append(held, 1, {"a"}));
  ASSERT_THAT(Commit(MakePark(held, absl::ZeroDuration())), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_THAT(Append(held, 2, {"late"}), StatusIs(kFenced));

  ASSERT_OK(leases().WakeDue(10));
  const HeldExecution again = leases().Claim(worker, Queue::kTask, 1)->at(0);
  EXPECT_EQ(again.takeovers, 0);
  EXPECT_THAT(Append(held, 2, {"late"}), StatusIs(kFenced)) << "by the old lease";
  EXPECT_OK(Append(again, 2, {"b"}));
}

TEST_F(TaskStoreTest, ATranscriptIsCompleteWhenItsTaskHasEnded) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  EXPECT_EQ(store_->ReadTranscriptEnd(held.id)->number, 0);
  ASSERT_OK(Append(held, 1, {"a", "b"}));
  EXPECT_EQ(store_->ReadTranscriptEnd(held.id)->number, 2);
  EXPECT_FALSE(store_->ReadTranscriptEnd(held.id)->complete);

  ASSERT_THAT(Commit(MakeEnd(held)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_TRUE(store_->ReadTranscriptEnd(held.id)->complete);
  EXPECT_THAT(Append(held, 3, {"late"}), StatusIs(kFenced));
}

TEST_F(TaskStoreTest, AnUnknownExecutionHasNoTranscript) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  HeldExecution unknown = held;
  unknown.id = ExecutionId();

  EXPECT_THAT(store_->ReadTranscriptEnd(unknown.id), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TextsOf(unknown), IsEmpty());
  EXPECT_THAT(Append(unknown, 1, {"a"}), StatusIs(kFenced));
}

// ---- what steps left behind, and what was billed

TEST_F(TaskStoreTest, ThoseOfTheNamedArtifactsThatExistAreRead) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  storage::Commit commit = MakeStep(held, v1::Execution::STATE_RUNNING);
  commit.artifacts = {{"spec/1.1/answer", "application/json", "{}"},
                      {"spec/1.1/spec", "text/markdown", "It has a button."},
                      {"spec/1.1/session", "application/octet-stream", std::string("\0x", 2)}};
  ASSERT_THAT(Commit(commit), IsOkAndHolds(CommitResult::kCommitted));

  const auto found =
      store_->ReadArtifacts(held.id, {"spec/1.1/session", "spec/1.1/spec", "spec/9.9/spec"});

  EXPECT_THAT(found,
              IsOkAndHolds(UnorderedElementsAre(Field(&NewArtifact::body, std::string("\0x", 2)),
                                                Field(&NewArtifact::body, "It has a button."))));
  EXPECT_THAT(store_->ReadArtifacts(held.id, {}), IsOkAndHolds(IsEmpty()));
}

storage::Commit WithUsage(const HeldExecution& held) {
  storage::Commit commit = MakeStep(held, v1::Execution::STATE_RUNNING);
  commit.usage.push_back({.step = "build",
                          .attempt = 1,
                          .iteration = 2,
                          .model = "strong",
                          .input_tokens = 10,
                          .output_tokens = 20,
                          .cache_creation_tokens = 30,
                          .cache_read_tokens = 40,
                          .cost_microusd = 50,
                          .is_upper_bound = true,
                          .caller = "ann"});
  commit.usage.push_back(commit.usage.front());
  commit.usage.back().model = "fast";
  return commit;
}

TEST_F(TaskStoreTest, S4_23_WhatWasBilledIsStoredWithTheStepThatReportsIt) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());

  ASSERT_THAT(Commit(WithUsage(held)), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Count("usage"), 2);
  EXPECT_EQ(Sql("SELECT concat_ws(',', step, attempt, iteration, input_tokens, output_tokens, "
                "cache_creation_tokens, cache_read_tokens, cost_microusd, is_upper_bound, caller) "
                "FROM usage WHERE model = 'strong'"),
            "build,1,2,10,20,30,40,50,t,ann");
}

TEST_F(TaskStoreTest, WhatAFencedStepReportsIsNotBilled) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaimTask(worker);
  ASSERT_OK(leases().Release(worker, {held.lease}));
  leases().Claim(NewWorker(), Queue::kTask, 1)->at(0);

  EXPECT_THAT(Commit(WithUsage(held)), IsOkAndHolds(CommitResult::kFenced));

  EXPECT_EQ(Count("usage"), 0);
}

// ---- pause and resume

TEST_F(TaskStoreTest, PauseAndResumeAreSignalsThatWakeAParkedTask) {
  const WorkerId worker = NewWorker();
  const HeldExecution held = SubmitAndClaimTask(worker);
  ASSERT_OK(reader().AppendSignal(held.id, {SignalKind::kPause, "bob", "wait"}));
  EXPECT_THAT(Commit(MakePark(held, absl::Hours(1))), IsOkAndHolds(CommitResult::kSignalsMoved));
  storage::Commit paused = MakePark(Reload(worker, held).at(0), absl::Hours(1));
  paused.state = v1::Execution::STATE_BLOCKED;
  paused.park->reason = ParkReason::kPaused;
  ASSERT_THAT(Commit(paused), IsOkAndHolds(CommitResult::kCommitted));

  ASSERT_OK(reader().AppendSignal(held.id, {SignalKind::kResume, "bob", "go on"}));

  EXPECT_EQ(Count("parked"), 0);
  EXPECT_THAT(*leases().Claim(worker, Queue::kTask, 1), SizeIs(1));
  EXPECT_THAT(leases().ReadSignals(held.id, 0),
              IsOkAndHolds(ElementsAre(Field(&Signal::kind, SignalKind::kPause),
                                       Field(&Signal::kind, SignalKind::kResume))));
}

TEST_F(TaskStoreTest, ATaskWaitsForAnAnswer) {
  const HeldExecution held = SubmitAndClaimTask(NewWorker());
  storage::Commit asks = MakePark(held, absl::Hours(1));
  asks.state = v1::Execution::STATE_BLOCKED;
  asks.park->reason = ParkReason::kUserInput;

  EXPECT_THAT(Commit(asks), IsOkAndHolds(CommitResult::kCommitted));

  EXPECT_EQ(Count("parked WHERE reason = 10"), 1);
}

// ---- partitions

TEST_F(TaskStoreTest, TranscriptsAndUsageGoIntoWeeklyPartitions) {
  Sql("DROP TABLE transcript_default, usage_default; SELECT 1");
  const HeldExecution held = SubmitAndClaimTask(NewWorker());

  EXPECT_OK(Append(held, 1, {"a"}));
  EXPECT_THAT(Commit(WithUsage(held)), IsOkAndHolds(CommitResult::kCommitted));
}

TEST_F(TaskStoreTest, TranscriptsAndUsageGoWithTheWeekOfTheirTask) {
  Sql("SELECT make_partitions(now() - interval '70 days', 1)");
  const std::string old = "(SELECT uuid_floor(now() - interval '65 days'))";
  Sql("INSERT INTO execution (id, last_seq, state, queue, priority, action, caller) VALUES (" +
      old + ", 1, 6, 2, 3, 'workflows/w', 'c') RETURNING 1");
  Sql("INSERT INTO transcript (execution_id, number, attempt, iteration, role, step, body) VALUES "
      "(" +
      old + ", 1, 1, 1, 1, 's', 't') RETURNING 1");
  Sql("INSERT INTO usage (execution_id, input_tokens, output_tokens, cache_creation_tokens, "
      "cache_read_tokens, cost_microusd, attempt, iteration, is_upper_bound, step, model, caller) "
      "VALUES (" +
      old + ", 1, 1, 1, 1, 1, 1, 1, false, 's', 'm', 'c') RETURNING 1");
  ASSERT_EQ(Count("transcript") + Count("usage"), 2);

  ASSERT_OK(MaintainPartitions(options_, {}));

  EXPECT_EQ(Count("transcript") + Count("usage"), 0);
  for (const char* table : {"transcript", "usage"}) {
    EXPECT_EQ(Sql(absl::StrCat("SELECT count(*) FROM pg_inherits WHERE inhparent = '", table,
                               "'::regclass")),
              "6")
        << table;
  }
}

}  // namespace
}  // namespace capstan::storage
