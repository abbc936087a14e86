// What a real action costs the database: ScaleDeployment from the call to its last event, through
// capstan-server and capstan-worker as processes, Postgres and a simulated cluster. Every event,
// the decision, the rendered Job, the log and the workers' heartbeats meanwhile are in the figures.
//
// Then how long its parts take, one action at a time, as the programs' own spans have it, and one
// condition of the catalog. Each is a line with the median, the 99th of a hundred, and, where the
// part has a limit, the limit and the latter as a share of it.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"
#include "tests/scenarios/system.h"
#include "tests/support/otlp/span_receiver.h"
#include "worker/policy/bundle_files.h"
#include "worker/policy/condition_set.h"

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

void Print(const std::string& part, std::vector<absl::Duration> took, absl::Duration limit = {}) {
  if (took.empty()) return;
  std::sort(took.begin(), took.end());
  const auto at = [&](std::size_t percent) {
    return absl::ToDoubleMilliseconds(took[std::min(took.size() - 1, took.size() * percent / 100)]);
  };
  std::printf("part name=%s n=%zu median_ms=%.2f p99_ms=%.2f", part.c_str(), took.size(), at(50),
              at(99));
  if (limit > absl::ZeroDuration()) {
    std::printf(" limit_ms=%.0f p99_of_limit=%.4f", absl::ToDoubleMilliseconds(limit),
                at(99) / absl::ToDoubleMilliseconds(limit));
  }
  std::printf("\n");
}

// Of actions that ran one at a time.
void PrintParts(const std::vector<testing::ReceivedSpan>& spans) {
  std::map<std::string, std::map<std::string, absl::Duration>> actions;  // by trace and name
  for (const testing::ReceivedSpan& span : spans) actions[span.trace][span.name] += span.took;
  std::map<std::string, std::vector<absl::Duration>> parts;
  for (auto& [trace, took] : actions) {
    if (!took.contains("job wait")) continue;
    for (const char* name : {"submit", "queue wait", "facts", "policy", "job create", "job arm"})
      parts[name].push_back(took[name]);
    parts["validation"].push_back(took["facts"] + took["policy"]);
    parts["overhead"].push_back(took["queue wait"] + took["claim"] - took["job wait"]);
  }
  Print("submit", parts["submit"]);
  Print("pickup", parts["queue wait"], absl::Seconds(5));
  Print("facts", parts["facts"]);
  Print("policy", parts["policy"], absl::Milliseconds(200));
  Print("validation", parts["validation"], absl::Milliseconds(100));
  Print("job_create", parts["job create"], absl::Milliseconds(500));
  Print("job_arm", parts["job arm"]);
  Print("overhead", parts["overhead"], absl::Seconds(5));
}

// One action after the other, with a server and a worker that export their spans.
absl::Status MeasureParts(System& system, int count) {
  const testing::SpanReceiver spans;
  Server server = system.StartServer({{"CAPSTAN_TRACING_OTLP_ENDPOINT", spans.Endpoint()}});
  const auto worker = system.StartWorker({{"OTEL_EXPORTER_OTLP_ENDPOINT", spans.Endpoint()}},
                                         {"--kubernetes.qps=1000", "--kubernetes.burst=1000"});
  Totals totals;
  RunAll(server, 1, count, totals);
  for (testing::Process* process : {worker.get(), server.process.get()}) {
    process->Signal(SIGTERM);  // then they send the rest
    process->Wait();
  }
  if (totals.succeeded != count) return absl::InternalError("not every action succeeded");
  PrintParts(spans.Spans());
  return absl::OkStatus();
}

// Each of the catalog, without facts: what it takes to find that out.
absl::Status PrintConditions(const std::string& directory) {
  constexpr int kRounds = 20;
  CAPSTAN_ASSIGN_OR_RETURN(const policy::BundleFiles files, policy::ReadConditionFiles(directory));
  CAPSTAN_ASSIGN_OR_RETURN(const auto programs, policy::CompileConditions(files, {}));
  std::vector<absl::Duration> took;
  for (int round = 0; round < kRounds; ++round) {
    for (const auto& [name, program] : programs) {
      const absl::Time start = absl::Now();
      CAPSTAN_RETURN_IF_ERROR(
          program
              .Evaluate(absl::StrCat("data.capstan.conditions.", name, ".result"),
                        R"({"facts":{}})")
              .status());
      took.push_back(absl::Now() - start);
    }
  }
  Print("condition", std::move(took), absl::Seconds(1));
  return absl::OkStatus();
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
  auto worker = system->StartWorker({}, {"--kubernetes.qps=1000", "--kubernetes.burst=1000"});
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

  worker.reset();
  const absl::Status parts = MeasureParts(*system, count / 2);
  const absl::Status conditions = PrintConditions(absl::StrCat(system->catalog(), "/conditions"));
  for (const absl::Status& status : {parts, conditions})
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return parts.ok() && conditions.ok() ? 0 : 1;
}

}  // namespace
}  // namespace capstan::bench

int main(int argc, char** argv) { return capstan::bench::Main(argc, argv); }
