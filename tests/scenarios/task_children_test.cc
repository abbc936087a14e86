// Tasks whose steps submit actions: the whole system on a simulated cluster.
//
// In a normal run every fourth moment at which a worker can die is tried; task_children_long_test
// tries all (CAPSTAN_TASK_CRASH_STRIDE=1).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/scenarios/tasks.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using v1::Execution;
using v1::ExecutionEvent;

// Scales default/web and goes on with what became of it.
constexpr char kScaling[] = R"(
name: scaling
variables: [{name: REPLICAS, input: replicas}]
steps:
  - name: scale
    action:
      action: ScaleDeployment
      parameters: {namespace: default, deployment: web, replicas: "{{REPLICAS}}"}
  - name: say
    depends_on: [scale]
    condition: {test: {field: steps.scale.output.state, op: eq, value: SUCCEEDED}}
    command: {argv: [echo, "{{steps.scale.output.effect}} {{steps.scale.output.execution}}"], repeatable: true}
)";

constexpr char kRules[] = R"(
violations contains {"id": "thirteen", "message": "never thirteen"} if input.parameters.replicas == 13

violations contains {"id": "crown", "message": "tasks leave crown alone"} if {
	input.action == "RunTask"
	some step in input.parameters.steps
	step.action == "ScaleDeployment"
	step.parameters.deployment == "crown"
}

obligations contains {"type": "approval", "quorum": 1, "reason": "more than five"} if {
	input.parameters.replicas > 5
	input.parameters.replicas != 13
}
)";

v1::RunTaskRequest ScaleTask(const std::string& replicas) {
  v1::RunTaskRequest request = Task("scaling");
  (*request.mutable_inputs())["replicas"] = replicas;
  return request;
}

std::string ChildOf(Server& server, const std::string& task) {
  return Get(server, task).steps(0).child();
}

std::vector<Execution> Children(Server& server, const std::string& task) {
  grpc::ClientContext context;
  v1::ListExecutionsRequest request;
  request.set_filter(absl::StrCat("parent = \"", task, "\""));
  v1::ListExecutionsResponse response;
  const grpc::Status status = server.executions->ListExecutions(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.executions().begin(), response.executions().end()};
}

class TaskChildrenTest : public ::testing::Test {
 protected:
  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    return options;
  }
  void SetUp() override {
    WriteBundle(*system_, "four-eyes", kRules);
    room_.SetScript("replies:\n  - {step: think, hold: true}\n");
    worker_ = system_->StartWorker({}, room_.WorkerFlags());
    PutWorkflow(server_, kScaling);
  }
  kubesim::KubeSim& kube() { return system_->kube(); }
  std::string SubmitScaling(const std::string& replicas) {
    return *Submit(server_, ScaleTask(replicas), "alice");
  }
  std::string WaitForChild(const std::string& task) {
    WatchUntil(server_, task, ExecutionEvent::kChildSubmitted);
    return ChildOf(server_, task);
  }
  absl::Status Approve(const std::string& child) {
    return Decide(server_, child, WaitApproval(server_, child).plan_digest(), true, "bob");
  }

  TaskRoom room_;
  std::unique_ptr<System> system_ = System::Make(NamedCallers());
  Server server_ = system_->StartServer();
  std::unique_ptr<Process> worker_;
};

