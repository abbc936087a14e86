#include "storage/connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

// How much longer than statement_timeout we wait for an answer: the server ends the statement
// itself unless it hangs.
constexpr absl::Duration kAnswerSlack = absl::Seconds(2);

// A generic plan is made anew after this time: the planner looks at the size of tables, which may
// have been empty before.
constexpr absl::Duration kPlanAge = absl::Seconds(10);
// Planner cost of a row. A high one makes plans that touch as few rows as they can, whatever
// statistics say about the rest; the other is Postgres' default.
constexpr char kDearRow[] = "1";
constexpr char kUsualRow[] = "0.01";

constexpr char kCommit[] = "COMMIT";

std::string Millis(absl::Duration d) { return absl::StrCat(absl::ToInt64Milliseconds(d)); }

absl::StatusCode CodeOf(absl::string_view state) {
  struct Rule {
    absl::string_view prefix;
    absl::StatusCode code;
  };
  static constexpr Rule kRules[] = {
      {"40001", absl::StatusCode::kAborted},      // serialization failure
      {"40P01", absl::StatusCode::kAborted},      // deadlock
      {"08", absl::StatusCode::kUnavailable},     // connection
      {"53", absl::StatusCode::kUnavailable},     // disk, memory, connections
      {"57", absl::StatusCode::kUnavailable},     // cancelled, shutdown, starting up
      {"58", absl::StatusCode::kUnavailable},     // input/output
      {"55P03", absl::StatusCode::kUnavailable},  // lock timeout
      {"25", absl::StatusCode::kUnavailable},     // read-only after a failover, idle in transaction
      {"0A000",
       absl::StatusCode::kUnavailable},  // cached plan no longer fits: a new connection plans again
      {"22", absl::StatusCode::kInvalidArgument},        // bad values
      {"23514", absl::StatusCode::kInvalidArgument},     // CHECK
      {"54", absl::StatusCode::kInvalidArgument},        // too large
      {"23505", absl::StatusCode::kAlreadyExists},       // unique key
      {"28", absl::StatusCode::kFailedPrecondition},     // authentication
      {"3D", absl::StatusCode::kFailedPrecondition},     // no such database
      {"42501", absl::StatusCode::kFailedPrecondition},  // rights
      {"42P01", absl::StatusCode::kFailedPrecondition},  // no such table
      {"42703", absl::StatusCode::kFailedPrecondition},  // no such column
  };
  for (const Rule& rule : kRules) {
    if (absl::StartsWith(state, rule.prefix)) return rule.code;
  }
  return absl::StatusCode::kInternal;
}

// Only the primary message: the detail may repeat values.
absl::Status ErrorOf(const pg_result* result, absl::string_view name) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (state == nullptr) return absl::UnavailableError(absl::StrCat(name, ": connection lost"));
  return absl::Status(
      CodeOf(state), absl::StrCat(name, ": ", message == nullptr ? "" : message, " (", state, ")"));
}

bool IsGood(const pg_result* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

}  // namespace

absl::Status CheckDsn(const std::string& dsn) {
  char* error = nullptr;
  PQconninfoOption* const parsed = PQconninfoParse(dsn.c_str(), &error);
  absl::Status status;
  if (parsed == nullptr) {  // without libpq's message: it may repeat a password
    status =
        absl::InvalidArgumentError("store: dsn is not a connection string or URI of PostgreSQL");
  }
  PQconninfoFree(parsed);
  PQfreemem(error);
  return status;
}

void Connection::Finish::operator()(pg_conn* connection) const { PQfinish(connection); }

Connection::Connection(StoreOptions options, std::string purpose, Planning planning,
                       Observer observer, Clock& clock)
    : options_(std::move(options)),
      purpose_(std::move(purpose)),
      planning_(planning),
      observer_(std::move(observer)),
      clock_(clock),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CAPSTAN_CHECK(wake_fd_ >= 0);
}

Connection::~Connection() { close(wake_fd_); }

void Connection::Close() {
  connection_.reset();
  prepared_.clear();
  in_transaction_ = false;
}

absl::Duration Connection::retry_in() const {
  if (connection_ != nullptr) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), next_try_ - clock_.BootTime());
}

absl::Status Connection::Open() {
  if (connection_ != nullptr) return absl::OkStatus();
  if (retry_in() > absl::ZeroDuration()) {
    return absl::UnavailableError("database: waiting before connecting again");
  }
  absl::Status status = Connect();
  if (!status.ok()) {
    Close();
    pause_ = std::clamp(2 * pause_, options_.reconnect_least, options_.reconnect_most);
    next_try_ = clock_.BootTime() + pause_ * absl::Uniform(random_, 0.5, 1.0);
    return status;
  }
  pause_ = absl::ZeroDuration();
  if (was_connected_ && observer_.reconnect) observer_.reconnect(purpose_);
  was_connected_ = true;
  return status;
}

