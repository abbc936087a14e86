// Migrate, CheckSchema and MaintainPartitions of store.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "storage/connection.h"
#include "storage/schema.h"
#include "storage/sql.h"
#include "storage/store.h"

namespace capstan::storage {
namespace {

constexpr int kOldestServer = 150000;
// A schema may be this many versions newer than the program: the next release's expanding
// migration.
constexpr int kNewerAllowed = 1;

// Feed rows deleted by one call: this many times 10,000; the rest by the next.
constexpr int kTrimRounds = 1000;

Params Micros(absl::Duration d) { return Params().Add(std::int64_t{absl::ToInt64Microseconds(d)}); }

int NewestVersion() { return sql::kMigrations.back().version; }

absl::StatusOr<int> SchemaVersion(Connection& connection) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection.Run(sql::kSchemaVersion));
  return static_cast<int>(rows.Int(0, 0));
}

// Returns whether the migration table exists.
absl::StatusOr<bool> CheckServer(Connection& connection) {
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection.Run(sql::kServerCheck));
  if (rows.Int(0, 0) < kOldestServer) {
    return absl::FailedPreconditionError(absl::StrCat(
        "database: PostgreSQL ", rows.Int(0, 0) / 10000, " is too old, 15 or newer is needed"));
  }
  if (!rows.Bool(0, 1)) {
    return absl::FailedPreconditionError(
        "database: fsync is off, what was acknowledged could be lost; set fsync = on in "
        "postgresql.conf");
  }
  if (!rows.Bool(0, 2)) {
    return absl::FailedPreconditionError(
        "database: synchronous_commit is off, what was acknowledged could be lost; set it on for "
        "the server, "
        "the database and the role");
  }
  if (rows.Bool(0, 3)) {
    return absl::FailedPreconditionError(
        "database: the server is read-only or a standby; connect to the primary");
  }
  return rows.Bool(0, 4);
}

absl::Status Apply(Connection& connection, const Migration& migration) {
  CAPSTAN_RETURN_IF_ERROR(connection.RunScript(migration.name, migration.text));
  return connection
      .Run(sql::kMigrationRecord, Params().Add(std::int32_t{migration.version}).Add(migration.name))
      .status();
}

// Migrations may wait for locks and rewrite tables: longer than any statement of the daily work.
StoreOptions ForMigration(StoreOptions options) {
  options.statement_timeout = absl::Minutes(30);
  options.lock_timeout = absl::Seconds(30);
  options.idle_in_transaction_timeout = absl::Minutes(30);
  return options;
}

}  // namespace

absl::Status CheckSchemaOn(Connection& connection) {
  CAPSTAN_ASSIGN_OR_RETURN(const bool migrated, CheckServer(connection));
  int version = 0;
  if (migrated) {
    CAPSTAN_ASSIGN_OR_RETURN(version, SchemaVersion(connection));
  }
  if (version < NewestVersion()) {
    return absl::FailedPreconditionError(absl::StrCat("database: the schema has version ", version,
                                                      ", ", NewestVersion(),
                                                      " is needed; run `capstan-server migrate`"));
  }
  if (version > NewestVersion() + kNewerAllowed) {
    return absl::FailedPreconditionError(absl::StrCat("database: the schema has version ", version,
                                                      ", this program knows ", NewestVersion(),
                                                      "; use a newer program"));
  }
  return absl::OkStatus();
}

absl::Status CheckSchema(const StoreOptions& options) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  SystemClock clock;
  Connection connection(options, "check", Planning::kCustom, {}, clock);
  return CheckSchemaOn(connection);
}

absl::StatusOr<int> Migrate(const StoreOptions& options, Observer observer) {
  CAPSTAN_RETURN_IF_ERROR(CheckOptions(options));
  SystemClock clock;
  Connection connection(ForMigration(options), "migrate", Planning::kCustom, std::move(observer),
                        clock);
  CAPSTAN_RETURN_IF_ERROR(CheckServer(connection).status());
  Transaction transaction(connection);
  CAPSTAN_RETURN_IF_ERROR(transaction.Begin());
  CAPSTAN_RETURN_IF_ERROR(transaction.Run(sql::kMigrationLock).status());
  CAPSTAN_RETURN_IF_ERROR(transaction.Run(sql::kMigrationTable).status());
  CAPSTAN_ASSIGN_OR_RETURN(const int before, SchemaVersion(connection));
  for (const Migration& migration : sql::kMigrations) {
    if (migration.version > before) CAPSTAN_RETURN_IF_ERROR(Apply(connection, migration));
  }
  CAPSTAN_RETURN_IF_ERROR(transaction.Run(sql::kPartitionsMake).status());
  CAPSTAN_RETURN_IF_ERROR(transaction.Commit());
  return std::max(before, NewestVersion());
}

absl::StatusOr<int> MaintainPartitions(const StoreOptions& options, const Retention& retention,
                                       Observer observer) {
  SystemClock clock;
  Connection connection(ForMigration(options), "retention", Planning::kCustom, std::move(observer),
                        clock);
  CAPSTAN_ASSIGN_OR_RETURN(const Rows made, connection.Run(sql::kPartitionsMake));
  CAPSTAN_ASSIGN_OR_RETURN(const Rows dropped,
                           connection.Run(sql::kPartitionsDrop, Micros(retention.executions)));
  CAPSTAN_RETURN_IF_ERROR(
      connection.Run(sql::kRequestKeyTrim, Micros(retention.request_keys)).status());
  for (int round = 0; round < kTrimRounds; ++round) {
    CAPSTAN_ASSIGN_OR_RETURN(const Rows trimmed,
                             connection.Run(sql::kFeedTrim, Micros(options.feed_kept)));
    if (trimmed.Int(0, 0) == 0) break;
  }
  CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kWorkerTrim).status());
  CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kLaunchTrim).status());
  CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kDryRunTrim).status());
  CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kProjectSpendTrim).status());
  return static_cast<int>(made.Int(0, 0) + dropped.Int(0, 0));
}

}  // namespace capstan::storage
