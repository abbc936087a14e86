// Every failpoint of the product, and at each of them everything that can happen to a process:
// it dies, it stands still past its lease, the step fails, the step takes longer than the lease;
// and then the same process goes on (or is started again), or another takes over. Each case is a
// system of its own (server, workers, Postgres database, simulated cluster) with six executions of
// different kinds, whose history is then checked: nothing lost, nothing stranded, no effect twice,
// no second end, and every end as if nothing had happened.
//
// In a normal run each failpoint has one case (crash, another takes over); CrashMatrixTest is all.
//   CAPSTAN_CRASH_ONLY=text   only cases whose title contains it
//   CAPSTAN_CRASH_KEEP=1      the log of every process of a failed case is printed
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/text.h"
#include "tests/proof/history.h"
#include "tests/proof/workload.h"
#include "tests/scenarios/system.h"

namespace capstan::proof {
namespace {

using ::testing::IsEmpty;
using testing::Process;
using testing::Server;
using testing::System;

// In the order an execution meets them. A failpoint that is added belongs here: the first test says
// so.
const std::vector<std::string> kServerFailpoints = {
    "submit.before_commit",
    "submit.after_commit",
    "signal.after_commit",
};
const std::vector<std::string> kWorkerFailpoints = {
    "heartbeat.before",
    "claim.before_commit",
    "claim.after_commit",
    "reap.between",
    "wake.between",
    "commit.before_commit",
    "commit.after_commit",
    "target.between",
    "runner.before_commit.STEP_VALIDATE",
    "runner.after_commit.STEP_VALIDATE",
    "runner.before_commit.STEP_CREATE",
    "runner.after_commit.STEP_CREATE",
    "job.create.before",
    "job.create.after",
    "runner.before_commit.STEP_ARM",
    "runner.after_commit.STEP_ARM",
    "job.arm.before",
    "job.arm.after",
    "signals.read",
    "runner.before_commit.STEP_WATCH",
    "runner.after_commit.STEP_WATCH",
    "runner.before_commit.STEP_VERIFY",
    "runner.after_commit.STEP_VERIFY",
    "job.remove.before",
    "runner.before_commit.STEP_REMOVE",
    "runner.after_commit.STEP_REMOVE",
    "runner.before_commit.STEP_DONE",
    "runner.after_commit.STEP_DONE",
};

constexpr absl::Duration kLeaseTtl = absl::Seconds(2);
constexpr absl::Duration kHeartbeat = absl::Milliseconds(500);
// How long a process stands still, or a step takes: past the lease.
constexpr absl::Duration kPause = absl::Seconds(4);
// Systems at the same time: a case mostly waits for a lease to run out.
constexpr int kParallel = 4;

enum class Trouble { kCrash, kPause, kError, kDelay };
enum class Successor { kSame, kOther };

struct Case {
  std::string failpoint;
  Trouble trouble;
  Successor successor;

  bool InServer() const {
    return std::find(kServerFailpoints.begin(), kServerFailpoints.end(), failpoint) !=
           kServerFailpoints.end();
  }
  std::string Action() const {
    switch (trouble) {
      case Trouble::kCrash:
        return "crash";
      case Trouble::kPause:
        return "pause";
      case Trouble::kError:
        return "error";
      case Trouble::kDelay:
        return Cat("delay=", absl::ToInt64Milliseconds(kPause));
    }
    return "";
  }
  std::string Title() const {
    return Cat(failpoint, " ", Action(), successor == Successor::kSame ? " same" : " other");
  }
};

std::set<std::string> Lines(const std::string& file) {
  std::ifstream stream(file);
  std::set<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

testing::SystemOptions Options() {
  testing::SystemOptions options;
  options.lease_ttl = kLeaseTtl;
  options.heartbeat = kHeartbeat;
  options.worker_program = "capstan-worker-faults";
  options.server_program = "capstan-server-faults";
  return options;
}

// One case from start to end.
class Round {
 public:
  explicit Round(const Case& c)
      : case_(c), system_(System::Make(Options())), workload_(*system_, WorkloadOptions()) {}

  // What went wrong, in words; empty when all promises were kept.
  std::vector<std::string> Run() {
    if (case_.InServer()) {
      RunInServer();
    } else {
      RunInWorker();
    }
    workload_.Wait();
    StopWorkers();
    if (!Hit()) problems_.push_back("the failpoint was not hit");
    const History history = workload_.Collect();
    for (const Violation& violation : Check(history)) {
      std::stringstream text;
      text << violation;
      problems_.push_back(text.str());
    }
    for (const std::string& wrong : workload_.WrongEnds(history)) problems_.push_back(wrong);
    const std::string swept =
        testing::SqlValue(system_->dsn(),
                          "SELECT count(*) FROM execution WHERE lease_id IS NULL AND state < 6 AND "
                          "id NOT IN (SELECT execution_id FROM parked)");
    if (swept != "0") problems_.push_back(Cat("stranded: ", swept));
    return problems_;
  }

  std::string Logs() const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(
             std::filesystem::path(system_->LogFile("x")).parent_path())) {
      if (entry.path().extension() != ".log") continue;
      std::ifstream stream(entry.path());
      std::stringstream text;
      text << stream.rdbuf();
      all += Cat("---- ", entry.path().filename().string(), "\n", text.str());
    }
    return all;
  }

