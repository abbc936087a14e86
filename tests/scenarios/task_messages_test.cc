// Tasks whose model is reached over HTTP (messages_api), and a provider that fails in every way it
// can: limits, overload, broken streams, bad answers, and workers that die at any moment of a turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/scenarios/model_tasks.h"
#include "tests/support/model_stub/message_frames.h"

namespace capstan::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using v1::Execution;
using v1::ExecutionEvent;
using v1::IterationFinished;
using v1::TranscriptEntry;

class TaskMessagesTest : public ::testing::Test {
 protected:
  // One step that says complete in the end, within `iterations`.
  Streamed RunJudge(int iterations = 20) {
    PutWorkflow(on_.server, WithSchema(absl::StrCat(R"(
name: judge
steps:
  - name: judge
    max_iterations: )",
                                                    iterations, R"(
    llm: {prompt: "Judge {{ITERATION}}.", schema: BASE}
)")));
    if (on_.workers.empty()) on_.StartWorker();
    return RunToEnd(on_.server, Task("judge"), "alice");
  }
  std::vector<TranscriptEntry> Transcript(const Streamed& run) {
    return ReadTranscript(on_.server, run.snapshot->name());
  }
  // What one request said, all of its messages.
  std::string Request(std::size_t number) { return on_.stub->Requests()[number].body.dump(); }
  std::size_t Messages(std::size_t number) {
    return on_.stub->Requests()[number].body["messages"].size();
  }

  ModelSystem on_{"messages_api"};
};

// ---- limits and overload

TEST_F(TaskMessagesTest, I1_ARateLimitIsWaitedForAsTheProviderSays) {
  StubReply limited = Refuses(429, "rate_limit_error");
  limited.headers["retry-after"] = "1";
  on_.stub->Push(limited);
  on_.stub->Push(Says({{"status", "complete"}}));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("judge 1.1 COMPLETE"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(2));
  EXPECT_THAT(Said(Transcript(run), TranscriptEntry::ROLE_NOTE),
              HasSubstr("rate_limited: try 2 after 1s"));
}

TEST_F(TaskMessagesTest, I1_ALongRateLimitIsWaitedForWithoutAWorker) {
  StubReply limited = Refuses(429, "rate_limit_error");
  limited.headers["retry-after"] = "3600";
  on_.stub->SetDefault(limited);
  PutWorkflow(on_.server, WithSchema(R"(
name: judge
timeout: 5h
steps: [{name: judge, timeout: 3h, turn_timeout: 2h, llm: {prompt: "Judge.", schema: BASE}}]
)"));
  on_.StartWorker();
  const auto name = Submit(on_.server, Task("judge"), "alice");
  ASSERT_TRUE(name.ok()) << name.status();

  const Streamed until = WatchUntil(on_.server, *name, [](const ExecutionEvent& event) {
    return event.state_changed().to() == Execution::STATE_PENDING &&
           event.state_changed().has_retry_time();
  });

  const ExecutionEvent& parked = until.events.back();
  ASSERT_TRUE(parked.state_changed().has_retry_time());
  EXPECT_GE(parked.state_changed().retry_time().seconds() - parked.time().seconds(), 3590);
  EXPECT_THAT(IterationsOf(until.events), ElementsAre("judge 1.1 ERROR RATE_LIMITED"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(1));
  ASSERT_TRUE(Cancel(on_.server, *name, "seen").ok());
  EXPECT_EQ(Watch(on_.server, *name).End().to(), Execution::STATE_CANCELLED);
}

TEST_F(TaskMessagesTest, I2_ASpendLimitEndsTheTaskAndIsNotTriedAgain) {
  on_.stub->SetDefault(
      Refuses(429, "rate_limit_error", "You have reached your enforced_spend_limit_reached"));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_BUDGET_EXCEEDED)
      << run.End().message();
  EXPECT_THAT(on_.stub->Requests(), SizeIs(1));
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("judge 1.1 ERROR SPEND_LIMIT"));
}

TEST_F(TaskMessagesTest, I3_AnOverloadedProviderIsAskedFiveTimesThenTheStepIsTriedLater) {
  StubReply overloaded = Refuses(529, "overloaded_error", "Overloaded");
  overloaded.headers["retry-after-ms"] = "10";
  for (int i = 0; i < 5; ++i) on_.stub->Push(overloaded);
  on_.stub->Push(Says({{"status", "complete"}}));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("judge 1.1 ERROR TRANSIENT", "judge 2.1 COMPLETE"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(6));
  const std::vector<TranscriptEntry> transcript = Transcript(run);
  EXPECT_EQ(CountOf(transcript, TranscriptEntry::ROLE_NOTE), 4);
  EXPECT_THAT(Said(transcript, TranscriptEntry::ROLE_NOTE), HasSubstr("transient: try 5 after"));
  EXPECT_THAT(UsageOf(run.events), SizeIs(1)) << "what was refused is not billed";
}

TEST_F(TaskMessagesTest, I8_APromptThatIsTooLongFailsAtOnce) {
  on_.stub->SetDefault(
      Refuses(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PROVIDER) << run.End().message();
  EXPECT_THAT(run.End().message(), HasSubstr("prompt is too long"));
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("judge 1.1 ERROR CONTEXT_OVERFLOW"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(1));
}

// ---- answers

TEST_F(TaskMessagesTest, S4_11_S4_20_I5_AnAnswerThatCannotBeUsedIsRepairedOnceThenFails) {
  on_.stub->Push({.text = "phase_complete: true, everything is complete"});
  on_.stub->Push(Says({{"status", "done"}}));
  on_.stub->SetDefault(Says({{"status", "complete"}}));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_INVALID_ANSWER);
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("judge 1.1 ERROR INVALID_ANSWER"));
  ASSERT_THAT(on_.stub->Requests(), SizeIs(2)) << "one repair and no more";
  EXPECT_THAT(Request(1), HasSubstr("Your last answer cannot be used"));
  EXPECT_EQ(CountOf(Transcript(run), TranscriptEntry::ROLE_RESPONSE), 2);
  EXPECT_EQ(Get(on_.server, run.snapshot->name()).usage().cost_microusd(),
            CostOf(on_.stub->Billed()));
}