absl::Status Connection::Connect() {
  const std::string application = absl::StrCat(options_.application_name, "/", purpose_);
  const std::string connect_timeout =
      absl::StrCat(std::max<std::int64_t>(2, absl::ToInt64Seconds(options_.connect_timeout)));
  const std::string tcp_user_timeout = Millis(options_.tcp_user_timeout);
  const char* keys[] = {"dbname",
                        "application_name",
                        "connect_timeout",
                        "tcp_user_timeout",
                        "keepalives_idle",
                        "keepalives_interval",
                        "keepalives_count",
                        "client_encoding",
                        "target_session_attrs",
                        nullptr};
  const char* values[] = {options_.dsn.c_str(),
                          application.c_str(),
                          connect_timeout.c_str(),
                          tcp_user_timeout.c_str(),
                          "5",
                          "1",
                          "3",
                          "UTF8",
                          "read-write",
                          nullptr};
  connection_.reset(PQconnectdbParams(keys, values, /*expand_dbname=*/1));
  if (connection_ == nullptr || PQstatus(connection_.get()) != CONNECTION_OK) {
    const absl::string_view message =
        connection_ == nullptr ? "out of memory" : PQerrorMessage(connection_.get());
    return absl::UnavailableError(absl::StrCat("database: ", absl::StripAsciiWhitespace(message)));
  }
  if (PQsetnonblocking(connection_.get(), 1) != 0) return Lost("set-up");
  return Send(sql::kSessionSettings,
              Params()
                  .Add(Millis(options_.statement_timeout))
                  .Add(Millis(options_.lock_timeout))
                  .Add(Millis(options_.idle_in_transaction_timeout))
                  .Add(planning_ == Planning::kGeneric ? "force_generic_plan" : "force_custom_plan")
                  .Add(planning_ == Planning::kGeneric ? "off" : "on")
                  .Add(planning_ == Planning::kGeneric ? kDearRow : kUsualRow))
      .status();
}

absl::Status Connection::Lost(absl::string_view what) {
  const std::string message =
      absl::StrCat(what, ": ", absl::StripAsciiWhitespace(PQerrorMessage(connection_.get())));
  Close();
  return absl::UnavailableError(message);
}

absl::StatusOr<pg_result*> Connection::Await() {
  const absl::Time deadline = absl::Now() + options_.statement_timeout + kAnswerSlack;
  pg_conn* const connection = connection_.get();
  std::unique_ptr<pg_result, decltype(&PQclear)> last(nullptr, &PQclear);
  while (true) {
    const int unsent = PQflush(connection);
    if (unsent < 0) return Lost("send");
    while (unsent == 0 && PQisBusy(connection) == 0) {
      pg_result* next = PQgetResult(connection);
      if (next == nullptr) return last.release();
      if (last != nullptr &&
          !IsGood(last.get())) {  // the first error of a script is the one to report
        PQclear(next);
        continue;
      }
      last.reset(next);
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      Close();
      return absl::UnavailableError("no answer in time");
    }
    pollfd fd{PQsocket(connection), static_cast<short>(unsent != 0 ? POLLIN | POLLOUT : POLLIN), 0};
    if (poll(&fd, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) < 0 && errno != EINTR)
      return Lost("wait");
    if ((fd.revents & ~POLLOUT) != 0 && PQconsumeInput(connection) == 0) return Lost("receive");
  }
}

void Connection::Tell(const char* name, absl::Duration took, const absl::Status& status) const {
  if (observer_.statement) observer_.statement(name, took, status.code());
}

absl::Status Connection::Prepare(const Statement& statement) {
  if (prepared_.contains(&statement)) return absl::OkStatus();
  if (PQsendPrepare(connection_.get(), statement.name, statement.text, 0, nullptr) == 0)
    return Lost(statement.name);
  CAPSTAN_ASSIGN_OR_RETURN(pg_result * raw, Await());
  if (raw == nullptr) return Lost(statement.name);
  const Rows rows(raw);
  if (!IsGood(raw)) {
    absl::Status error = ErrorOf(raw, statement.name);
    if (PQstatus(connection_.get()) != CONNECTION_OK) Close();
    return error;
  }
  prepared_.insert(&statement);
  return absl::OkStatus();
}

