// Many callers at once on a few targets, with people who approve, reject, cancel and stop, and
// workers that are killed meanwhile; all of it drawn from a seed. Whatever happens, the checker of
// histories finds nothing, and everything ends.
//   CAPSTAN_RANDOM_SEED=n        the same draws again (not the same interleaving)
//   CAPSTAN_RANDOM_EXECUTIONS=n  how many; 200 without
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/machine/states.h"
#include "core/text.h"
#include "tests/proof/history.h"
#include "tests/proof/life.h"
#include "tests/proof/workload.h"
#include "tests/scenarios/operations.h"
#include "tests/scenarios/system.h"

namespace capstan::proof {
namespace {

using ::testing::IsEmpty;
using testing::Server;
using testing::System;
using v1::Execution;

constexpr int kTargets = 50;
constexpr int kCallers = 20;
constexpr int kNeedsApproval = 4;  // replicas

int FromEnvironment(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

std::string TargetOf(int number) { return Cat("web-", number); }

// What one caller asks for, one after the other.
class Caller {
 public:
  Caller(int number, int seed) : name_(Cat("caller-", number)), random_(seed + number) {}

  void Run(Server& server, int requests, std::vector<Submitted>& submits) {
    for (int i = 0; i < requests; ++i) {
      const v1::ExecuteActionRequest request = Draw();
      const absl::StatusOr<std::string> execution = testing::Submit(server, request, name_);
      submits.push_back({request.request_id(),
                         execution.ok() ? Submitted::Reply::kAccepted : Submitted::Reply::kUnknown,
                         execution.value_or("")});
      if (execution.ok() && OneIn(12)) (void)testing::Cancel(server, *execution, "changed my mind");
    }
  }

 private:
  int Below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  bool OneIn(int many) { return Below(many) == 0; }

  v1::ExecuteActionRequest Draw() {
    const std::string target = TargetOf(OneIn(2) ? Below(5) : Below(kTargets));
    if (OneIn(10)) {
      return testing::Request("RolloutStatus", {{"namespace", "default"}, {"deployment", target}});
    }
    v1::ExecuteActionRequest request = testing::Scale(1 + Below(4), "default", target);
    if (OneIn(15)) request.set_dry_run(true);
    if (OneIn(6)) request.set_on_conflict(Execution::ON_CONFLICT_REJECT);
    if (OneIn(6)) request.set_on_conflict(Execution::ON_CONFLICT_COALESCE);
    return request;
  }

  const std::string name_;
  std::mt19937 random_;
};

// Follows all executions and does what people and fate do, each time something happens.
class Driver {
 public:
  Driver(System& system, Server& server, int executions, int seed)
      : system_(system), server_(server), executions_(executions), random_(seed) {
    StartWorker();
    StartWorker();
  }

  // Until so many have ended, or patience is over.
  void Run(absl::Duration patience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    const auto reader = server_.executions->WatchExecutions(&context, {});
    v1::WatchExecutionsResponse response;
    while (static_cast<int>(ended_.size()) < executions_ && reader->Read(&response)) {
      const v1::ExecutionUpdate& update = response.update();
      if (update.has_snapshot() && machine::IsTerminal(update.snapshot().state()))
        ended_.insert(update.snapshot().name());
      if (update.has_event()) OnEvent(update.event());
      Stop();
      Kill();
    }
    context.TryCancel();
    reader->Finish();
    Lift();
  }

  int ended() const { return static_cast<int>(ended_.size()); }
  std::string Summary() const {
    std::string text = Cat(kills_, " kills, ", stops_, " stops, ", votes_, " votes;");
    for (const auto& [end, count] : ends_) Append(&text, " ", end, " ", count);
    return text;
  }

 private:
  bool OneIn(int many) { return random_() % static_cast<unsigned>(many) == 0; }

  void OnEvent(const v1::ExecutionEvent& event) {
    if (event.has_approval_requested()) {
      const v1::ApprovalRequested& asked = event.approval_requested();
      ++votes_;
      (void)testing::Decide(server_, event.execution(), asked.plan_digest(), !OneIn(6),
                            Cat("approver-", random_() % 3));
    }
    if (event.has_job_armed() && OneIn(20))
      (void)testing::Cancel(server_, event.execution(), "that was wrong");
    if (!event.has_state_changed() || !machine::IsTerminal(event.state_changed().to())) return;
    ended_.insert(event.execution());
    const v1::StateChanged& end = event.state_changed();
    ++ends_[Cat(machine::StateName(end.to()), "/",
                machine::FailureReasonName(end.failure_reason()))];
  }

  // A stop every tenth part of the way, lifted when something has happened under it.
  void Stop() {
    if (!stop_.empty()) {
      if (++seen_under_stop_ > 5) Lift();
      return;
    }
    if (ended() < (stops_ + 1) * executions_ / 10) return;
    const auto stop = testing::Stop(
        server_, OneIn(2) ? testing::StopAll() : testing::StopAction("ScaleDeployment"), OneIn(3));
    if (!stop.ok()) return;
    stop_ = stop->stop().name();
    seen_under_stop_ = 0;
    ++stops_;
  }

  void Lift() {
    if (stop_.empty()) return;
    if (testing::Lift(server_, stop_).ok()) stop_.clear();
  }

  // A worker every fourth part of the way.
  void Kill() {
    if (ended() < (2 * kills_ + 1) * executions_ / 8) return;
    ++kills_;
    workers_.front()->Signal(SIGKILL);
    workers_.front()->Wait();
    workers_.erase(workers_.begin());
    StartWorker();
  }

  void StartWorker() {
    workers_.push_back(
        system_.StartWorker({}, {"--kubernetes.qps=2000", "--kubernetes.burst=2000"}));
  }

  System& system_;
  Server& server_;
  const int executions_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<testing::Process>> workers_;
  std::set<std::string> ended_;
  std::map<std::string, int> ends_;
  std::string stop_;
  int seen_under_stop_ = 0;
  int stops_ = 0;
  int kills_ = 0;
  int votes_ = 0;
};

// The longest time between two events of one execution: what stalls shows here first.
std::string LongestSilence(const History& history) {
  std::map<std::string, const v1::ExecutionEvent*> last;
  absl::Duration longest = absl::ZeroDuration();
  std::string text;
  for (const v1::ExecutionEvent& event : history.events) {
    const v1::ExecutionEvent*& before = last[event.execution()];
    if (before != nullptr && TimeOf(event) - TimeOf(*before) > longest) {
      longest = TimeOf(event) - TimeOf(*before);
      text = Cat(absl::FormatDuration(longest), " of ", event.execution(), " between event ",
                 before->seq(), " (", before->ShortDebugString().substr(0, 400), ") and (",
                 event.ShortDebugString().substr(0, 400), ")");
    }
    before = &event;
  }
  return text;
}

TEST(RandomTest, S2_9_S2_56_ManyCallersOnAFewTargetsBreakNoPromise) {
  const int executions = FromEnvironment("CAPSTAN_RANDOM_EXECUTIONS", 200);
  const int seed =
      FromEnvironment("CAPSTAN_RANDOM_SEED", static_cast<int>(std::random_device()() % 1'000'000));
  std::printf("seed %d, %d executions\n", seed, executions);
  testing::SystemOptions options;
  options.named_callers = true;
  const auto system = System::Make(options);
  NoteWrites(*system);
  for (int i = 0; i < kTargets; ++i) system->kube().AddDeployment("default", TargetOf(i), 1);
  testing::WriteBundle(*system, "four-eyes",
                       Cat("violations := set()\n\nobligations contains {\"type\": \"approval\", "
                           "\"quorum\": 1} if input.parameters.replicas >= ",
                           kNeedsApproval, "\n"));
  Server server = system->StartServer({}, {"--watch.heartbeat_interval=200ms"});
  std::vector<std::vector<Submitted>> submits(kCallers);
  History history;
  {
    Driver driver(*system, server, executions, seed);
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      const int share = executions / kCallers + (i < executions % kCallers ? 1 : 0);
      callers.emplace_back([&, i, share] { Caller(i, seed).Run(server, share, submits[i]); });
    }
    driver.Run(absl::Seconds(60) + executions * absl::Milliseconds(300));
    for (std::thread& caller : callers) caller.join();
    std::printf("%s\n", driver.Summary().c_str());
    EXPECT_EQ(driver.ended(), executions);
  }
  history = CollectFrom(*system);
  for (const std::vector<Submitted>& some : submits)
    history.submits.insert(history.submits.end(), some.begin(), some.end());
  history.load_floor = executions;

  std::printf("longest silence: %s\n", LongestSilence(history).c_str());
  EXPECT_THAT(Check(history), IsEmpty()) << "seed " << seed;
  EXPECT_THAT(testing::AuditProblems(server), IsEmpty());
  for (const auto& [name, target] : testing::Targets(server)) {
    EXPECT_EQ(target.holder(), "") << name;
    EXPECT_THAT(target.waiting(), IsEmpty()) << name;
  }
}

}  // namespace
}  // namespace capstan::proof