 private:
  std::map<std::string, std::string> Trap() const {
    return {{"CAPSTAN_FAILPOINT", Cat(case_.failpoint, ":", case_.Action())},
            {"CAPSTAN_FAILPOINT_LOG", HitFile()}};
  }
  std::string HitFile() const { return system_->LogFile("hits"); }
  bool Hit() const { return Lines(HitFile()).contains(case_.failpoint); }

  // The trap's victim has reached the failpoint, or the workload is through without.
  bool AwaitHit(Process& victim) {
    testing::WaitForFile(HitFile(), victim, [&] { return Hit() || workload_.Done(); });
    return Hit();
  }
  void AwaitLog(Process& process, const std::string& name, const std::string& text) {
    const absl::Time until = absl::Now() + absl::Seconds(30);
    bool found = false;
    testing::WaitForFile(system_->LogFile("worker-1.log"), process, [&] {
      found = absl::StrContains(process.Log(), text);
      return found || absl::Now() > until;
    });
    if (!found) problems_.push_back(Cat(name, " never logged \"", text, "\""));
  }

  void RunInWorker() {
    servers_.push_back(system_->StartServer());
    workload_.AddServer(servers_.back());
    // The other worker has started before and stands by; it never sees the work before the hit.
    if (case_.successor == Successor::kOther) {
      other_ = system_->StartWorker();
      other_->Signal(SIGSTOP);
      if (!other_->WaitStopped()) problems_.push_back("the other worker ended");
    }
    workload_.Start();
    workload_.submitted().WaitForNotification();
    victim_ = system_->LaunchWorker(Trap());
    if (AwaitHit(*victim_)) {
      switch (case_.trouble) {
        case Trouble::kCrash:
          victim_->Wait();
          break;
        case Trouble::kPause:
          if (!victim_->WaitStopped()) problems_.push_back("the worker ended in its pause");
          break;
        case Trouble::kError:
        case Trouble::kDelay:
          break;
      }
    }
    GoOnWithWorkers();
  }

  void GoOnWithWorkers() {
    if (case_.successor == Successor::kOther) {
      other_->Signal(SIGCONT);
      if (case_.trouble != Trouble::kPause) return;
      AwaitLog(*other_, "the other worker", "worker lost");
      victim_->Signal(SIGCONT);
      AwaitLog(*victim_, "the paused worker", "declared dead");
      return;
    }
    if (case_.trouble == Trouble::kCrash) other_ = system_->LaunchWorker({});
    if (case_.trouble == Trouble::kPause) {
      absl::SleepFor(kPause);  // this is the pause
      victim_->Signal(SIGCONT);
    }
  }

  void RunInServer() {
    other_ = system_->StartWorker();
    servers_.push_back(system_->StartServer(Trap()));
    workload_.AddServer(servers_.back());
    Server second;
    if (case_.successor == Successor::kOther) second = system_->StartServer();
    workload_.Start();
    Process& victim = *servers_.front().process;
    const bool hit = AwaitHit(victim);
    if (hit && case_.trouble == Trouble::kCrash) victim.Wait();
    const bool paused = hit && case_.trouble == Trouble::kPause && victim.WaitStopped();
    if (case_.successor == Successor::kSame && case_.trouble == Trouble::kCrash)
      second = system_->StartServer();
    if (second.process != nullptr) {
      workload_.AddServer(second);
      servers_.push_back(std::move(second));
    }
    if (paused) {
      absl::SleepFor(kPause);  // this is the pause
      victim.Signal(SIGCONT);
    }
  }

  // Both end in good order, so that whatever a late one would still do is done before the check.
  void StopWorkers() {
    for (Process* worker : {victim_.get(), other_.get()}) {
      if (worker == nullptr || !worker->Running()) continue;
      worker->Signal(SIGCONT);
      worker->Signal(SIGTERM);
    }
    for (Process* worker : {victim_.get(), other_.get()}) {
      if (worker == nullptr) continue;
      const int status = worker->Wait();
      const bool killed = worker == victim_.get() && case_.trouble == Trouble::kCrash;
      if (!(WIFEXITED(status) && WEXITSTATUS(status) == (killed ? 137 : 0)))
        problems_.push_back(Cat("a worker ended with status ", status));
    }
  }

