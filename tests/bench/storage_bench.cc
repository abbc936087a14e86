// Full durable life cycles through the store, against what Postgres itself can do on this machine.
//
// One life cycle: submit (200 byte request, idempotency key), claim, one commit with two events;
// three events in all, every guarantee on. N of them are kept in flight. The ceiling is pgbench
// inserting one row and three events per task in batches of 1,000 over two connections, without
// updates, leases or keys. Rounds are interleaved, so that a busy moment of the machine hits both;
// each ratio is taken within its round. With --river the same Postgres also runs the life cycles of
// River, a queue for Go (river/main.go).
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "core/status_macros.h"
#include "storage/store.h"
#include "tests/support/postgres/postgres.h"

namespace capstan::storage {
namespace {

using testing::MustRunSql;
using testing::SqlValue;
using testing::TestPostgres;

constexpr int kRequestBytes = 200;
constexpr char kCeilingSchema[] = R"sql(
DROP TABLE IF EXISTS t, ev;
DROP SEQUENCE IF EXISTS s;
CREATE TABLE t (id bigint PRIMARY KEY, queue smallint, run_at timestamptz, payload bytea);
CREATE TABLE ev (task_id bigint, seq int, kind smallint, at timestamptz DEFAULT clock_timestamp(), body bytea DEFAULT '',
                 PRIMARY KEY (task_id, seq));
CREATE SEQUENCE s;
)sql";
constexpr char kCeilingScript[] = R"sql(
WITH n AS (INSERT INTO t SELECT nextval('s'), 0, now(), decode(repeat('ab', 200), 'hex') FROM generate_series(1, :b) RETURNING id)
  SELECT array_agg(id)::text AS ids FROM n \gset
INSERT INTO ev (task_id, seq, kind) SELECT i, 2, 2 FROM unnest(:ids::bigint[]) i;
INSERT INTO ev (task_id, seq, kind) SELECT i, 3, 3 FROM unnest(:ids::bigint[]) i;
)sql";

template <class T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// The number behind `name` in what the command prints. Ends the process when there is none.
double Printed(const std::string& command, const std::string& name) {
  FILE* const out = popen(command.c_str(), "r");
  double value = 0;
  char line[256];
  while (out != nullptr && std::fgets(line, sizeof line, out) != nullptr) {
    const char* const at = std::strstr(line, name.c_str());
    if (at != nullptr) value = std::atof(at + name.size());
  }
  if (out != nullptr) pclose(out);
  CAPSTAN_CHECK(value > 0);
  return value;
}

// Tasks a second of the ceiling script.
double Ceiling(TestPostgres& postgres, const std::string& dsn, int seconds) {
  MustRunSql(dsn, kCeilingSchema);
  MustRunSql(dsn, "CHECKPOINT");
  const std::string script = "/tmp/capstan-ceiling-" + std::to_string(getpid()) + ".sql";
  std::ofstream(script) << kCeilingScript;
  const std::string command = absl::StrCat("pgbench -n -M prepared -c 2 -j 2 -T ", seconds,
                                           " -D b=1000 -f ", script, " '", dsn, "' 2>/dev/null");
  const double tps = Printed(command, "tps = ");
  std::filesystem::remove(script);
  return tps * 1000;
}

// Life cycles a second of River. It decides how many, so that its start and end do not count.
double River(const std::string& program, const std::string& dsn) {
  return Printed(absl::StrCat("'", program, "' -dsn '", dsn, "'"), "life_cycle_rate=");
}

struct Figures {
  double rate = 0;
  double wal_per_cycle = 0;
  absl::Duration p50, p99, ack_p50, ack_p99;
};

// Keeps `in_flight` executions between submit and the answer of their last commit.
class Loop {
 public:
  Loop(const std::string& dsn, int in_flight) : in_flight_(in_flight) {
    StoreOptions options;
    options.dsn = dsn;
    Observer observer;
    observer.statement = [this](std::string_view name, absl::Duration took, absl::StatusCode) {
      absl::MutexLock lock(&mu_);
      auto& [count, total] = statements_[std::string(name)];
      ++count;
      total += took;
    };
    submitter_ = Must(OpenSubmitter(options, observer, clock_));
    committer_ = Must(OpenCommitter(options, observer, clock_));
    leases_ = Must(OpenLeaseStore(options, observer, clock_));
    worker_ = Must(leases_->Register({"bench", "0"}));
  }