absl::StatusOr<Rows> Connection::Send(const Statement& statement, const Params& params) {
  CAPSTAN_RETURN_IF_ERROR(Prepare(statement));
  std::vector<const char*> values(params.size());
  std::vector<int> lengths(params.size());
  const std::vector<int> formats(params.size(), 1);
  for (std::size_t i = 0; i < params.size(); ++i) {
    values[i] = params.is_null(i) ? nullptr : params.value(i).data();
    lengths[i] = static_cast<int>(params.value(i).size());
  }
  if (PQsendQueryPrepared(connection_.get(), statement.name, static_cast<int>(params.size()),
                          values.data(), lengths.data(), formats.data(), /*resultFormat=*/1) == 0) {
    return Lost(statement.name);
  }
  CAPSTAN_ASSIGN_OR_RETURN(pg_result * raw, Await());
  if (raw == nullptr) return Lost(statement.name);
  Rows rows(raw);
  if (IsGood(raw)) return rows;
  absl::Status error = ErrorOf(raw, statement.name);
  if (PQstatus(connection_.get()) != CONNECTION_OK) Close();
  return error;
}

absl::StatusOr<Rows> Connection::Run(const Statement& statement, const Params& params) {
  CAPSTAN_RETURN_IF_ERROR(Open());
  const absl::Time start = absl::Now();
  if (planning_ == Planning::kGeneric && !in_transaction_ && start - planned_ > kPlanAge) {
    CAPSTAN_RETURN_IF_ERROR(Simple("discard_plans", "DISCARD PLANS"));
    planned_ = start;
  }
  absl::StatusOr<Rows> rows = Send(statement, params);
  Tell(statement.name, absl::Now() - start, rows.status());
  return rows;
}

absl::Status Connection::Simple(const char* name, const char* text) {
  const absl::Time start = absl::Now();
  const absl::Status status = [&]() -> absl::Status {
    if (PQsendQuery(connection_.get(), text) == 0) return Lost(name);
    CAPSTAN_ASSIGN_OR_RETURN(pg_result * raw, Await());
    if (raw == nullptr) return Lost(name);
    const Rows rows(raw);
    if (IsGood(raw) && std::string_view(text) == kCommit &&
        std::string_view(PQcmdStatus(raw)) != kCommit) {
      return absl::AbortedError("commit: rolled back");
    }
    if (IsGood(raw)) return absl::OkStatus();
    absl::Status error = ErrorOf(raw, name);
    if (PQstatus(connection_.get()) != CONNECTION_OK) Close();
    return error;
  }();
  Tell(name, absl::Now() - start, status);
  return status;
}

absl::Status Connection::RunScript(const char* name, const char* text) {
  CAPSTAN_RETURN_IF_ERROR(Open());
  return Simple(name, text);
}

absl::Status Connection::Begin() {
  CAPSTAN_RETURN_IF_ERROR(Open());
  CAPSTAN_RETURN_IF_ERROR(Simple("begin", "BEGIN"));
  in_transaction_ = true;
  return absl::OkStatus();
}

absl::Status Connection::Commit() {
  if (!in_transaction_) return absl::UnavailableError("commit: connection lost");
  const absl::Status status = Simple("commit", kCommit);
  if (status.ok()) in_transaction_ = false;
  return status;
}

void Connection::Rollback() {
  if (!std::exchange(in_transaction_, false)) return;
  if (!Simple("rollback", "ROLLBACK").ok()) Close();
}

absl::Status Connection::Listen(const char* channel) {
  CAPSTAN_RETURN_IF_ERROR(Open());
  return Simple("listen", absl::StrCat("LISTEN ", channel).c_str());
}

bool Connection::TakeNotifications() {
  bool notified = false;
  while (PGnotify* notification = PQnotifies(connection_.get())) {
    notified = true;
    PQfreemem(notification);
  }
  return notified;
}

absl::StatusOr<bool> Connection::AwaitNotification(absl::Duration timeout) {
  if (connection_ == nullptr) return absl::UnavailableError("listen: connection lost");
  if (TakeNotifications()) return true;  // came with the answer of a statement
  pollfd fds[] = {{PQsocket(connection_.get()), POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  (void)poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  std::uint64_t woken = 0;
  if ((fds[1].revents & POLLIN) != 0 && read(wake_fd_, &woken, sizeof woken) < 0) woken = 0;
  if (fds[0].revents != 0 && PQconsumeInput(connection_.get()) == 0) return Lost("listen");
  return TakeNotifications();
}

void Connection::Wake() {
  const std::uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof one) < 0) return;  // full: it is awake already
}

absl::StatusOr<Rows> RunRead(Connection& connection, const Statement& statement,
                             const Params& params) {
  const bool was_connected = connection.connected();
  absl::StatusOr<Rows> rows = connection.Run(statement, params);
  if (was_connected && !rows.ok() && !connection.connected())
    rows = connection.Run(statement, params);
  return rows;
}

}  // namespace capstan::storage
