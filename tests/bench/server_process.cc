#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"

namespace capstan::bench {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(30);

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

}  // namespace

ServerProcess::ServerProcess(const std::string& program) {
  auto postgres = testing::TestPostgres::Start();
  if (!postgres.ok()) Die(postgres.status().ToString());
  postgres_ = *std::move(postgres);
  dsn_ = postgres_->NewDatabase();

  char pattern[] = "/tmp/capstan-bench-XXXXXX";
  if (mkdtemp(pattern) == nullptr) Die("cannot make a temporary directory");
  directory_ = pattern;
  const std::string dsn_file = directory_ + "/dsn";
  const std::string port_file = directory_ + "/ports";
  const std::string log_file = directory_ + "/log";
  std::ofstream(dsn_file) << dsn_;

  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = open(log_file.c_str(), O_CREAT | O_WRONLY, 0600);
    dup2(log, 2);
    execl(program.c_str(), program.c_str(), "--listen.address=127.0.0.1:0",
          "--http.address=127.0.0.1:0", ("--store.dsn_file=" + dsn_file).c_str(), "--port-file",
          port_file.c_str(), nullptr);
    _exit(127);
  }
  // The file appears when it serves.
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (!std::filesystem::exists(port_file)) {
    if (waitpid(process_, nullptr, WNOHANG) == process_ || absl::Now() > deadline) {
      std::ifstream log(log_file);
      Die("capstan-server did not start:\n" +
          std::string(std::istreambuf_iterator<char>(log), std::istreambuf_iterator<char>()));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  std::ifstream(port_file) >> grpc_port_;
}

ServerProcess::~ServerProcess() {
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  std::filesystem::remove_all(directory_);
}

std::int64_t ServerProcess::ResidentKib() const {
  std::ifstream status("/proc/" + std::to_string(process_) + "/status");
  std::string word;
  while (status >> word) {
    if (word != "VmRSS:") continue;
    std::int64_t kib = 0;
    status >> kib;
    return kib;
  }
  return 0;
}

std::int64_t ServerProcess::Transactions() const {
  return std::stoll(
      testing::SqlValue(dsn_,
                        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = "
                        "current_database()"));
}

std::int64_t ServerProcess::Connections() const {
  return std::stoll(testing::SqlValue(
      dsn_, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"));
}

}  // namespace capstan::bench
