// Submits: idempotency, bad neighbours, limits.
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/blocking_counter.h"
#include "storage/errors.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::StatusIs;
using ::testing::Each;
using ::testing::SizeIs;

class Submits : public StoreTest {
 protected:
  // All at once, so that they meet in flushes; answers in order.
  std::vector<absl::StatusOr<SubmitResult>> SubmitAll(std::vector<NewExecution> executions) {
    return SubmitAll(submitter(), std::move(executions));
  }

  static std::vector<absl::StatusOr<SubmitResult>> SubmitAll(Submitter& submitter,
                                                             std::vector<NewExecution> executions) {
    std::vector<absl::StatusOr<SubmitResult>> results(executions.size(),
                                                      absl::UnknownError("not answered"));
    absl::BlockingCounter answered(static_cast<int>(executions.size()));
    for (std::size_t i = 0; i < executions.size(); ++i) {
      submitter.Submit(std::move(executions[i]), [&, i](absl::StatusOr<SubmitResult> result) {
        results[i] = std::move(result);
        answered.DecrementCount();
      });
    }
    answered.Wait();
    return results;
  }
};

TEST_F(Submits, TheSameRequestIdGivesTheSameExecution) {
  const auto first = Submit(MakeExecution("again"));
  const auto second = Submit(MakeExecution("again"));

  ASSERT_OK(second);
  EXPECT_EQ(first->id, second->id);
  EXPECT_TRUE(second->deduplicated);
  EXPECT_EQ(Count("execution"), 1);
  EXPECT_EQ(Count("event"), 1);
}

TEST_F(Submits, AnotherCallersRequestIdIsAnotherOne) {
  NewExecution other = MakeExecution("again");
  other.caller = "somebody else";

  EXPECT_NE(Submit(MakeExecution("again"))->id, Submit(other)->id);
}

