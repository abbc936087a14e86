// The release worker, unchanged, killed (or stopped past its lease) at the Nth of its calls that
// send, receive or write, for N = 1, 2, 3, … until one action is through before the Nth call comes.
// Another worker takes over; the history of each run is checked. strace does the counting, and it
// counts by thread: a run ends at whichever thread comes to its own Nth call first, so not every
// call of every thread is a boundary. The named failpoints (crash_test) reach those inside; this
// sweep needs no knowledge of where they are. The distinct boundaries that were hit are printed.
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

constexpr char kCalls[] = "sendto,recvfrom,sendmsg,recvmsg,write,writev";
constexpr char kStrace[] = "/usr/bin/strace";
constexpr absl::Duration kPause = absl::Seconds(4);  // twice the lease
constexpr int kParallel = 4;
constexpr int kMostCalls = 1000;  // an action that makes more is not what this was written for

// What the thread was about to do whose Nth call this is: the last line of the first thread in the
// trace that has that many, told apart by whom it talks to and about what.
std::string BoundaryIn(const std::string& trace, int nth, int kubernetes_port) {
  std::ifstream file(trace);
  std::map<std::string, int> calls;
  const std::regex call(R"(^(\d+) +(?:[\d.]+ )?(\w+)\((\d+)<([^>]*)>?(.*))");
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_search(line, match, call)) continue;
    if (++calls[match[1]] < nth) continue;
    const std::string name = match[2], peer = match[4], rest = match[5];
    std::smatch what;
    if (absl::StrContains(line, Cat(":", kubernetes_port))) {
      static const std::regex request(R"re("(GET|POST|PATCH|PUT|DELETE) ([^ ?"]*))re");
      if (!std::regex_search(rest, what, request)) return Cat(name, " kubernetes, a reply");
      static const std::regex number(R"(capstan-[0-9a-f]{32}[-\w]*)");
      return Cat(name, " kubernetes ", what[1].str(), " ",
                 std::regex_replace(what[2].str(), number, "NAME"));
    }
    if (absl::StrContains(peer, "UNIX")) {
      static const std::regex statement(R"re("B[^"]*?([a-z]+_[a-z_]+))re");
      if (std::regex_search(rest, what, statement)) return Cat(name, " postgres ", what[1].str());
      return Cat(name, name.starts_with("recv") ? " postgres, a reply" : " postgres, other");
    }
    if (absl::StrContains(peer, ".log")) return Cat(name, " its log");
    return Cat(name, " ", absl::StrContains(peer, ":[") ? "a socket" : "a pipe or event");
  }
  return "the last call";
}

struct Run {
  bool hit = false;
  std::string boundary;
  std::vector<std::string> problems;
};

// One action with a worker that gets `signal` at its nth call.
Run RunOnce(int signal, int nth) {
  Run run;
  const std::unique_ptr<System> system = System::Make();
  WorkloadOptions options;
  options.only_one = true;
  Workload workload(*system, options);
  const Server server = system->StartServer();
  workload.AddServer(server);
  workload.Start();
  workload.submitted().WaitForNotification();
  const std::string trace = system->LogFile("trace");
  // As a grandchild (-D), so that the worker itself is our child.
  const auto victim = system->LaunchWorker(
      {}, {},
      {kStrace, "-D", "-f", "-qq", "-yy", "-s", "120", "-o", trace, "-e", Cat("trace=", kCalls),
       "-e", Cat("inject=", kCalls, ":signal=", signal, ":when=", nth)});
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
  if (run.hit) run.boundary = BoundaryIn(trace, nth, system->kube().port());
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
void Sweep(int signal) {
  testing::TestPostgres::Shared();  // on this thread, which outlives the others
  std::map<std::string, int> boundaries;
  std::vector<std::string> problems;
  int hits = 0;
  bool through = false;
  for (int first = 1; !through && first < kMostCalls; first += kParallel) {
    std::vector<Run> runs(kParallel);
    std::vector<std::thread> threads;
    for (int i = 0; i < kParallel; ++i)
      threads.emplace_back([&, i] { runs[i] = RunOnce(signal, first + i); });
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
  std::printf("signal=%d runs hit=%d distinct boundaries=%zu broken promises=%zu\n", signal, hits,
              boundaries.size(), problems.size());
  EXPECT_TRUE(through) << "still hit after " << kMostCalls << " calls";
  EXPECT_GE(hits, 20) << "too few to show anything; is " << kStrace << " there?";
  EXPECT_THAT(problems, IsEmpty());
}

TEST(BlackboxTest, AWorkerKilledAtAnyOfItsCallsIsReplaced) { Sweep(SIGKILL); }

TEST(BlackboxTest, AWorkerStoppedPastItsLeaseAtAnyOfItsCallsDoesNoHarmWhenItGoesOn) {
  Sweep(SIGSTOP);
}

}  // namespace
}  // namespace capstan::proof
