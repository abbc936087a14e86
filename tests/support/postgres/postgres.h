// A real Postgres for tests: its own data directory, its own process, gone with the test.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace capstan::testing {

// Rows of text; NULL is "".
using SqlRows = std::vector<std::vector<std::string>>;

// Not thread-safe except NewDatabase(). Runs as the user `postgres` when the test runs as root.
// Dies with the thread that started it, so start it on the main thread.
class TestPostgres {
 public:
  struct Options {
    // Lines of postgresql.conf, by name. fsync and synchronous_commit stay on unless a test sets
    // them here.
    std::map<std::string, std::string> settings;
  };

  // initdb and start.
  static absl::StatusOr<std::unique_ptr<TestPostgres>> Start(const Options& options);
  static absl::StatusOr<std::unique_ptr<TestPostgres>> Start() { return Start(Options()); }
  // One for all tests of the process that do no harm to it. Ends the process with a message when it
  // cannot be started.
  static TestPostgres& Shared();

  ~TestPostgres();
  TestPostgres(const TestPostgres&) = delete;
  TestPostgres& operator=(const TestPostgres&) = delete;

  // Connection string of a new database, with all migrations or with nothing in it.
  std::string NewDatabase();
  std::string NewEmptyDatabase();
  // Of one that exists; over TCP instead of the Unix socket with tcp.
  std::string Dsn(const std::string& database, bool tcp = false) const;

  // As a power cut for the processes, not for the kernel: the server and all its backends get
  // SIGKILL at once.
  void Kill9();
  // Starts it again on the same data and port and waits until it answers.
  absl::Status Restart();

  int port() const { return port_; }
  const std::string& directory() const { return directory_; }

 private:
  TestPostgres() = default;

  absl::Status Init(const Options& options);
  absl::Status Launch();

  std::string directory_;
  int port_ = 0;
  pid_t server_ = -1;
  absl::Mutex mu_;
  int databases_ = 0;
  bool has_template_ = false;
};

// Runs SQL, several statements if need be; the rows are those of the last one.
absl::StatusOr<SqlRows> RunSql(const std::string& dsn, const std::string& sql);
// The same for SQL that must succeed: ends the process otherwise.
SqlRows MustRunSql(const std::string& dsn, const std::string& sql);
// First column of the first row.
std::string SqlValue(const std::string& dsn, const std::string& sql);

}  // namespace capstan::testing