TEST_F(TaskChildrenTest, AStepSubmitsAnActionAndTheNextOneSeesHowItEnded) {
  const Streamed run = RunToEnd(server_, ScaleTask("3"), "alice");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_EQ(EndsOf(run.events), "scale:SUCCEEDED say:SUCCEEDED");
  EXPECT_EQ(kube().Replicas("default", "web"), 3);
  const std::string task = run.snapshot->name();
  const std::vector<Execution> children = Children(server_, task);
  ASSERT_THAT(children, SizeIs(1));
  const Execution child = Get(server_, children[0].name());
  EXPECT_EQ(child.state(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(child.caller(), "unauthenticated:alice");
  EXPECT_EQ(child.parent().step(), 1);
  EXPECT_EQ(child.parameters().fields().at("replicas").number_value(), 3) << "it is a number";
  EXPECT_EQ(ChildOf(server_, task), child.name());
  EXPECT_EQ(ReadTranscript(server_, task).back().text(),
            absl::StrCat("APPLIED ", child.name(), "\n"));
  EXPECT_THAT(AuditProblems(server_), IsEmpty());
}

TEST_F(TaskChildrenTest, PolicyDecidesAboutTheChildAndADenialFailsTheStepThatNamesIt) {
  const Streamed run = RunToEnd(server_, ScaleTask("13"), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_THAT(run.End().message(),
              HasSubstr(absl::StrCat("step scale: ", ChildOf(server_, run.snapshot->name()),
                                     " FAILED(POLICY_DENIED)")));
  EXPECT_THAT(run.End().message(), HasSubstr("never thirteen"));
  EXPECT_EQ(JobsCreated(kube()), 0);
}

TEST_F(TaskChildrenTest,
       S1_14_AValueThatTheActionDoesNotTakeFailsTheStepBeforeAnythingIsSubmitted) {
  const Streamed run = RunToEnd(server_, ScaleTask("many"), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_THAT(run.End().message(), HasSubstr("parameters.replicas: got \"many\""));
  EXPECT_THAT(Children(server_, run.snapshot->name()), IsEmpty());
}

TEST_F(TaskChildrenTest, PolicySeesWhatATaskWillSubmitBeforeItBegins) {
  PutWorkflow(server_, R"(
name: rebel
steps:
  - name: scale
    action: {action: ScaleDeployment, parameters: {namespace: default, deployment: crown, replicas: 2}}
)");

  const Streamed run = RunToEnd(server_, Task("rebel"), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_POLICY_DENIED);
  EXPECT_THAT(run.End().message(), HasSubstr("tasks leave crown alone"));
  EXPECT_THAT(Children(server_, run.snapshot->name()), IsEmpty());
}

TEST_F(TaskChildrenTest, S4_17_AStepThatRunsAgainSubmitsAnExecutionOfItsOwn) {
  PutWorkflow(server_, R"(
name: stubborn
steps:
  - name: scale
    retry_from: scale
    action:
      action: ScaleDeployment
      parameters:
        namespace: default
        deployment: "{{#if RETRY_ATTEMPT}}web{{/if}}{{#unless RETRY_ATTEMPT}}gone{{/unless}}"
        replicas: 2
)");

  const Streamed run = RunToEnd(server_, Task("stubborn"), "alice");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  std::map<std::string, Execution::State> ends;
  for (const Execution& child : Children(server_, run.snapshot->name()))
    ends[child.target().name()] = child.state();
  EXPECT_THAT(ends, ElementsAre(Pair("gone", Execution::STATE_FAILED),
                                Pair("web", Execution::STATE_SUCCEEDED)));
}

TEST_F(TaskChildrenTest, AChildThatEndsWhileAnotherStepRunsIsHeardByTheOneThatHoldsTheTask) {
  PutWorkflow(server_, R"(
name: busy
steps:
  - name: think
    llm: {prompt: "Think.", schema: '{"type":"object","required":["status"],"properties":{"status":{"enum":["complete"]}}}'}
  - name: scale
    action: {action: ScaleDeployment, parameters: {namespace: default, deployment: web, replicas: 2}}
  - name: say
    depends_on: [scale]
    command: {argv: [echo, "{{steps.scale.output.state}}"], repeatable: true}
)");
  const std::string task = *Submit(server_, Task("busy", &room_), "alice");

  WatchUntil(server_, task,
             [](const ExecutionEvent& event) { return event.step_finished().step() == "say"; });

  EXPECT_EQ(Get(server_, task).state(), Execution::STATE_RUNNING) << "it was never let go";
  ASSERT_OK(Cancel(server_, task, "enough"));
  EXPECT_EQ(EndsOf(Watch(server_, task).events), "scale:SUCCEEDED say:SUCCEEDED think:CANCELLED");
}

TEST_F(TaskChildrenTest, AChildThatWaitsForApprovalKeepsItsTaskWaitingWithoutAWorker) {
  const std::string task = SubmitScaling("6");
  const v1::StateChanged blocked = WaitBlocked(server_, task, Execution::BLOCK_REASON_CHILD);
  const std::string child = ChildOf(server_, task);
  WaitBlocked(server_, child, Execution::BLOCK_REASON_APPROVAL);

  EXPECT_THAT(blocked.message(), HasSubstr(child));
  EXPECT_EQ(SqlValue(system_->dsn(), "SELECT count(*) FROM lease"), "0");
  const v1::ExplainExecutionResponse why = *Explain(server_, task);
  ASSERT_THAT(why.reasons(), SizeIs(1));
  EXPECT_EQ(why.reasons(0).code(), "CHILD");
  EXPECT_EQ(why.reasons(0).holder(), child);
  EXPECT_THAT(why.reasons(0).message(), HasSubstr("is BLOCKED(APPROVAL)"));
  worker_.reset();  // nobody is needed while they wait
  ASSERT_OK(Approve(child));
  worker_ = system_->StartWorker({}, room_.WorkerFlags());

  EXPECT_EQ(Watch(server_, task).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(kube().Replicas("default", "web"), 6);
}

TEST_F(TaskChildrenTest, S2_56_AChildWaitsForItsTargetAsEveryExecution) {
  kube().HoldJobs();
  const std::string other = *Submit(server_, Scale(2), "carol");
  WatchUntil(server_, other, ExecutionEvent::kJobArmed);
  const std::string task = SubmitScaling("3");
  const std::string child = WaitForChild(task);
  EXPECT_THAT(WaitBlocked(server_, child, Execution::BLOCK_REASON_TARGET_LOCK).message(),
              HasSubstr(other));

  kube().ReleaseJobs();

  EXPECT_EQ(Watch(server_, task).End().to(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(kube().Replicas("default", "web"), 3) << "the task's came last";
}

TEST_F(TaskChildrenTest, S2_21a_CancellingTheTaskCancelsItsChildAndWaitsForIt) {
  kube().HoldJobs();
  const std::string task = SubmitScaling("3");
  const std::string child = WaitForChild(task);
  WatchUntil(server_, child, ExecutionEvent::kJobArmed);

  ASSERT_OK(Cancel(server_, task, "enough"));

  const Streamed end = Watch(server_, task);
  EXPECT_EQ(end.End().to(), Execution::STATE_CANCELLED);
  EXPECT_THAT(end.End().message(), HasSubstr("enough"));
  EXPECT_EQ(EndsOf(end.events), "scale:CANCELLED");
  const Execution ended = Get(server_, child);
  EXPECT_EQ(ended.state(), Execution::STATE_CANCELLED) << "it had ended before its task did";
  EXPECT_THAT(ended.message(), HasSubstr(task));
}

TEST_F(TaskChildrenTest, AnEmergencyStopOfTheActionHoldsTheChildAndNotTheTask) {
  const auto stop = Stop(server_, StopAction("ScaleDeployment"));
  ASSERT_OK(stop.status());
  const std::string task = SubmitScaling("3");
  const std::string child = WaitForChild(task);
  WaitBlocked(server_, child, Execution::BLOCK_REASON_STOPPED);
  WaitBlocked(server_, task, Execution::BLOCK_REASON_CHILD);

  ASSERT_OK(Lift(server_, stop->stop().name()).status());

  EXPECT_EQ(Watch(server_, task).End().to(), Execution::STATE_SUCCEEDED);
}

TEST_F(TaskChildrenTest, S1_5_AStepWhoseTimeIsUpCancelsItsChild) {
  kube().HoldJobs();
  PutWorkflow(server_, R"(
name: hurried
steps:
  - name: scale
    timeout: 3s
    action: {action: ScaleDeployment, parameters: {namespace: default, deployment: web, replicas: 2}}
)");

  const Streamed run = RunToEnd(server_, Task("hurried"), "alice");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT) << run.End().message();
  EXPECT_EQ(Get(server_, ChildOf(server_, run.snapshot->name())).state(),
            Execution::STATE_CANCELLED);
}

TEST_F(TaskChildrenTest, AWorkflowWithAnActionThatDoesNotExistIsRefusedByItsStep) {
  grpc::ClientContext context;
  v1::PutWorkflowRequest request;
  request.set_yaml(
      "name: x\nsteps:\n  - {name: grow, action: {action: GrowDeployment, parameters: {}}}\n");
  v1::PutWorkflowResponse response;

  const grpc::Status status = server_.catalog->PutWorkflow(&context, request, &response);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("steps.grow.action.action: got \"GrowDeployment\", want one of: "));
}

// Of a process, as /proc has it.
long Threads(const Process& process) {
  std::ifstream status(absl::StrCat("/proc/", process.pid(), "/status"));
  for (std::string line; std::getline(status, line);) {
    if (absl::StartsWith(line, "Threads:")) return std::stol(line.substr(8));
  }
  return -1;
}

TEST_F(TaskChildrenTest, AHundredTasksThatWaitForChildrenCostRowsAndNoThread) {
  const auto park = [&](int count) {
    std::vector<std::string> tasks;
    for (int i = 0; i < count; ++i) tasks.push_back(SubmitScaling("7"));
    for (const std::string& task : tasks) {
      WaitBlocked(server_, task, Execution::BLOCK_REASON_CHILD);
      WaitBlocked(server_, ChildOf(server_, task), Execution::BLOCK_REASON_APPROVAL);
    }
    return tasks;
  };
  park(10);  // the pools are warm after a few
  const long threads = Threads(*worker_);

  const std::vector<std::string> parked = park(100);

  std::printf("parked=100 threads=%ld->%ld\n", threads, Threads(*worker_));
  EXPECT_LE(Threads(*worker_), threads);
  EXPECT_EQ(SqlValue(system_->dsn(), "SELECT count(*) FROM lease"), "0");
  EXPECT_EQ(SqlValue(system_->dsn(), "SELECT count(*) FROM parked WHERE reason = 11"), "110");
  ASSERT_OK(Approve(ChildOf(server_, parked.back())));
  EXPECT_EQ(Watch(server_, parked.back()).End().to(), Execution::STATE_SUCCEEDED);
}

// ---- a worker dies at each moment of a task with a child, and of the child

struct Outcome {
  Execution task;
  std::vector<ExecutionEvent> events;
  std::vector<Execution> children;
  int jobs = 0;
  std::size_t scales = 0;
  std::vector<std::string> hits;
};

std::vector<std::string> Lines(const std::string& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// One task on a system of its own; `failpoint` as in CAPSTAN_FAILPOINT, empty: none.
Outcome RunOne(const std::string& failpoint) {
  TaskRoom room;
  SystemOptions options;
  options.worker_program = "capstan-worker-faults";
  options.named_callers = true;
  auto system = System::Make(options);
  Server server = system->StartServer();
  PutWorkflow(server, kScaling);
  std::map<std::string, std::string> env = {{"CAPSTAN_FAILPOINT_LOG", system->LogFile("hits")}};
  if (!failpoint.empty()) env["CAPSTAN_FAILPOINT"] = failpoint;
  auto first = system->StartWorker(env, room.WorkerFlags());
  const auto name = Submit(server, ScaleTask("3"), "alice");
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
  outcome.task = Get(server, *name);
  outcome.children = Children(server, *name);
  outcome.jobs = JobsCreated(system->kube());
  outcome.scales = system->kube().Scales("default", "web").size();
  outcome.hits = Lines(system->LogFile("hits"));
  return outcome;
}

// What is not as it has to be; empty when all is.
std::vector<std::string> Problems(const Outcome& got) {
  std::vector<std::string> problems;
  if (got.task.state() != Execution::STATE_SUCCEEDED)
    problems.push_back(absl::StrCat("it did not succeed: ", got.task.message()));
  if (got.children.size() != 1) problems.push_back(absl::StrCat(got.children.size(), " children"));
  for (const Execution& child : got.children) {
    if (child.state() != Execution::STATE_SUCCEEDED)
      problems.push_back(absl::StrCat("a child did not succeed: ", child.message()));
  }
  if (got.jobs != 1) problems.push_back(absl::StrCat(got.jobs, " Jobs"));
  if (got.scales != 1) problems.push_back(absl::StrCat("scaled ", got.scales, " times"));
  int submitted = 0, ends = 0;
  for (const ExecutionEvent& event : got.events) {
    submitted += event.has_child_submitted() ? 1 : 0;
    ends += event.state_changed().has_outcome() ? 1 : 0;
  }
  if (submitted != 1) problems.push_back(absl::StrCat(submitted, " submissions on record"));
  if (ends != 1) problems.push_back(absl::StrCat(ends, " ends"));
  return problems;
}

// Every moment of the baseline, as "name:crash:n", and each once as an error, as when a reply is
// lost.
std::vector<std::string> Moments(const Outcome& baseline) {
  std::map<std::string, int> hits;
  for (const std::string& name : baseline.hits) {
    if (absl::StartsWith(name, "task.") || absl::StartsWith(name, "runner.")) ++hits[name];
  }
  std::vector<std::string> moments;
  for (const auto& [name, count] : hits) {
    for (int n = 1; n <= count; ++n) moments.push_back(absl::StrCat(name, ":crash:", n));
    moments.push_back(absl::StrCat(name, ":error:", (count + 1) / 2));
  }
  return moments;
}

TEST(TaskChildrenCrashTest, S1_31_AWorkerThatDiesAtAnyMomentLeavesOneChildAndOneJob) {
  const Outcome baseline = RunOne("");
  ASSERT_THAT(Problems(baseline), IsEmpty());
  const char* const stride_text = std::getenv("CAPSTAN_TASK_CRASH_STRIDE");
  const std::size_t stride = stride_text == nullptr ? 4 : std::strtoul(stride_text, nullptr, 10);
  const std::vector<std::string> moments = Moments(baseline);
  ASSERT_GT(moments.size(), 20u);

  std::mutex mu;
  std::vector<std::string> problems;
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next.fetch_add(stride); at < moments.size();
           at = next.fetch_add(stride)) {
        const std::vector<std::string> found = Problems(RunOne(moments[at]));
        const std::lock_guard lock(mu);
        for (const std::string& one : found)
          problems.push_back(absl::StrCat(moments[at], ": ", one));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_THAT(problems, IsEmpty()) << moments.size() << " moments, every " << stride;
  std::printf("moments=%zu tried=%zu problems=%zu\n", moments.size(),
              (moments.size() + stride - 1) / stride, problems.size());
}

}  // namespace
}  // namespace capstan::testing
