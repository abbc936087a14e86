// Postgres is killed under load and restarted, again and again: nothing that was acknowledged is
// lost, everything ends, and no Job runs twice. CAPSTAN_KILL_CYCLES: how often (default 3; the long
// run has 20).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "core/machine/states.h"
#include "tests/scenarios/system.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using v1::Execution;

int Cycles() {
  const char* text = std::getenv("CAPSTAN_KILL_CYCLES");
  int cycles = 3;
  if (text != nullptr) (void)absl::SimpleAtoi(text, &cycles);
  return cycles;
}

// Clients that submit until they are told to stop, each request again under its id until it is
// acknowledged.
class Load {
 public:
  Load(Server& server, int clients) {
    for (int i = 0; i < clients; ++i) threads_.emplace_back([this, &server] { Submit(server); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  // Blocks until `count` more executions were acknowledged than now.
  void AwaitMore(int count) {
    absl::MutexLock lock(&mu_);
    const std::size_t want = acknowledged_.size() + count;
    const auto enough = [this, want]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return acknowledged_.size() >= want;
    };
    mu_.Await(absl::Condition(&enough));
  }

  std::vector<std::string> acknowledged() {
    absl::MutexLock lock(&mu_);
    return acknowledged_;
  }

 private:
  void Submit(Server& server) {
    v1::ExecuteActionRequest request = Scale(2);
    while (!stop_) {
      const absl::StatusOr<std::string> name = capstan::testing::Submit(server, request);
      if (!name.ok()) continue;  // the same request_id again
      request = Scale(2);
      absl::MutexLock lock(&mu_);
      acknowledged_.push_back(*name);
    }
  }

  std::atomic<bool> stop_{false};
  absl::Mutex mu_;
  std::vector<std::string> acknowledged_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

TEST(PostgresKillTest, NothingAcknowledgedIsLostAndEverythingEnds) {
  auto postgres = TestPostgres::Start();
  ASSERT_OK(postgres);
  SystemOptions options;
  options.lease_ttl = absl::Seconds(6);
  options.postgres = postgres->get();
  const auto system = System::Make(options);
  Server server = system->StartServer();
  const auto first = system->StartWorker();
  const auto second = system->StartWorker();
  Load load(server, /*clients=*/4);

  for (int cycle = 0; cycle < Cycles(); ++cycle) {
    load.AwaitMore(20);
    (*postgres)->Kill9();
    ASSERT_OK((*postgres)->Restart());
  }
  load.AwaitMore(5);
  load.Stop();

  const std::vector<std::string> names = load.acknowledged();
  for (const std::string& name : names) {
    const Streamed run = Watch(server, name);
    ASSERT_TRUE(run.status.ok()) << name << ": " << run.status.error_message();
    EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED)
        << name << ": " << run.End().DebugString();
    EXPECT_LE(system->kube().PodsRun(JobOf(name)), 1) << name;
  }
  std::printf("cycles=%d acknowledged=%zu\n", Cycles(), names.size());
  EXPECT_EQ(SqlValue(system->dsn(),
                     "SELECT count(*) FROM execution e WHERE NOT EXISTS "
                     "(SELECT FROM outcome o WHERE o.execution_id = e.id)"),
            "0");
}

}  // namespace
}  // namespace capstan::testing
