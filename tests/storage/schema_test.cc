// Migrations, what start-up refuses, partitions and retention.
#include "storage/schema.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::MustRunSql;
using ::capstan::testing::SqlValue;
using ::capstan::testing::StatusIs;
using ::capstan::testing::TestPostgres;
using ::testing::HasSubstr;

StoreOptions On(const std::string& dsn) {
  StoreOptions options;
  options.dsn = dsn;
  return options;
}

TEST(Migrate, MakesTheSchemaAndDoesNothingTheSecondTime) {
  const StoreOptions options = On(TestPostgres::Shared().NewEmptyDatabase());
  EXPECT_THAT(CheckSchema(options),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("migrate")));

  const auto first = Migrate(options, NotingObserver());
  const auto second = Migrate(options);

  ASSERT_OK(first);
  EXPECT_THAT(second, IsOkAndHolds(*first));
  EXPECT_OK(CheckSchema(options));
}

TEST(Migrate, MayBeRunBySeveralAtOnce) {
  const StoreOptions options = On(TestPostgres::Shared().NewEmptyDatabase());
  std::vector<absl::Status> results(4);
  std::vector<std::thread> threads;
  for (absl::Status& result : results) {
    threads.emplace_back([&] { result = Migrate(options).status(); });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(results, ::testing::Each(IsOk()));
}

TEST(CheckSchema, RefusesASchemaThatIsTooNew) {
  const std::string dsn = TestPostgres::Shared().NewDatabase();
  MustRunSql(dsn, "INSERT INTO schema_migration (version, name) VALUES (900, 'from the future')");

  EXPECT_THAT(CheckSchema(On(dsn)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer program")));
}

TEST(CheckSchema, RefusesSynchronousCommitOffForTheRoleOrDatabase) {
  const std::string dsn = TestPostgres::Shared().NewDatabase();
  const std::string name = SqlValue(dsn, "SELECT current_database()");
  MustRunSql(dsn, absl::StrCat("ALTER DATABASE ", name, " SET synchronous_commit = off"));

  EXPECT_THAT(CheckSchema(On(dsn)), StatusIs(absl::StatusCode::kFailedPrecondition,
                                             HasSubstr("synchronous_commit is off")));
}

TEST(CheckSchema, RefusesAServerWithoutFsync) {
  const auto postgres = TestPostgres::Start({{{"fsync", "off"}}});
  ASSERT_OK(postgres);

  EXPECT_THAT(Migrate(On((*postgres)->NewEmptyDatabase())),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("fsync is off")));
}

TEST(CheckSchema, DoesNotConnectToAReadOnlyDatabase) {
  const std::string dsn = TestPostgres::Shared().NewDatabase();
  const std::string name = SqlValue(dsn, "SELECT current_database()");
  MustRunSql(dsn, absl::StrCat("ALTER DATABASE ", name, " SET default_transaction_read_only = on"));

  EXPECT_THAT(CheckSchema(On(dsn)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("read-only")));
}

TEST(CheckSchema, SaysThatTheDatabaseCannotBeReached) {
  EXPECT_THAT(CheckSchema(On("host=127.0.0.1 port=1 dbname=none")),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(CheckOptions, RefusesTransactionsThatMayIdleForAThirdOfALease) {
  StoreOptions options = On("dbname=x");
  options.lease_ttl = absl::Seconds(6);

  EXPECT_THAT(CheckOptions(options), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("idle_in_transaction_timeout")));
}

TEST(CheckOptions, RefusesADsnThatDoesNotParseWithoutRepeatingIt) {
  const absl::Status status = CheckOptions(On("password=secret ="));

  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kInvalidArgument, ::testing::Not(HasSubstr("secret"))));
}

class Retain : public StoreTest {};

TEST_F(Retain, PartitionsAreMadeFourWeeksAhead) {
  EXPECT_EQ(Sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass"), "6");

  Sql("DROP TABLE event_default, execution_default; SELECT 1");
  EXPECT_EQ(SubmitMany(1).size(), 1u) << "a new execution goes into a weekly partition";
}

TEST_F(Retain, AnOldWeekGoesOnlyWhenEverythingInItHasEnded) {
  Sql("SELECT make_partitions(now() - interval '70 days', 1)");
  const std::string old = "(SELECT uuid_floor(now() - interval '65 days'))";
  Sql("INSERT INTO execution (id, last_seq, state, queue, priority, action, caller) "
      "VALUES (" +
      old + ", 1, 4, 1, 3, 'a', 'c') RETURNING 1");
  Sql("INSERT INTO request_key (key, execution_id, request_hash) VALUES (gen_random_uuid(), " +
      old + ", '') RETURNING 1");
  ASSERT_EQ(Count("execution"), 1);

  ASSERT_OK(MaintainPartitions(options_, {}, NotingObserver()));
  EXPECT_EQ(Count("execution"), 1) << "it lives";
  EXPECT_EQ(Count("request_key"), 0);

  Sql("UPDATE execution SET state = 6 RETURNING 1");
  ASSERT_OK(MaintainPartitions(options_, {}));
  EXPECT_EQ(Count("execution"), 0);
  EXPECT_EQ(Sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'event'::regclass"), "6");
}

TEST_F(Retain, TrimmedFeedRowsRaiseTheHorizon) {
  const auto tailer = NewTailer();
  const FeedPosition before = tailer->position();
  SubmitMany(1);
  Sql("UPDATE feed SET at = now() - interval '2 days' RETURNING 1");

  ASSERT_OK(MaintainPartitions(options_, {}));

  EXPECT_EQ(Count("feed"), 0);
  EXPECT_THAT(tailer->ReadFrom(before, 10),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("behind")));
}

// The proto's states, the SQL check of execution.state and that of outcome say the same.
TEST_F(Retain, StatesInTheSchemaAreThoseOfTheProto) {
  std::string all, terminal;
  const auto* states = v1::Execution::State_descriptor();
  for (int i = 0; i < states->value_count(); ++i) {
    const int number = states->value(i)->number();
    if (number == 0) continue;
    absl::StrAppend(&all, all.empty() ? "" : ", ", number);
    if (number >= v1::Execution::STATE_SUCCEEDED)
      absl::StrAppend(&terminal, terminal.empty() ? "" : ", ", number);
  }
  const auto check = [&](const std::string& name) {
    return Sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '" + name +
               "' LIMIT 1");
  };

  EXPECT_EQ(check("execution_state"), "CHECK ((state = ANY (ARRAY[" + all + "])))");
  EXPECT_EQ(check("outcome_state"), "CHECK ((state = ANY (ARRAY[" + terminal + "])))");
}

}  // namespace
}  // namespace capstan::storage
