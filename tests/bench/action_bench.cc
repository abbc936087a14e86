// What a real action costs the database: ScaleDeployment from the call to its last event, through
// capstan-server and capstan-worker as processes, Postgres and a simulated cluster. Every event,
// the decision, the rendered Job, the log and the workers' heartbeats meanwhile are in the figures.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/scenarios/system.h"

namespace capstan::bench {
namespace {

using testing::Server;
using testing::System;

struct Totals {
  std::atomic<int> next{0};
  std::atomic<int> succeeded{0};
  std::atomic<std::int64_t> events{0};
};

// One caller: its next call when the last has ended, on a Deployment of its own.
void Call(Server& server, int caller, int count, Totals& totals) {
  for (int i = totals.next++; i < count; i = totals.next++) {
    const testing::Streamed run = testing::Execute(
        server, testing::Scale(1 + i % 3, "default", absl::StrCat("web-", caller)));
    if (run.events.empty()) continue;
    if (run.End().to() == v1::Execution::STATE_SUCCEEDED) ++totals.succeeded;
    totals.events += static_cast<std::int64_t>(run.events.size());
  }
}

void RunAll(Server& server, int callers, int count, Totals& totals) {
  std::vector<std::thread> threads;
  for (int i = 0; i < callers; ++i) {
    threads.emplace_back([&, i] { Call(server, i, count, totals); });
  }
  for (std::thread& thread : threads) thread.join();
}

int Main(int argc, char** argv) {
  int count = 200;
  int callers = 16;
  CLI::App app("Write-ahead log and events of a real action");
  app.add_option("--count", count, "actions")->check(CLI::PositiveNumber);
  app.add_option("--callers", callers, "at the same time")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  auto postgres = testing::TestPostgres::Start(
      {.settings = {
           {"max_wal_size", "8GB"}, {"checkpoint_timeout", "30min"}, {"wal_compression", "lz4"}}});
  if (!postgres.ok()) {
    std::fprintf(stderr, "%s\n", postgres.status().ToString().c_str());
    return 1;
  }
  const auto system = System::Make({.lease_ttl = absl::Seconds(15),
                                    .heartbeat = absl::Seconds(3),
                                    .worker_program = {},
                                    .server_program = {},
                                    .kubeconfig = {},
                                    .postgres = postgres->get()});
  for (int i = 0; i < callers; ++i) {
    system->kube().AddDeployment("default", absl::StrCat("web-", i), 1);
  }
  Server server = system->StartServer();
  // Its own limit towards Kubernetes would be what is measured.
  const auto worker = system->StartWorker({}, {"--kubernetes.qps=1000", "--kubernetes.burst=1000"});
  Totals warm;  // statements planned, first pages written
  RunAll(server, callers, callers, warm);

  // No checkpoint falls into it, after which every page would be logged whole once.
  const std::string from = testing::SqlValue(system->dsn(), "SELECT pg_current_wal_insert_lsn()");
  const absl::Time start = absl::Now();
  Totals totals;
  RunAll(server, callers, count, totals);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  const std::string bytes = testing::SqlValue(
      system->dsn(),
      absl::StrCat("SELECT (pg_current_wal_insert_lsn() - '", from, "'::pg_lsn)::bigint"));

  if (totals.succeeded != count) {
    std::fprintf(stderr, "%d of %d actions succeeded; the worker's log:\n%s\n",
                 totals.succeeded.load(), count, worker->Log().c_str());
    return 1;
  }
  std::printf(
      "action count=%d callers=%d per_second=%.1f wal_per_action=%lld events_per_action=%.1f\n",
      count, callers, count / seconds, std::atoll(bytes.c_str()) / count,
      static_cast<double>(totals.events) / count);
  return 0;
}

}  // namespace
}  // namespace capstan::bench

int main(int argc, char** argv) { return capstan::bench::Main(argc, argv); }
