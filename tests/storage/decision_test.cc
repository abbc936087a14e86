// Stored policy decisions, as they are listed for replays.
#include "absl/strings/str_cat.h"
#include "storage/admin_store.h"
#include "storage/sql.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::MustRunSql;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int kMany = 100;
constexpr std::int64_t kPlenty = 1 << 20;

class Decisions : public StoreTest {
 protected:
  AdminStore& admin() {
    if (admin_ == nullptr) admin_ = *OpenAdminStore(options_, NotingObserver(), clock_);
    return *admin_;
  }
  // An execution with decisions 1 to `count`, whose inputs have `input_bytes`.
  ExecutionId Decide(int count, std::size_t input_bytes = 10) {
    if (worker_.IsNone()) worker_ = NewWorker();
    HeldExecution held = SubmitAndClaim(worker_);
    for (int number = 1; number <= count; ++number) {
      storage::Commit step = MakeStep(held, v1::Execution::STATE_VALIDATING);
      step.decision = NewDecision{number, number == 2, absl::StrCat("digest ", number),
                                  std::string(input_bytes, 'i'), "{}"};
      EXPECT_EQ(Commit(step).value(), CommitResult::kCommitted);
      ++held.last_seq;
    }
    return held.id;
  }
  DecisionPage List(const DecisionRange& range, int limit = kMany,
                    std::int64_t max_bytes = kPlenty) {
    return admin().ListDecisions(range, limit, max_bytes).value();
  }
  static std::vector<std::pair<ExecutionId, int>> Keys(const DecisionPage& page) {
    std::vector<std::pair<ExecutionId, int>> keys;
    for (const DecisionRow& row : page.rows) keys.emplace_back(row.execution, row.number);
    return keys;
  }

 private:
  std::unique_ptr<AdminStore> admin_;
  WorkerId worker_;
};

TEST_F(Decisions, AreListedAsTheyWereStored) {
  const ExecutionId id = Decide(2);

  const DecisionPage page = List({});

  ASSERT_THAT(Keys(page), ElementsAre(Pair(id, 1), Pair(id, 2)));
  EXPECT_FALSE(page.more);
  const DecisionRow& second = page.rows[1];
  EXPECT_TRUE(second.allow);
  EXPECT_FALSE(page.rows[0].allow);
  EXPECT_EQ(second.bundle_digest, "digest 2");
  EXPECT_EQ(second.input_json, "iiiiiiiiii");
  EXPECT_EQ(second.result_json, "{}");
  EXPECT_GE(second.at, page.rows[0].at);
  EXPECT_GT(second.at, absl::UnixEpoch());
}

TEST_F(Decisions, APageGoesOnWhereTheLastOneEnded) {
  const ExecutionId first = Decide(2), second = Decide(1);

  const DecisionPage page = List({}, 1);
  const DecisionPage next = List({.after = first, .after_number = 1}, 2);

  EXPECT_THAT(Keys(page), ElementsAre(Pair(first, 1)));
  EXPECT_TRUE(page.more);
  EXPECT_THAT(Keys(next), ElementsAre(Pair(first, 2), Pair(second, 1)));
  EXPECT_FALSE(next.more);
}

TEST_F(Decisions, APageEndsBeforeItIsTooLargeButHasOneAtLeast) {
  const ExecutionId id = Decide(3, 1000);

  const DecisionPage two = List({}, kMany, 2100);
  const DecisionPage one = List({}, kMany, 1);

  EXPECT_THAT(Keys(two), ElementsAre(Pair(id, 1), Pair(id, 2)));
  EXPECT_TRUE(two.more);
  EXPECT_THAT(Keys(one), ElementsAre(Pair(id, 1)));
  EXPECT_TRUE(one.more);
}

TEST_F(Decisions, OfOneExecutionAreThoseAlone) {
  Decide(1);
  const ExecutionId wanted = Decide(2);
  Decide(1);

  EXPECT_THAT(Keys(List({.execution = wanted})), ElementsAre(Pair(wanted, 1), Pair(wanted, 2)));
  EXPECT_THAT(Keys(List({.execution = wanted, .after = wanted, .after_number = 1})),
              ElementsAre(Pair(wanted, 2)));
  EXPECT_THAT(List({.execution = ExecutionId::Make(absl::Now())}).rows, IsEmpty());
}

TEST_F(Decisions, SinceIsTheSubmissionOfTheExecution) {
  const ExecutionId id = Decide(1);

  EXPECT_THAT(Keys(List({.since = id.time()})), ElementsAre(Pair(id, 1)));
  EXPECT_THAT(List({.since = id.time() + absl::Milliseconds(1)}).rows, IsEmpty());
  EXPECT_THAT(List({.since = absl::InfiniteFuture()}).rows, IsEmpty());
  EXPECT_THAT(List({.since = absl::FromUnixSeconds(-1)}).rows, SizeIs(1));
}

TEST_F(Decisions, TheListGoesByTheIndexOfTheWeeksThatAreAskedFor) {
  const std::string three_weeks_on =
      absl::StrCat(absl::ToUnixMillis(absl::Now() + absl::Hours(21 * 24)));
  std::string plan;
  for (const auto& row : MustRunSql(
           dsn_,
           absl::StrCat("SET plan_cache_mode = force_custom_plan; SET enable_seqscan = off; "
                        "PREPARE q AS ",
                        sql::kDecisionList.text, "; EXPLAIN EXECUTE q (NULL, ", three_weeks_on,
                        ", '00000000-0000-0000-0000-000000000000', 0, 10, 1000)")))
    absl::StrAppend(&plan, row[0], "\n");
  const std::string this_week =
      Sql("SELECT to_char(date_trunc('week', now(), 'UTC') AT TIME ZONE 'UTC', 'YYYYMMDD')");

  EXPECT_THAT(plan, HasSubstr("Index Scan"));
  EXPECT_THAT(plan, HasSubstr("policy_decision_default"));
  EXPECT_THAT(plan, Not(HasSubstr("Seq Scan")));
  EXPECT_THAT(plan, Not(HasSubstr("policy_decision_p" + this_week)));
}

}  // namespace
}  // namespace capstan::storage
