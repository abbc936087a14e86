// capstan-server as a process of its own on a database of its own, for measuring programs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/postgres/postgres.h"

namespace capstan::bench {

// Started by the constructor, which ends the program with a message when that fails; ended by the
// destructor. Make it on the main thread, before others: it forks.
class ServerProcess {
 public:
  // `program` is the path of capstan-server.
  explicit ServerProcess(const std::string& program);
  ~ServerProcess();

  std::string address() const { return "127.0.0.1:" + std::to_string(grpc_port_); }
  const std::string& dsn() const { return dsn_; }
  // Memory it holds now, in KiB.
  std::int64_t ResidentKib() const;
  // Transactions the database has ended so far, and connections to it.
  std::int64_t Transactions() const;
  std::int64_t Connections() const;

 private:
  std::unique_ptr<testing::TestPostgres> postgres_;
  std::string dsn_;
  std::string directory_;  // with the DSN and the ports
  pid_t process_ = -1;
  int grpc_port_ = 0;
};

}  // namespace capstan::bench