TEST_F(TaskMessagesTest, S4_11_I5_ARepairedAnswerCountsAndBothTurnsAreBilled) {
  on_.stub->Push({.text = "It looks good to me."});
  on_.stub->Push(Says({{"status", "complete"}, {"summary", "good"}}));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events), ElementsAre("judge 1.1 COMPLETE"));
  ASSERT_THAT(on_.stub->Requests(), SizeIs(2));
  EXPECT_EQ(Messages(1), 3u) << "the repair goes on in the conversation";
  EXPECT_EQ(Get(on_.server, run.snapshot->name()).usage().cost_microusd(),
            CostOf(on_.stub->Billed()));
}

TEST_F(TaskMessagesTest, I6_TheSameAnswerForEverIsNoProgress) {
  on_.stub->SetDefault(Says({{"status", "continue"}, {"reason", "nearly"}}));

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ITERATION_LIMIT);
  EXPECT_THAT(run.End().message(), HasSubstr("no progress"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(3));
}

TEST_F(TaskMessagesTest, I6_AlwaysSomethingElseEndsAtTheIterationLimit) {
  for (const char* what : {"one", "two", "three", "four", "five"})
    on_.stub->Push(Says({{"status", "continue"}, {"reason", what}}));

  const Streamed run = RunJudge(/*iterations=*/4);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_ITERATION_LIMIT);
  EXPECT_THAT(run.End().message(), HasSubstr("not complete after 4 iterations"));
  EXPECT_THAT(on_.stub->Requests(), SizeIs(4));
}

