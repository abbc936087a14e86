// A worker dies at every moment of a task: at each failpoint that its steps pass, each time that it
// is passed. Another worker goes on. Nothing that was committed is done again, at most one
// iteration is repeated, the work is what it would have been, and the ledger is never under what
// was billed.
//
// In a normal run every seventh moment is tried; task_crash_long_test tries all
// (CAPSTAN_TASK_CRASH_STRIDE=1).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/scenarios/tasks.h"

namespace capstan::testing {
namespace {

using ::testing::IsEmpty;
using v1::Execution;
using v1::ExecutionEvent;
using v1::IterationFinished;

constexpr int kParallel = 4;
constexpr std::int64_t kBudget = 100000;

constexpr char kWorkflow[] = R"(
name: crashing
max_cost_microusd: 100000
checkpoint: every_iteration
triggers:
  - {name: begin, when: created, command: {argv: [test, -d, .], repeatable: true}}
  - {name: end, when: completed, command: {argv: [test, -e, three.txt], repeatable: true}}
steps:
  - name: spec
    artifact: spec
    llm: {prompt: "Write.", schema: SCHEMA, max_cost_microusd: 5000}
  - name: implement
    depends_on: [spec]
    llm: {prompt: "Go {{ITERATION}} {{SPEC_CONTENT}}.", schema: SCHEMA, max_cost_microusd: 5000}
    checks: [{name: tests, argv: [test, -e, two.txt]}]
  - name: look
    depends_on: [implement]
    retry_from: implement
    gate: {kind: model, judge: {prompt: "Is it ready?", max_cost_microusd: 5000}}
    command: {argv: [sh, -c, "test -e three.txt"], repeatable: true}
)";

constexpr char kSchema[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete","continue"]},"reason":{"type":"string"},"artifact":{"type":"string"}}}')";

// The tests fail once, the look fails once.
constexpr char kScript[] = R"(
replies:
  - {step: spec, text: ["a\n", "b\n"], answer: {status: complete, artifact: "the spec"}, usage: {model: m, input_tokens: 1, cost_microusd: 100}}
  - {step: implement, iteration: 1, text: ["c\n"], files: [{path: one.txt, content: "1"}], answer: {status: continue, reason: more}, usage: {model: m, input_tokens: 1, cost_microusd: 200}}
  - {step: implement, iteration: 2, files: [{path: half.txt, content: "h"}], answer: {status: complete}, usage: {model: m, input_tokens: 1, cost_microusd: 300}}
  - {step: look, judgement: true, answer: {status: pass, reason: ready}, usage: {model: m, input_tokens: 1, cost_microusd: 50}}
  - {step: implement, iteration: 3, files: [{path: two.txt, content: "2"}, {path: three.txt, content: "3"}], answer: {status: complete}, usage: {model: m, input_tokens: 1, cost_microusd: 400}}
)";

SystemOptions Options() {
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  options.named_callers = true;
  return options;
}

struct Outcome {
  std::vector<ExecutionEvent> events;
  std::vector<v1::TranscriptEntry> transcript;
  Execution task;
  std::string tree;
  std::vector<std::string> hits;
};

// "implement 2 COMPLETE", of iterations that came to their end by themselves.
std::vector<std::string> Iterations(const Outcome& outcome) {
  std::vector<std::string> out;
  for (const ExecutionEvent& event : outcome.events) {
    const IterationFinished& one = event.iteration_finished();
    const bool ended = one.status() == IterationFinished::STATUS_COMPLETE ||
                       one.status() == IterationFinished::STATUS_CONTINUE ||
                       one.status() == IterationFinished::STATUS_FAILED;
    if (!event.has_iteration_finished() || !ended) continue;
    out.push_back(absl::StrCat(one.step(), " ", one.iteration(), " ",
                               IterationFinished::Status_Name(one.status())));
  }
  return out;
}

// "begin RESULT_PASSED".
std::vector<std::string> Triggers(const Outcome& outcome) {
  std::vector<std::string> out;
  for (const ExecutionEvent& event : outcome.events) {
    const v1::TriggerRan& ran = event.trigger_ran();
    if (event.has_trigger_ran())
      out.push_back(absl::StrCat(ran.trigger(), " ", v1::TriggerRan::Result_Name(ran.result())));
  }
  return out;
}

int Lost(const Outcome& outcome) {
  int lost = 0;
  for (const ExecutionEvent& event : outcome.events) {
    const auto status = event.iteration_finished().status();
    lost +=
        status == IterationFinished::STATUS_STOPPED || status == IterationFinished::STATUS_ERROR;
  }
  return lost;
}

int Prompts(const Outcome& outcome) {
  int prompts = 0;
  for (const v1::TranscriptEntry& entry : outcome.transcript)
    prompts += entry.role() == v1::TranscriptEntry::ROLE_PROMPT;
  return prompts;
}

std::vector<std::string> Lines(const std::string& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// One task on a system of its own; `failpoint` as in CAPSTAN_FAILPOINT, empty: none.
Outcome RunOne(const std::string& failpoint) {
  std::string yaml = kWorkflow;
  for (std::size_t at = yaml.find("SCHEMA"); at != std::string::npos; at = yaml.find("SCHEMA", at))
    yaml.replace(at, 6, kSchema);
  TaskRoom room;
  room.SetScript(kScript);
  auto system = System::Make(Options());
  Server server = system->StartServer();
  PutWorkflow(server, yaml);
  std::map<std::string, std::string> env = {{"CAPSTAN_FAILPOINT_LOG", system->LogFile("hits")}};
  if (!failpoint.empty()) env["CAPSTAN_FAILPOINT"] = failpoint;
  auto first = system->StartWorker(env, room.WorkerFlags());
  const auto name = Submit(server, Task("crashing", &room), "alice");
  EXPECT_TRUE(name.ok()) << name.status();
  // By a descriptor: it may be gone by then.
  const auto first_fd = static_cast<int>(syscall(SYS_pidfd_open, first->pid(), 0));
  Outcome outcome;
  std::thread watcher([&] {
    outcome.events = Watch(server, *name).events;
    syscall(SYS_pidfd_send_signal, first_fd, SIGKILL, nullptr, 0);  // its moment did not come
  });
  first->Wait();
  // On this thread: a process dies with the thread that started it.
  std::unique_ptr<Process> second;
  if (absl::StrContains(failpoint, ":crash")) second = system->StartWorker({}, room.WorkerFlags());
  watcher.join();
  close(first_fd);
  outcome.transcript = ReadTranscript(server, *name);
  outcome.task = Get(server, *name);
  outcome.tree = room.Git({"ls-tree", "-r", outcome.task.workspace().branch()});
  outcome.hits = Lines(system->LogFile("hits"));
  return outcome;
}

// What is not as it has to be; empty when all is.
std::vector<std::string> Compare(const Outcome& baseline, const Outcome& got) {
  std::vector<std::string> problems;
  const auto differ = [&](const std::string& what, const std::string& want, const std::string& is) {
    if (want != is) problems.push_back(absl::StrCat(what, ": got ", is, ", want ", want));
  };
  if (got.task.state() != Execution::STATE_SUCCEEDED)
    problems.push_back(absl::StrCat("it did not succeed: ", got.task.message()));
  differ("iterations", absl::StrJoin(Iterations(baseline), ", "),
         absl::StrJoin(Iterations(got), ", "));
  differ("triggers", "begin RESULT_PASSED, end RESULT_PASSED", absl::StrJoin(Triggers(got), ", "));
  differ("work", baseline.tree, got.tree);
  if (Lost(got) > 1) problems.push_back(absl::StrCat(Lost(got), " iterations were lost"));
  if (Prompts(got) > Prompts(baseline) + 1)
    problems.push_back(absl::StrCat(Prompts(got), " prompts for ", Prompts(baseline)));
  if (got.task.usage().cost_microusd() < baseline.task.usage().cost_microusd())
    problems.push_back("the ledger is under what was billed");
  if (got.task.usage().cost_microusd() > kBudget) problems.push_back("over the budget");
  for (std::size_t i = 0; i < got.transcript.size(); ++i) {
    if (got.transcript[i].number() == static_cast<std::int64_t>(i + 1)) continue;
    problems.push_back("the transcript has a gap");
    break;
  }
  int ends = 0;
  for (const ExecutionEvent& event : got.events) ends += event.state_changed().has_outcome();
  if (ends != 1) problems.push_back(absl::StrCat(ends, " ends"));
  return problems;
}

// Every moment of the baseline, as "name:crash:n".
std::vector<std::string> Moments(const Outcome& baseline) {
  std::map<std::string, int> hits;
  for (const std::string& name : baseline.hits) {
    if (absl::StartsWith(name, "task.") || name == "transcript.append") ++hits[name];
  }
  std::vector<std::string> moments;
  for (const auto& [name, count] : hits) {
    for (int n = 1; n <= count; ++n) moments.push_back(absl::StrCat(name, ":crash:", n));
    // Once each: the step fails, and the reply is lost.
    moments.push_back(absl::StrCat(name, ":error:", (count + 1) / 2));
  }
  return moments;
}

TEST(TaskCrashTest, S1_31_I9_AWorkerThatDiesAtAnyMomentCostsAtMostAnIteration) {
  const Outcome baseline = RunOne("");
  ASSERT_EQ(baseline.task.state(), Execution::STATE_SUCCEEDED) << baseline.task.message();
  ASSERT_EQ(Lost(baseline), 0);
  ASSERT_THAT(Compare(baseline, baseline), IsEmpty());
  const char* const stride_text = std::getenv("CAPSTAN_TASK_CRASH_STRIDE");
  const std::size_t stride = stride_text == nullptr ? 7 : std::strtoul(stride_text, nullptr, 10);
  const std::vector<std::string> moments = Moments(baseline);
  ASSERT_GT(moments.size(), 25u);

  std::mutex mu;
  std::vector<std::string> problems;
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kParallel; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next.fetch_add(stride); at < moments.size();
           at = next.fetch_add(stride)) {
        const std::vector<std::string> found = Compare(baseline, RunOne(moments[at]));
        const std::lock_guard lock(mu);
        for (const std::string& one : found)
          problems.push_back(absl::StrCat(moments[at], ": ", one));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(problems, IsEmpty()) << moments.size() << " moments, every " << stride;
  RecordProperty("moments", static_cast<int>(moments.size()));
  std::printf("moments=%zu tried=%zu problems=%zu\n", moments.size(),
              (moments.size() + stride - 1) / stride, problems.size());
}

}  // namespace
}  // namespace capstan::testing
