// Every statement that runs all the time goes by index, whatever the statistics say: with empty and
// small tables, fresh and stale statistics, and a year of partitions. Large tables: large/.
#include "tests/storage/plan_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::MustRunSql;
using ::testing::IsEmpty;

class Plans : public PlanTest {};

TEST_F(Plans, GoByIndexOnEmptyTables) { EXPECT_THAT(BadPlans(), IsEmpty()); }

TEST_F(Plans, GoByIndexOnSmallTablesWithStaleAndFreshStatistics) {
  MustRunSql(dsn_, "ANALYZE");
  Fill(500);
  EXPECT_THAT(BadPlans(), IsEmpty()) << "statistics of empty tables";
  MustRunSql(dsn_, "ANALYZE");
  EXPECT_THAT(BadPlans(), IsEmpty()) << "fresh statistics";
}

TEST_F(Plans, GoByIndexWithAYearOfPartitions) {
  MustRunSql(dsn_, "SELECT make_partitions(now() - interval '392 days', 60)");
  Fill(500);
  EXPECT_THAT(BadPlans(), IsEmpty());
  MustRunSql(dsn_, "ANALYZE");
  EXPECT_THAT(BadPlans(), IsEmpty());

  // And they work there.
  const WorkerId worker = NewWorker();
  ASSERT_OK(Submit(MakeExecution()));
  const auto held = leases().Claim(worker, Queue::kAction, 1);
  ASSERT_OK(held);
  ASSERT_FALSE(held->empty());
  EXPECT_THAT(Commit(MakeEnd((*held)[0])), IsOkAndHolds(CommitResult::kCommitted));
}

}  // namespace
}  // namespace capstan::storage
