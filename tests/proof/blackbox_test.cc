// The release worker, unchanged, killed (or stopped past its lease) at the Nth of its calls that
// send or receive, for N = 1, 2, 3, … until one action is through before the Nth call comes.
// Another worker takes over; the history of each run is checked. strace does the counting, from a
// moment when the worker is idle, and it counts by thread: a run ends at whichever thread comes to
// its own Nth call first, so not every call of every thread is a boundary. Sending and receiving
// are swept apart, which makes different threads the first. The named failpoints (crash_test) reach
// the places inside; this sweep needs no knowledge of where they are. The distinct boundaries that
// were hit are printed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
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

constexpr char kSends[] = "sendto,sendmsg,write,writev";
constexpr char kReceives[] = "recvfrom,recvmsg";
constexpr char kStrace[] = "/usr/bin/strace";
constexpr absl::Duration kPause = absl::Seconds(4);  // twice the lease
constexpr int kParallel = 4;
constexpr int kMostCalls = 1000;  // an action that makes more is not what this was written for

// Whom a call talks to and about what, from its line in the trace.
std::string Subject(const std::string& line, int kubernetes_port) {
  static const std::regex request(R"re("(GET|POST|PATCH|PUT|DELETE) ([^ ?"]*))re");
  static const std::regex job(R"(capstan-[0-9a-f]{32}[-\w]*)");
  static const std::regex statement(R"re("[BP]\\[^"]*?\\0([a-z]+_[a-z_]+|commit|wake))re");
  static const std::regex query(R"re("Q[^"]*?([A-Z]{4,}))re");
  std::smatch what;
  if (absl::StrContains(line, Cat(":", kubernetes_port))) {
    if (!std::regex_search(line, what, request)) return "kubernetes";
    return Cat("kubernetes ", what[1].str(), " ", std::regex_replace(what[2].str(), job, "NAME"));
  }
  if (absl::StrContains(line, "<UNIX")) {
    const bool named =
        std::regex_search(line, what, statement) || std::regex_search(line, what, query);
    return Cat("postgres ", named ? what[1].str() : "");
  }
  if (absl::StrContains(line, ".log>")) return "its log";
  return absl::StrContains(line, ":[") ? "another socket" : "a pipe or event";
}

// What the thread was about to do whose Nth call of `calls` this is. Replies are named by what was
// sent last on the same connection.
std::string BoundaryIn(const std::string& trace, const std::string& calls, int nth,
                       int kubernetes_port) {
  const std::set<std::string> counted = absl::StrSplit(calls, ',');
  std::ifstream file(trace);
  std::map<std::string, int> count;         // by thread
  std::map<std::string, std::string> sent;  // by connection
  const std::regex call(R"(^(\d+) +(\w+)\((\d+)<)");
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_search(line, match, call)) continue;
    const std::string name = match[2], connection = match[3];
    const bool receives = name.starts_with("recv");
    if (!receives) sent[connection] = Subject(line, kubernetes_port);
    if (!counted.contains(name) || ++count[match[1]] < nth) continue;
    return receives ? Cat(name, " reply to ", sent[connection])
                    : Cat(name, " ", Subject(line, kubernetes_port));
  }
  return "a call that was not written down any more";
}

struct Run {
  bool hit = false;
  std::string boundary;
  std::vector<std::string> problems;
};

// One action with a worker that gets `signal` at its nth call.
Run RunOnce(const std::string& calls, int signal, int nth) {
  Run run;
  const std::unique_ptr<System> system = System::Make();
  WorkloadOptions options;
  options.only_one = true;
  Workload workload(*system, options);
  const Server server = system->StartServer();
  workload.AddServer(server);
  const auto victim = system->StartWorker();
  const std::string trace = system->LogFile("trace");
  const auto strace = Process::Start(
      {kStrace, "-f", "-yy", "-s", "400", "-o", trace, "-e", Cat("trace=", kSends, ",", kReceives),
       "-e", Cat("inject=", calls, ":signal=", signal, ":when=", nth), "-p", Cat(victim->pid())},
      {}, system->LogFile("strace.log"));
  if (!strace.ok() || !(*strace)->WaitForLog("attached")) {
    run.problems.push_back(Cat("no strace: ", strace.ok() ? (*strace)->Log() : ""));
    return run;
  }
  workload.Start();
  std::thread end([&] {  // when the action is through
    workload.Wait();
    victim->Signal(SIGTERM);
  });
  std::unique_ptr<Process> other;
  if (signal == SIGKILL) {
    const int status = victim->Wait();
    run.hit = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !workload.Done();
    if (run.hit) other = system->LaunchWorker({});
    if (!WIFSIGNALED(status) && status != 0)
      run.problems.push_back(Cat("the worker ended with status ", status, "\n", victim->Log()));
    if (!run.hit && !workload.Done()) other = system->LaunchWorker({});
  } else {
    run.hit = victim->WaitStopped() && !workload.Done();
    if (run.hit) {
      other = system->LaunchWorker({});
      absl::SleepFor(kPause);  // this is the pause
    }
    // Other threads come to their Nth call later; they need not wait.
    do {
      victim->Signal(SIGCONT);
    } while (victim->WaitStopped());
    if (const int status = victim->Wait(); status != 0)
      run.problems.push_back(Cat("the worker ended with status ", status, "\n", victim->Log()));
  }
  end.join();
  if (other != nullptr) {
    other->Signal(SIGTERM);
    other->Wait();
  }
  if (run.hit) run.boundary = BoundaryIn(trace, calls, nth, system->kube().port());
  const History history = workload.Collect();
  for (const Violation& violation : Check(history)) {
    std::stringstream text;
    text << violation;
    run.problems.push_back(text.str());
  }
  for (const std::string& wrong : workload.WrongEnds(history)) run.problems.push_back(wrong);
  return run;
}

// N = 1, 2, … a few at a time, until one is not hit.
void Sweep(const std::string& calls, int signal) {
  testing::TestPostgres::Shared();  // on this thread, which outlives the others
  std::map<std::string, int> boundaries;
  std::vector<std::string> problems;
  int hits = 0;
  bool through = false;
  for (int first = 1; !through && first < kMostCalls; first += kParallel) {
    std::vector<Run> runs(kParallel);
    std::vector<std::thread> threads;
    for (int i = 0; i < kParallel; ++i)
      threads.emplace_back([&, i] { runs[i] = RunOnce(calls, signal, first + i); });
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < kParallel; ++i) {
      for (const std::string& text : runs[i].problems)
        problems.push_back(Cat("N=", first + i, " (", runs[i].boundary, "): ", text));
      through = through || !runs[i].hit;
      if (!runs[i].hit) continue;
      ++hits;
      ++boundaries[runs[i].boundary];
    }
  }
  for (const auto& [boundary, times] : boundaries)
    std::printf("%4d x %s\n", times, boundary.c_str());
  std::printf("%s signal=%d runs hit=%d distinct boundaries=%zu broken promises=%zu\n",
              calls.c_str(), signal, hits, boundaries.size(), problems.size());
  EXPECT_TRUE(through) << "still hit after " << kMostCalls << " calls";
  EXPECT_GE(hits, 5) << "too few to show anything";
  EXPECT_THAT(problems, IsEmpty());
}

TEST(BlackboxTest, AWorkerKilledBeforeItSendsIsReplaced) { Sweep(kSends, SIGKILL); }

TEST(BlackboxTest, AWorkerKilledBeforeItReceivesIsReplaced) { Sweep(kReceives, SIGKILL); }

TEST(BlackboxTest, AWorkerStoppedPastItsLeaseBeforeItSendsDoesNoHarmWhenItGoesOn) {
  Sweep(kSends, SIGSTOP);
}

TEST(BlackboxTest, AWorkerStoppedPastItsLeaseBeforeItReceivesDoesNoHarmWhenItGoesOn) {
  Sweep(kReceives, SIGSTOP);
}

}  // namespace
}  // namespace capstan::proof