TEST_F(TaskMessagesTest, S4_17_WhatGoesBackBeginsANewConversation) {
  on_.stub->Push(Says({{"status", "continue"}, {"reason", "not-to-be-seen-again"}}));
  on_.stub->Push(Says({{"status", "complete"}}));
  on_.stub->Push(Says({{"status", "complete"}}));
  PutWorkflow(on_.server, WithSchema(R"(
name: back
max_retries: 1
steps:
  - {name: write, llm: {prompt: "Go.{{#if RETRY_REASON}} Again: {{RETRY_REASON}}{{/if}}", schema: BASE}}
  - {name: look, depends_on: [write], retry_from: write, command: {argv: ["false"]}}
)"));
  on_.StartWorker();

  const Streamed run = RunToEnd(on_.server, Task("back"), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_RETRY_LIMIT)
      << run.End().message();
  ASSERT_THAT(on_.stub->Requests(), SizeIs(3));
  EXPECT_EQ(Messages(1), 3u) << "iterations go on in one conversation";
  EXPECT_EQ(Messages(2), 1u);
  EXPECT_THAT(Request(2),
              AllOf(HasSubstr("Again: exit code 1"), Not(HasSubstr("not-to-be-seen-again"))));
}

// ---- streams that break

// An answer of several lines, so that pieces of it are told apart.
StubReply Lines() { return Says({{"status", "complete"}}, "one\ntwo\nthree\n"); }
int FramesOf(const StubReply& reply) {
  return static_cast<int>(StreamFrames(reply, "claude-haiku-4-5", 1).size());
}

// Steps s0, s1, … side by side, each with its name in its prompt.
std::string SideBySide(int count) {
  std::string yaml = "name: side-by-side\nmax_cost_microusd: 10000000\nsteps:\n";
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&yaml, "  - {name: s", i, ", llm: {prompt: \"I am s", i,
                    ".\", schema: BASE, max_cost_microusd: 100000}}\n");
  }
  return WithSchema(yaml);
}

// The step that a request came from.
std::string StepOf(const StubRequest& request) {
  const std::string text = request.body["messages"].dump();
  const std::size_t at = text.find("I am ") + 5;
  return text.substr(at, text.find('.', at) - at);
}

TEST_F(TaskMessagesTest, S4_40_I4_AStreamThatIsCutAfterAnyFrameIsNoTurnAndIsTriedAgain) {
  const int frames = FramesOf(Lines());
  ASSERT_GT(frames, 6);
  for (int cut = 1; cut < frames; ++cut) {
    StubReply reply = Lines();
    reply.cut_after = cut;
    on_.stub->Push(reply);
  }
  on_.stub->SetDefault(Lines());
  PutWorkflow(on_.server, SideBySide(frames - 1));
  on_.StartWorker();

  const Streamed run = RunToEnd(on_.server, Task("side-by-side"), "alice");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  const std::vector<StubRequest> requests = on_.stub->Requests();
  ASSERT_EQ(requests.size(), static_cast<std::size_t>(2 * (frames - 1)));
  const std::vector<TranscriptEntry> transcript = Transcript(run);
  std::map<std::string, int> tries;
  std::vector<std::string> lost, done;
  for (int i = 0; i < static_cast<int>(requests.size()); ++i) {
    const std::string step = StepOf(requests[i]);
    const int attempt = ++tries[step];
    if (i >= frames - 1) {  // not cut
      done.push_back(absl::StrCat(step, " ", attempt, ".1 COMPLETE"));
      continue;
    }
    lost.push_back(absl::StrCat(step, " ", attempt, ".1 ERROR TRANSIENT"));
    EXPECT_EQ(Said(transcript, TranscriptEntry::ROLE_RESPONSE, step, attempt), "");
    // Frames: message_start, content_block_start, the pieces, and three ends.
    const std::size_t pieces = std::min(std::max(0, i + 1 - 2), frames - 5);
    EXPECT_EQ(Said(transcript, TranscriptEntry::ROLE_COMBINED, step, attempt),
              Lines().text.substr(0, pieces * Lines().chunk))
        << "what came before the cut after frame " << i + 1;
    for (const v1::UsageRecorded& usage : UsageOf(run.events)) {
      if (usage.step() != step || usage.attempt() != attempt) continue;
      // The frame before the last one says what was billed.
      EXPECT_EQ(usage.is_upper_bound(), i + 1 < frames - 1) << "cut after frame " << i + 1;
    }
  }
  const std::vector<std::string> iterations = IterationsOf(run.events);
  EXPECT_THAT(iterations, SizeIs(lost.size() + done.size()));
  EXPECT_THAT(iterations, ::testing::IsSupersetOf(lost));
  EXPECT_THAT(iterations, ::testing::IsSupersetOf(done));
  EXPECT_THAT(UsageOf(run.events), SizeIs(requests.size()));
  EXPECT_GE(Get(on_.server, run.snapshot->name()).usage().cost_microusd(),
            CostOf(on_.stub->Billed()));
}