  const Case case_;
  std::unique_ptr<System> system_;
  std::vector<Server> servers_;
  std::unique_ptr<Process> victim_;
  std::unique_ptr<Process> other_;
  Workload workload_;
  std::vector<std::string> problems_;
};

// All cases, some at a time; prints a line each. What went wrong, all together.
std::vector<std::string> RunAll(std::vector<Case> cases) {
  if (const char* only = std::getenv("CAPSTAN_CRASH_ONLY")) {
    std::erase_if(cases, [&](const Case& c) { return !absl::StrContains(c.Title(), only); });
  }
  testing::TestPostgres::Shared();  // on this thread, which outlives the others
  std::atomic<std::size_t> next = 0;
  absl::Mutex mu;
  std::vector<std::string> problems;
  std::vector<std::thread> threads;
  for (int i = 0; i < kParallel; ++i) {
    threads.emplace_back([&] {
      for (std::size_t n = next++; n < cases.size(); n = next++) {
        const absl::Time began = absl::Now();
        Round round(cases[n]);
        const std::vector<std::string> found = round.Run();
        absl::MutexLock lock(&mu);
        std::printf("%-52s %5.1f s %s\n", cases[n].Title().c_str(),
                    absl::ToDoubleSeconds(absl::Now() - began), found.empty() ? "ok" : "FAILED");
        std::fflush(stdout);
        for (const std::string& text : found) problems.push_back(Cat(cases[n].Title(), ": ", text));
        if (!found.empty() && std::getenv("CAPSTAN_CRASH_KEEP") != nullptr)
          std::printf("%s\n", round.Logs().c_str());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto broken = [&](Property property) {
    return std::count_if(problems.begin(), problems.end(), [&](const std::string& text) {
      return absl::StrContains(text, Cat(": property ", static_cast<int>(property), " "));
    });
  };
  std::printf("cases=%zu lost=%zd stranded=%zd double effects=%zd double terminals=%zd all=%zu\n",
              cases.size(), broken(Property::kSubmitsAreKept), broken(Property::kEverythingEnds),
              broken(Property::kOneAllowedEffect), broken(Property::kLifeIsLegal), problems.size());
  return problems;
}

std::vector<std::string> AllFailpoints() {
  std::vector<std::string> all = kServerFailpoints;
  all.insert(all.end(), kWorkerFailpoints.begin(), kWorkerFailpoints.end());
  return all;
}

TEST(CrashTest, TheListOfFailpointsIsThatOfTheProduct) {
  // What an undisturbed run of all kinds hits,
  const std::unique_ptr<System> system = System::Make(Options());
  const std::string log = system->LogFile("hits");
  Workload workload(*system, WorkloadOptions());
  const Server server = system->StartServer({{"CAPSTAN_FAILPOINT_LOG", log}});
  workload.AddServer(server);
  workload.Start();
  workload.submitted().WaitForNotification();
  const auto worker = system->StartWorker({{"CAPSTAN_FAILPOINT_LOG", log}});
  workload.Wait();
  worker->Signal(SIGTERM);
  worker->Wait();
  const History history = workload.Collect();
  EXPECT_THAT(Check(history), IsEmpty());
  EXPECT_THAT(workload.WrongEnds(history), IsEmpty());
  EXPECT_THAT(Lines(log), ::testing::ContainerEq([] {
                const std::vector<std::string> all = AllFailpoints();
                return std::set<std::string>(all.begin(), all.end());
              }()));
}

TEST(CrashTest, EveryFailpointInTheSourceIsInTheList) {
  // and what the source names, hit or not.
  const std::vector<std::string> all = AllFailpoints();
  const std::regex call(R"re(HitFailpoint\((?:absl::StrCat\(|Cat\()?"([^"]+)")re");
  int found = 0;
  for (const char* folder : {"server", "storage", "worker"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(Cat(CAPSTAN_SOURCE_DIR, "/", folder))) {
      if (entry.path().extension() != ".cc") continue;
      std::ifstream stream(entry.path());
      std::stringstream text;
      text << stream.rdbuf();
      const std::string source = text.str();
      for (std::sregex_iterator hit(source.begin(), source.end(), call), end; hit != end; ++hit) {
        ++found;
        const std::string name = (*hit)[1];
        // Of tasks: tests/scenarios/task_crash_test.cc.
        if (name.starts_with("task.") || name.starts_with("transcript.")) continue;
        EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                                [&](const std::string& known) { return known.starts_with(name); }))
            << name << " in " << entry.path();
      }
    }
  }
  EXPECT_GE(found, 15);
}

TEST(CrashTest, AProcessThatDiesAtAnyFailpointIsReplaced) {
  std::vector<Case> cases;
  for (const std::string& failpoint : AllFailpoints())
    cases.push_back({failpoint, Trouble::kCrash, Successor::kOther});
  EXPECT_THAT(RunAll(cases), IsEmpty());
}

TEST(CrashMatrixTest, EveryTroubleAtEveryFailpointIsSurvived) {
  std::vector<Case> cases;
  for (const std::string& failpoint : AllFailpoints()) {
    for (Trouble trouble : {Trouble::kCrash, Trouble::kPause, Trouble::kError, Trouble::kDelay}) {
      for (Successor successor : {Successor::kSame, Successor::kOther})
        cases.push_back({failpoint, trouble, successor});
    }
  }
  EXPECT_THAT(RunAll(cases), IsEmpty());
}

}  // namespace
}  // namespace capstan::proof
