// Tracing must never be in the way: where no collector is configured nobody looks for one, and one
// that is away or does not answer costs the executions nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <regex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/scenarios/free_port.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSubsetOf;
using v1::Execution;

constexpr char kStrace[] = "/usr/bin/strace";
constexpr int kActions = 5;
// The exporter gives a batch so long (core/telemetry/tracing_settings.h).
constexpr absl::Duration kExportTimeout = absl::Seconds(3);

std::map<std::string, std::string> Endpoint(int port) {
  return {{"OTEL_EXPORTER_OTLP_ENDPOINT", absl::StrCat("http://127.0.0.1:", port)},
          {"OTEL_BSP_SCHEDULE_DELAY", "50"},
          {"ASAN_OPTIONS", "detect_leaks=0"}};  // which strace would not let work
}

// The TCP ports that a process connects to from now until it ends.
class Connections {
 public:
  Connections(Process& process, const std::string& file) : process_(process), file_(file) {
    strace_ = *Process::Start(
        {kStrace, "-f", "-e", "trace=connect", "-o", file, "-p", absl::StrCat(process.pid())}, {},
        file + ".log");
    EXPECT_TRUE(strace_->WaitForLog("attached")) << strace_->Log();
  }

  std::set<int> UntilTheEnd() {
    EXPECT_EQ(process_.Wait(), 0) << process_.Log();
    strace_->Wait();
    std::set<int> ports;
    std::ifstream trace(file_);
    static const std::regex port(R"(sin6?_port=htons\((\d+)\))");
    for (std::string line; std::getline(trace, line);) {
      std::smatch found;
      if (std::regex_search(line, found, port)) ports.insert(std::stoi(found[1]));
    }
    return ports;
  }

 private:
  Process& process_;
  const std::string file_;
  std::unique_ptr<Process> strace_;
};

struct Seen {
  std::set<int> server;  // ports it connected to
  std::set<int> worker;
  int kubernetes = 0;  // the port that a worker has to connect to
  int succeeded = 0;
  absl::Duration running;  // kActions actions, one after the other
  absl::Duration ending;   // of both, which send what they have
};

Seen RunActions(const std::map<std::string, std::string>& env) {
  const auto system = System::Make();
  Server server = system->StartServer(env);
  const auto worker = system->StartWorker(env);
  Connections of_server(*server.process, system->LogFile("server.connects"));
  Connections of_worker(*worker, system->LogFile("worker.connects"));
  Seen seen;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < kActions; ++i) {
    const Streamed run = Execute(server, Scale(2 + i));
    if (run.End().to() == Execution::STATE_SUCCEEDED) ++seen.succeeded;
  }
  const absl::Time end = absl::Now();
  for (Process* process : {worker.get(), server.process.get()}) process->Signal(SIGTERM);
  seen.worker = of_worker.UntilTheEnd();
  seen.server = of_server.UntilTheEnd();
  seen.running = end - begin;
  seen.ending = absl::Now() - end;
  seen.kubernetes = system->kube().port();
  return seen;
}

// Three installations at the same time: without a collector, with one that is away, with one that
// takes connections and never answers.
class NoCollectorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    refuses_ = new FreePort();
    silent_ = new FreePort();
    silent_->ListenWithoutAnswer();
    TestPostgres::Shared();
    std::thread one([] { without_ = RunActions({{"ASAN_OPTIONS", "detect_leaks=0"}}); });
    std::thread two([] { away_ = RunActions(Endpoint(refuses_->number())); });
    std::thread three([] { hanging_ = RunActions(Endpoint(silent_->number())); });
    for (std::thread* thread : {&one, &two, &three}) thread->join();
  }

  static void TearDownTestSuite() {
    delete refuses_;
    delete silent_;
  }

  static FreePort* refuses_;
  static FreePort* silent_;
  static Seen without_;
  static Seen away_;
  static Seen hanging_;
};

FreePort* NoCollectorTest::refuses_ = nullptr;
FreePort* NoCollectorTest::silent_ = nullptr;
Seen NoCollectorTest::without_;
Seen NoCollectorTest::away_;
Seen NoCollectorTest::hanging_;

TEST_F(NoCollectorTest, WithoutAnEndpointNobodyLooksForACollector) {
  EXPECT_EQ(without_.succeeded, kActions);
  EXPECT_THAT(without_.server, IsEmpty());
  EXPECT_THAT(without_.worker, IsSubsetOf({without_.kubernetes}));
}

TEST_F(NoCollectorTest, WithAnEndpointBothProgramsConnectToIt) {
  EXPECT_THAT(away_.server, ElementsAre(refuses_->number()));
  EXPECT_THAT(away_.worker, Contains(refuses_->number()));
  EXPECT_THAT(hanging_.server, ElementsAre(silent_->number()));
  EXPECT_THAT(hanging_.worker, Contains(silent_->number()));
}

// Executions that waited for the exporter would wait for kExportTimeout each.
TEST_F(NoCollectorTest, ACollectorThatIsAwayCostsTheExecutionsNothing) {
  EXPECT_EQ(away_.succeeded, kActions);
  EXPECT_LT(away_.running, 2 * without_.running + kExportTimeout);
  EXPECT_LT(away_.ending, without_.ending + 4 * kExportTimeout);
}

TEST_F(NoCollectorTest, ACollectorThatDoesNotAnswerCostsTheExecutionsNothing) {
  EXPECT_EQ(hanging_.succeeded, kActions);
  EXPECT_LT(hanging_.running, 2 * without_.running + kExportTimeout);
  EXPECT_LT(hanging_.ending, without_.ending + 4 * kExportTimeout);
}

}  // namespace
}  // namespace capstan::testing