TEST_F(TaskMessagesTest, S4_40_AStreamThatDoesNotSayThatItEndedIsNoTurn) {
  StubReply unfinished = Lines();
  unfinished.omit_message_stop = true;
  on_.stub->Push(unfinished);
  on_.stub->Push(Lines());

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("judge 1.1 ERROR TRUNCATED", "judge 2.1 COMPLETE"));
}

TEST_F(TaskMessagesTest, S4_40_AStreamThatStandsStillIsGivenUpAndTriedAgain) {
  StubReply stalled = Lines();
  stalled.stall_after = 3;
  on_.stub->Push(stalled);
  on_.stub->Push(Lines());
  on_.StartWorker({}, {"--tasks.stall_timeout=500ms"});

  const Streamed run = RunJudge();

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(IterationsOf(run.events),
              ElementsAre("judge 1.1 ERROR STALLED", "judge 2.1 COMPLETE"));
  EXPECT_TRUE(on_.stub->WaitForHangUps(1));
}

// ---- workers that die

constexpr std::int64_t kCap = 100000;

// Two turns of a step, then another step; the cap of the task is kCap.
constexpr char kThreeTurns[] = R"(
name: three-turns
max_cost_microusd: 100000
steps:
  - {name: write, llm: {prompt: "{{TASK_ID}} writes {{ITERATION}}.", schema: BASE, max_cost_microusd: 20000}}
  - {name: judge, depends_on: [write], llm: {prompt: "{{TASK_ID}} judges.", schema: BASE, max_cost_microusd: 20000}}
)";

int Lost(const std::vector<ExecutionEvent>& events) {
  int lost = 0;
  for (const ExecutionEvent& event : events)
    lost += event.iteration_finished().status() == IterationFinished::STATUS_STOPPED ? 1 : 0;
  return lost;
}

