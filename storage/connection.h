// One connection to Postgres. The only place that knows libpq.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/clock.h"
#include "storage/observer.h"
#include "storage/options.h"
#include "storage/params.h"
#include "storage/rows.h"
#include "storage/statement.h"

struct pg_conn;
struct pg_result;

namespace capstan::storage {

// INVALID_ARGUMENT when it does not parse.
absl::Status CheckDsn(const std::string& dsn);

// How statements are planned. kGeneric: once per connection, by index and nested loops whatever the
// statistics say, for the few statements that run all the time. kCustom: for each execution, with
// its parameters, for reading with optional filters.
enum class Planning { kGeneric, kCustom };

// Not thread-safe. Connects when first used and again after it was lost, not before a pause
// (StoreOptions.reconnect_*) has passed since the last failure: until then calls end UNAVAILABLE at
// once. Errors of every call:
//   UNAVAILABLE          connection lost or refused, timeout, server short of something. The
//   statement, or the whole
//                        transaction when it was Commit(), may or may not have happened; after a
//                        timeout of ours the connection is gone
//   ABORTED              40001 or 40P01: send the whole transaction again
//   INVALID_ARGUMENT     class 22 or a CHECK: the values are wrong
//   ALREADY_EXISTS       a unique key
//   FAILED_PRECONDITION  rights or schema are missing
//   INTERNAL             anything else: a defect of ours
class Connection {
 public:
  // `purpose` ("submit") is added to the application name and names the connection in figures.
  // Borrows `clock`.
  Connection(StoreOptions options, std::string purpose, Planning planning, Observer observer,
             Clock& clock);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Connects if there is no connection.
  absl::Status Open();
  // Ends the connection as if it had been lost; the next call makes a new one.
  void Close();
  bool connected() const { return connection_ != nullptr; }

  // One statement: a transaction of its own, or part of the one that Begin() opened.
  absl::StatusOr<Rows> Run(const Statement& statement, const Params& params = {});
  absl::Status Begin();
  absl::Status Commit();
  // Ends the transaction if one is open; quietly closes the connection when that fails.
  void Rollback();

  // Several statements in one text, without parameters: migrations.
  absl::Status RunScript(const char* name, const char* text);

  // LISTEN, again after each reconnect.
  absl::Status Listen(const char* channel);
  // Waits until a notification arrives (true), `timeout` passes or Wake() is called from another
  // thread (false). The notifications that have arrived are used up.
  absl::StatusOr<bool> AwaitNotification(absl::Duration timeout);
  void Wake();

  // How long to wait before Open() tries again; zero when it would try now.
  absl::Duration retry_in() const;

  const StoreOptions& options() const { return options_; }
  const Observer& observer() const { return observer_; }
  const std::string& purpose() const { return purpose_; }

 private:
  absl::Status Connect();
  absl::Status Prepare(const Statement& statement);
  absl::StatusOr<Rows> Send(const Statement& statement, const Params& params);
  absl::Status Simple(const char* name, const char* text);
  // The last result of what was sent.
  absl::StatusOr<pg_result*> Await();
  bool TakeNotifications();
  absl::Status Lost(absl::string_view what);
  void Tell(const char* name, absl::Duration took, const absl::Status& status) const;

  struct Finish {
    void operator()(pg_conn* connection) const;
  };

  const StoreOptions options_;
  const std::string purpose_;
  const Planning planning_;
  const Observer observer_;
  Clock& clock_;
  std::unique_ptr<pg_conn, Finish> connection_;
  absl::flat_hash_set<const Statement*> prepared_;
  bool was_connected_ = false;
  bool in_transaction_ = false;
  absl::Time planned_ = absl::InfinitePast();
  absl::Duration pause_ = absl::ZeroDuration();
  absl::Duration next_try_ = -absl::InfiniteDuration();
  int wake_fd_ = -1;
  absl::BitGen random_;
};

// A transaction that ends with its scope unless committed.
class Transaction {
 public:
  explicit Transaction(Connection& connection) : connection_(connection) {}
  ~Transaction() { connection_.Rollback(); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  absl::Status Begin() { return connection_.Begin(); }
  absl::StatusOr<Rows> Run(const Statement& statement, const Params& params = {}) {
    return connection_.Run(statement, params);
  }
  absl::Status Commit() { return connection_.Commit(); }

 private:
  Connection& connection_;
};

inline constexpr int kTransactionTries = 5;

// A read. An idle connection may have died long ago without anybody noticing: then it is run once
// more, on a new one.
absl::StatusOr<Rows> RunRead(Connection& connection, const Statement& statement,
                             const Params& params);

// Calls `work(transaction)`, which commits, in a new transaction until it ends otherwise than
// ABORTED (such as a deadlock), a few times at the most.
template <class Work>
absl::Status RunTransaction(Connection& connection, const Work& work) {
  absl::Status done = absl::UnavailableError("not tried");
  for (int i = 0; i < kTransactionTries; ++i) {
    const bool was_connected = connection.connected();
    Transaction transaction(connection);
    done = transaction.Begin();
    // An idle connection may have died long ago; nothing was asked for yet, so a new one may try.
    if (!done.ok() && was_connected) continue;
    if (!done.ok()) return done;
    done = work(transaction);
    if (!absl::IsAborted(done)) break;
  }
  return done;
}

}  // namespace capstan::storage