  Figures Run(const std::string& dsn, absl::Duration time) {
    std::thread claimer([this] { Claim(); });
    const auto wal = [&] {
      return std::stod(SqlValue(dsn, "SELECT pg_current_wal_lsn() - '0/0'"));
    };
    for (int i = 0; i < in_flight_; ++i) Submit();
    absl::SleepFor(time / 10);  // fill the pipeline
    const double wal_before = wal();
    const std::int64_t before = Done();
    const absl::Time start = absl::Now();
    absl::SleepFor(time);
    const std::int64_t cycles = Done() - before;
    const absl::Duration took = absl::Now() - start;
    const double wal_after = wal();
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    claimer.join();
    committer_.reset();
    submitter_.reset();
    Figures figures;
    figures.rate = static_cast<double>(cycles) / absl::ToDoubleSeconds(took);
    figures.wal_per_cycle =
        (wal_after - wal_before) / static_cast<double>(std::max<std::int64_t>(1, cycles));
    figures.p50 = Quantile(cycle_times_, 0.5);
    figures.p99 = Quantile(cycle_times_, 0.99);
    figures.ack_p50 = Quantile(ack_times_, 0.5);
    figures.ack_p99 = Quantile(ack_times_, 0.99);
    return figures;
  }

  void PrintStatements() {
    absl::MutexLock lock(&mu_);
    for (const auto& [name, use] : statements_) {
      std::printf("    %-18s %7lld times, %8.3f ms each\n", name.c_str(),
                  static_cast<long long>(use.first),
                  absl::ToDoubleMilliseconds(use.second) / static_cast<double>(use.first));
    }
  }

 private:
  static absl::Duration Quantile(std::vector<absl::Duration>& times, double q) {
    if (times.empty()) return absl::ZeroDuration();
    std::sort(times.begin(), times.end());
    return times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))];
  }

  std::int64_t Done() {
    absl::MutexLock lock(&mu_);
    return done_;
  }

  void Submit() {
    NewExecution execution;
    execution.caller = "bench";
    execution.request_id = absl::StrCat("request-", next_++);
    execution.request_hash = std::string(32, 'h');
    execution.action = "ScaleDeployment";
    execution.accepted = std::string(kRequestBytes, 'r');
    const absl::Time start = absl::Now();
    submitter_->Submit(std::move(execution), [this, start](absl::StatusOr<SubmitResult> result) {
      absl::MutexLock lock(&mu_);
      if (stopping_) return;
      const ExecutionId id = Must(std::move(result)).id;
      ack_times_.push_back(absl::Now() - start);
      started_[id] = start;
      ++waiting_;
    });
  }

  bool MayClaim() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || waiting_ > 0; }

  void Claim() {
    while (true) {
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &Loop::MayClaim));
        if (stopping_) return;
      }
      const auto held = Must(leases_->Claim(worker_, Queue::kAction, in_flight_));
      {
        absl::MutexLock lock(&mu_);
        waiting_ -= static_cast<int>(held.size());
      }
      for (const HeldExecution& execution : held) Finish(execution);
    }
  }

  void Finish(const HeldExecution& held) {
    Commit commit;
    commit.id = held.id;
    commit.lease = held.lease;
    commit.expected_seq = held.last_seq;
    commit.expected_signals = held.signals;
    commit.state = v1::Execution::STATE_SUCCEEDED;
    commit.machine = std::string(16, 'm');
    commit.events = {std::string(16, 'e'), std::string(16, 'e')};
    committer_->Commit(std::move(commit),
                       [this, id = held.id](absl::StatusOr<CommitResult> result) {
                         {
                           absl::MutexLock lock(&mu_);
                           if (stopping_) return;
                           CAPSTAN_CHECK(Must(std::move(result)) == CommitResult::kCommitted);
                           const auto started = started_.find(id);
                           cycle_times_.push_back(absl::Now() - started->second);
                           started_.erase(started);
                           ++done_;
                         }
                         Submit();
                       });
  }

  const int in_flight_;
  SystemClock clock_;
  std::unique_ptr<LeaseStore> leases_;
  WorkerId worker_;
  std::atomic<std::int64_t> next_ = 0;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;
  std::int64_t done_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<ExecutionId, absl::Time> started_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::Duration> cycle_times_, ack_times_;
  std::map<std::string, std::pair<std::int64_t, absl::Duration>> statements_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Submitter> submitter_;  // these two call back into what is above
  std::unique_ptr<Committer> committer_;
};