TEST_F(TaskMessagesTest, I4_I7_AWorkerKilledAfterAnyFrameCostsAtMostItsTurn) {
  const int frames = FramesOf(Lines());
  PutWorkflow(on_.server, WithSchema(R"(
name: one-turn
max_cost_microusd: 100000
steps: [{name: judge, llm: {prompt: "I am {{TASK_ID}}.", schema: BASE, max_cost_microusd: 20000}}]
)"));
  for (int stall = 0; stall <= frames - 1; ++stall) {
    StubReply reply = Lines();
    reply.stall_after = stall;
    on_.stub->Push(reply);
  }
  on_.stub->SetDefault(Lines());
  Process& first = on_.StartWorker({}, {absl::StrCat("--tasks.max_tasks=", frames)});
  std::map<std::string, std::string> names;
  for (int i = 0; i < frames; ++i) {
    v1::RunTaskRequest request = Task("one-turn");
    request.mutable_task()->set_id(absl::StrCat("T-", i));
    const auto name = Submit(on_.server, request, "alice");
    ASSERT_TRUE(name.ok()) << name.status();
    names[absl::StrCat("T-", i)] = *name;
  }
  ASSERT_TRUE(on_.stub->WaitForStalls(static_cast<std::size_t>(frames)));

  first.Signal(SIGKILL);
  on_.StartWorker({}, {absl::StrCat("--tasks.max_tasks=", frames)});

  for (const auto& [id, name] : names) {
    const Streamed end = Watch(on_.server, name);
    ASSERT_EQ(end.End().to(), Execution::STATE_SUCCEEDED) << end.End().message();
    EXPECT_THAT(IterationsOf(end.events), ElementsAre("judge 1.1 STOPPED", "judge 2.1 COMPLETE"));
    const std::vector<TranscriptEntry> transcript = ReadTranscript(on_.server, name);
    EXPECT_EQ(CountOf(transcript, TranscriptEntry::ROLE_PROMPT), 2);
    EXPECT_EQ(CountOf(transcript, TranscriptEntry::ROLE_RESPONSE), 1);
    const Execution task = Get(on_.server, name);
    EXPECT_GE(task.usage().cost_microusd(), 2 * CostOf(StubUsage()));
    EXPECT_LE(task.usage().cost_microusd(), kCap);
    EXPECT_TRUE(task.usage().is_upper_bound());
  }
  EXPECT_THAT(on_.stub->Requests(), SizeIs(2 * names.size())) << "each turn is repeated once";
}

// What is not as it has to be when a worker dies at `failpoint` (as in CAPSTAN_FAILPOINT; empty: it
// does not); `hits`: those that it passed.
std::vector<std::string> DieAt(const std::string& failpoint, std::vector<std::string>* hits) {
  ModelSystem on("messages_api", "capstan-worker-faults");
  on.stub->Push(Says({{"status", "continue"}, {"reason", "more"}}));
  on.stub->SetDefault(Says({{"status", "complete"}}));
  PutWorkflow(on.server, WithSchema(kThreeTurns));
  std::map<std::string, std::string> env = {{"CAPSTAN_FAILPOINT_LOG", on.system->LogFile("hits")}};
  if (!failpoint.empty()) env["CAPSTAN_FAILPOINT"] = failpoint;
  Process& first = on.StartWorker(env);
  const auto name = Submit(on.server, Task("three-turns"), "alice");
  EXPECT_TRUE(name.ok()) << name.status();
  // By a descriptor: it may be gone by then.
  const auto first_fd = static_cast<int>(syscall(SYS_pidfd_open, first.pid(), 0));
  std::vector<ExecutionEvent> events;
  std::thread watcher([&] {
    events = Watch(on.server, *name).events;
    syscall(SYS_pidfd_send_signal, first_fd, SIGKILL, nullptr, 0);  // its moment did not come
  });
  first.Wait();
  if (!failpoint.empty()) on.StartWorker();
  watcher.join();
  close(first_fd);
  const Execution task = Get(on.server, *name);

  std::ifstream log(on.system->LogFile("hits"));
  for (std::string line; hits != nullptr && std::getline(log, line);) hits->push_back(line);
  std::vector<std::string> problems;
  const auto want = [&](bool good, const std::string& what) {
    if (!good) problems.push_back(absl::StrCat(failpoint, ": ", what));
  };
  want(task.state() == Execution::STATE_SUCCEEDED, task.message());
  want(Lost(events) <= 1, absl::StrCat(Lost(events), " iterations were lost"));
  want(on.stub->Requests().size() <= 4, "more than one turn was repeated");
  want(task.usage().cost_microusd() >= CostOf(on.stub->Billed()), "the ledger is under the bill");
  want(task.usage().cost_microusd() <= kCap, "over the cap");
  return problems;
}

// Where a turn is reserved, and where it is settled, every time.
std::vector<std::string> MomentsOf(const std::vector<std::string>& hits) {
  std::map<std::string, int> counts;
  std::vector<std::string> moments;
  for (const std::string& name : hits) {
    if (absl::EndsWith(name, "commit.RUNNING") || absl::EndsWith(name, "commit.VERIFYING") ||
        name == "transcript.append") {
      moments.push_back(absl::StrCat(name, ":crash:", ++counts[name]));
    }
  }
  return moments;
}

TEST(TaskMessagesCrashTest, I7_ADeathAtReserveCallOrSettleIsNeverUnderTheBillNorOverTheCap) {
  std::vector<std::string> hits;
  ASSERT_THAT(DieAt("", &hits), IsEmpty());
  const std::vector<std::string> moments = MomentsOf(hits);
  ASSERT_GT(moments.size(), 10u) << absl::StrJoin(hits, " ");

  std::mutex mu;
  std::vector<std::string> problems;
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < moments.size(); at = next++) {
        const std::vector<std::string> found = DieAt(moments[at], nullptr);
        const std::lock_guard lock(mu);
        problems.insert(problems.end(), found.begin(), found.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(problems, IsEmpty());
  std::printf("moments=%zu problems=%zu\n", moments.size(), problems.size());
}

}  // namespace
}  // namespace capstan::testing