TEST_F(Submits, ARequestIdWithAnotherBodyIsRefusedAndNamesTheExecution) {
  const auto first = Submit(MakeExecution("again"));
  NewExecution other = MakeExecution("again");
  other.request_hash = Sha256("another body");

  const auto second = Submit(other);

  EXPECT_THAT(second, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(ExistingExecution(second.status()), first->id);
  EXPECT_EQ(ExistingExecution(absl::AlreadyExistsError("of another kind")), std::nullopt);
}

TEST_F(Submits, DuplicatesInOneFlushAreFoldedAndOtherBodiesRefused) {
  std::vector<NewExecution> executions;
  for (int i = 0; i < 100; ++i) executions.push_back(MakeExecution("same"));
  executions.push_back(MakeExecution("same"));
  executions.back().request_hash = Sha256("another body");

  const auto results = SubmitAll(executions);

  for (int i = 1; i < 100; ++i) {
    ASSERT_OK(results[static_cast<std::size_t>(i)]);
    EXPECT_EQ(results[static_cast<std::size_t>(i)]->id, results[0]->id);
  }
  EXPECT_THAT(results[100], StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(Count("execution"), 1);
}

TEST_F(Submits, OneRequestIdFrom64ThreadsOnTwoServersMakesOneExecution_S2_6) {
  auto other_server = OpenSubmitter(options_, NotingObserver(), clock_);
  ASSERT_OK(other_server);
  Submitter* const servers[] = {&submitter(), other_server->get()};
  constexpr int kKeys = 50;
  std::vector<std::set<ExecutionId>> ids(kKeys);
  absl::Mutex mu;
  absl::BlockingCounter answered(64 * kKeys);
  std::vector<std::thread> threads;
  for (int t = 0; t < 64; ++t) {
    threads.emplace_back([&, t] {
      for (int key = 0; key < kKeys; ++key) {
        servers[t % 2]->Submit(MakeExecution(absl::StrCat("key ", key)),
                               [&, key](absl::StatusOr<SubmitResult> r) {
                                 {
                                   absl::MutexLock lock(&mu);
                                   EXPECT_OK(r);
                                   if (r.ok()) ids[static_cast<std::size_t>(key)].insert(r->id);
                                 }
                                 answered.DecrementCount();
                               });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  answered.Wait();

  EXPECT_THAT(ids, Each(SizeIs(1)));
  EXPECT_EQ(Count("execution"), kKeys);
  EXPECT_EQ(Sql("SELECT sum(cardinality(ids)) FROM lease"), absl::StrCat(kKeys));
}

TEST_F(Submits, ARepeatedRequestFailsNobodyAndIsLookedForFromThenOn) {
  Observer observer;
  std::atomic<int> refused = 0;
  observer.statement = [&](std::string_view name, absl::Duration, absl::StatusCode code) {
    if (name == "submit" && code == absl::StatusCode::kAlreadyExists) ++refused;
  };
  const auto submitter = OpenSubmitter(options_, observer, clock_);
  ASSERT_OK(submitter);
  const auto all = [&](int from, int to) {
    std::vector<NewExecution> executions;
    for (int i = from; i < to; ++i) {
      executions.push_back(MakeExecution(absl::StrCat("key ", i)));
      executions.back().audit = "{}";
    }
    return SubmitAll(**submitter, std::move(executions));
  };
  const auto first = all(0, 10);
  EXPECT_EQ(refused, 0);

  const auto second = all(5, 20);  // a flush may take one of them, and the next flush the others
  const auto third = all(0, 30);

  EXPECT_EQ(refused, 1);
  for (std::size_t i = 0; i < 30; ++i) {
    ASSERT_OK(third[i]);
    EXPECT_EQ(third[i]->deduplicated, i < 20) << i;
  }
  for (std::size_t i = 5; i < 10; ++i) {
    EXPECT_EQ(second[i - 5]->id, first[i]->id);
    EXPECT_EQ(third[i]->id, first[i]->id);
  }
  EXPECT_EQ(Count("execution"), 30);
  EXPECT_EQ(Count("event"), 30);
  EXPECT_EQ(Sql("SELECT sum(jsonb_array_length(body::jsonb)) FROM audit"), "30");
}

TEST_F(Submits, ABadItemNeverFailsItsNeighbours) {
  std::vector<NewExecution> executions;
  for (int i = 0; i < 50; ++i) executions.push_back(MakeExecution());
  executions[7].priority = 9;             // CHECK
  executions[23].action = "not\xffutf8";  // class 22
  executions[31].labels["a"] = std::string("nul\0byte", 8);

  const auto results = SubmitAll(executions);

  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i == 7 || i == 23 || i == 31) {
      EXPECT_THAT(results[i], StatusIs(absl::StatusCode::kInvalidArgument)) << i;
    } else {
      EXPECT_THAT(results[i], IsOk()) << i;
    }
  }
  EXPECT_EQ(Count("execution"), 47);
}

TEST_F(Submits, AFullQueueIsRefusedAtOnce) {
  options_.queue_bytes = 10'000;
  NewExecution huge = MakeExecution();
  huge.accepted = std::string(20'000, 'x');

  EXPECT_THAT(Submit(huge), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_OK(Submit(MakeExecution()));
}

TEST_F(Submits, IdsSortByTheDatabasesTime) {
  const std::vector<ExecutionId> ids = SubmitMany(200);

  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_LT(absl::AbsDuration(ids[0].time() - submitter().DatabaseNow()), absl::Minutes(1));
}

TEST_F(Submits, LabelsParentAndCallerAreStored) {
  NewExecution execution = MakeExecution();
  execution.labels = {{"team", "o'brien \"x\" \\"}};
  execution.parent_name = "wf";
  execution.parent_step = 3;
  ASSERT_OK(Submit(execution));

  EXPECT_EQ(Sql("SELECT labels->>'team' FROM execution"), "o'brien \"x\" \\");
  EXPECT_EQ(Sql("SELECT parent_name || parent_step || caller FROM execution"), "wf3tester");
}

}  // namespace
}  // namespace capstan::storage