double Ms(absl::Duration d) { return absl::ToDoubleMilliseconds(d); }

}  // namespace
}  // namespace capstan::storage

int main(int argc, char** argv) {
  using namespace capstan::storage;
  CLI::App app("Durable life cycles a second through the store, against a pgbench ceiling");
  int rounds = 5, seconds = 5, partitions = 4;
  bool verbose = false;
  std::string river;
  std::vector<int> depths = {1, 16, 256, 4096};
  app.add_option("--rounds", rounds, "Interleaved rounds")->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "Of each run")->check(CLI::PositiveNumber);
  app.add_option("--in-flight", depths, "Executions in flight")->delimiter(',');
  app.add_option("--partitions", partitions, "Weekly partitions ahead; 58 shows what a year costs");
  app.add_option("--river", river, "Program of river/ to compare the deepest run with");
  app.add_flag("--verbose", verbose, "Time of each statement");
  CLI11_PARSE(app, argc, argv);

  TestPostgres::Options settings;
  settings.settings = {{"shared_buffers", "512MB"},     {"max_wal_size", "8GB"},
                       {"checkpoint_timeout", "30min"}, {"wal_compression", "lz4"},
                       {"wal_buffers", "64MB"},         {"autovacuum_naptime", "10s"}};
  const auto postgres = Must(TestPostgres::Start(settings));
  const std::string ceiling_dsn = postgres->NewEmptyDatabase();

  std::map<int, std::vector<Figures>> all;
  std::map<int, std::vector<double>> ratios;
  std::vector<double> ceilings, river_rates, river_ratios;
  const int deepest = *std::max_element(depths.begin(), depths.end());
  for (int round = 1; round <= rounds; ++round) {
    const double ceiling = Ceiling(*postgres, ceiling_dsn, seconds);
    ceilings.push_back(ceiling);
    std::printf("round=%d ceiling=%.0f\n", round, ceiling);
    for (const int depth : depths) {
      const std::string dsn = postgres->NewDatabase();
      MustRunSql(dsn, absl::StrCat("SELECT make_partitions(now(), ", partitions, ")"));
      MustRunSql(dsn, "CHECKPOINT");
      Loop loop(dsn, depth);
      const Figures figures = loop.Run(dsn, absl::Seconds(seconds));
      all[depth].push_back(figures);
      ratios[depth].push_back(figures.rate / ceiling);
      std::printf("  round=%d in_flight=%d rate=%.0f ratio=%.2f\n", round, depth, figures.rate,
                  figures.rate / ceiling);
      if (verbose) loop.PrintStatements();
      std::fflush(stdout);
    }
    if (river.empty()) continue;
    river_rates.push_back(River(river, postgres->NewEmptyDatabase()));
    river_ratios.push_back(all[deepest].back().rate / river_rates.back());
    std::printf("  round=%d river_rate=%.0f river_ratio=%.1f\n", round, river_rates.back(),
                river_ratios.back());
    std::fflush(stdout);
  }
  std::printf("ceiling=%.0f tasks/s (median of %d)\n", Median(ceilings), rounds);
  for (const int depth : depths) {
    const auto median = [&](auto field) {
      std::vector<double> values;
      for (const Figures& figures : all[depth]) values.push_back(field(figures));
      return Median(values);
    };
    std::printf(
        "in_flight=%d rate=%.0f ratio=%.2f wal_per_cycle=%.0f p50_ms=%.2f p99_ms=%.2f "
        "ack_p50_ms=%.2f ack_p99_ms=%.2f\n",
        depth, median([](const Figures& f) { return f.rate; }), Median(ratios[depth]),
        median([](const Figures& f) { return f.wal_per_cycle; }),
        median([](const Figures& f) { return Ms(f.p50); }),
        median([](const Figures& f) { return Ms(f.p99); }),
        median([](const Figures& f) { return Ms(f.ack_p50); }),
        median([](const Figures& f) { return Ms(f.ack_p99); }));
  }
  if (!river.empty()) {
    std::printf("river_rate=%.0f river_ratio=%.1f (at %d in flight, median of %d)\n",
                Median(river_rates), Median(river_ratios), deepest, rounds);
  }
  return 0;
}
