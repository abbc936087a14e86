// Steps that call HTTP services, variables that scripts and services give, and triggers: the whole
// system, and a service that answers as each test wants.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/scenarios/tasks.h"
#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/temporary_directory.h"

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
using v1::TriggerRan;

constexpr char kSecret[] = "Bearer canary-7f3b9d2e51";
constexpr char kSchema[] =
    R"('{"type":"object","required":["status"],"properties":{"status":{"enum":["complete"]},"summary":{"type":"string"}}}')";

class TaskCallsTest : public ::testing::Test {
 protected:
  TaskCallsTest()
      : service_([this](const ReceivedRequest& request) { return reply_(request); }),
        system_(System::Make(NamedCallers())),
        server_(system_->StartServer()) {
    secret_ = directory_.Write("token", absl::StrCat(kSecret, "\n"));
    scripts_ = absl::StrCat(directory_.path(), "/scripts");
    std::filesystem::create_directories(scripts_);
    chmod(directory_.path().c_str(), 0755);
  }

  static SystemOptions NamedCallers() {
    SystemOptions options;
    options.named_callers = true;
    options.worker_program = "capstan-worker-faults";
    return options;
  }

  Process& StartWorker() {
    std::vector<std::string> flags = room_.WorkerFlags();
    flags.push_back(absl::StrCat("--tasks.http.allowed=", service_.Url()));
    flags.push_back(absl::StrCat("--tasks.http.secret_files=token=", secret_));
    flags.push_back(absl::StrCat("--tasks.scripts_dir=", scripts_));
    workers_.push_back(system_->StartWorker({}, flags));
    return *workers_.back();
  }

  void WriteScript(const std::string& name, const std::string& body) const {
    const std::string path = absl::StrCat(scripts_, "/", name);
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    chmod(path.c_str(), 0755);
  }

  // URL stands for the service, SCHEMA for an answer's.
  void Put(const std::string& yaml) {
    PutWorkflow(server_, absl::StrReplaceAll(yaml, {{"URL", service_.Url()}, {"SCHEMA", kSchema}}));
  }

  Streamed Run(const std::string& workflow) {
    Streamed run = RunToEnd(server_, Task(workflow, &room_), "alice");
    EXPECT_TRUE(run.status.ok()) << run.status.error_message();
    return run;
  }

  std::function<ScriptedReply(const ReceivedRequest&)> reply_ = [](const auto&) {
    return Answer(200, "{}");
  };
  TaskRoom room_;
  TemporaryDirectory directory_;
  std::string secret_, scripts_;
  ScriptedServer service_;
  std::unique_ptr<System> system_;
  Server server_;
  std::vector<std::unique_ptr<Process>> workers_;
};

v1::IterationFinished LastIteration(const Streamed& run) {
  v1::IterationFinished last;
  for (const ExecutionEvent& event : run.events) {
    if (event.has_iteration_finished()) last = event.iteration_finished();
  }
  return last;
}

// "audit PASSED", "ready before push REJECTED".
std::vector<std::string> Triggers(const Streamed& run) {
  std::vector<std::string> all;
  for (const ExecutionEvent& event : run.events) {
    if (!event.has_trigger_ran()) continue;
    const TriggerRan& ran = event.trigger_ran();
    all.push_back(absl::StrCat(ran.trigger(), ran.step().empty() ? "" : " before ", ran.step(), " ",
                               TriggerRan::Result_Name(ran.result()).substr(7)));
  }
  return all;
}

std::string Texts(const std::vector<v1::TranscriptEntry>& entries) {
  std::string all;
  for (const v1::TranscriptEntry& entry : entries) absl::StrAppend(&all, entry.text(), "\n");
  return all;
}

constexpr char kBothKinds[] = R"(
name: both
steps:
  - name: build
    turn_timeout: 20s
    command:
      argv: [sh, -c, "pwd; echo built {{TASK_TITLE}}"]
      directory: .git
      success_pattern: "(?m)^built"
      output_variable: BUILT
      repeatable: true
  - name: report
    depends_on: [build]
    turn_timeout: 20s
    artifact: receipt
    http:
      method: POST
      url: "URL/report?for={{TASK_ID}}&title={{TASK_TITLE}}"
      headers: {Content-Type: application/json, X-Task: "{{TASK_TITLE}}"}
      secret_headers: {Authorization: token}
      body: '{"built": "{{BUILT}}"}'
      success_codes: [201]
      success_pattern: '"number"'
      output_variable: ANSWER
  - name: show
    depends_on: [report]
    command:
      argv: [echo, "{{ANSWER}}", "{{steps.report.output.json.items[0].number}}", "{{steps.report.artifact}}",
             "{{steps.report.output.status}} {{steps.report.output.headers.x-kind}}"]
      output_variable: SHOWN
      repeatable: true
)";

TEST_F(TaskCallsTest, S4_8_S4_35_AProgramAndACallGiveWhatLaterStepsUse) {
  reply_ = [](const ReceivedRequest&) {
    return Answer(201, R"({"items": [{"number": 7}]})", "X-Kind: receipt\r\nSet-Cookie: id=1\r\n");
  };
  StartWorker();
  Put(absl::StrReplaceAll(kBothKinds, {{"directory: .git", "directory: sub"}}));
  std::filesystem::create_directories(absl::StrCat(room_.repository(), "/sub"));
  std::ofstream(absl::StrCat(room_.repository(), "/sub/file")) << "x";
  room_.Git({"add", "sub"});
  room_.Git({"commit", "--quiet", "-m", "sub"});

  const Streamed run = Run("both");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  const auto requests = service_.Requests();
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/report?for=T-1&title=Try%20it");
  EXPECT_THAT(requests[0].head, AllOf(HasSubstr("X-Task: Try it\r\n"),
                                      HasSubstr(absl::StrCat("Authorization: ", kSecret, "\r\n"))));
  EXPECT_THAT(requests[0].body, AllOf(HasSubstr("/sub\\nbuilt Try it\"}"), Not(HasSubstr("\n"))))
      << "a text stays one text of the JSON around it";
  const std::string said = Texts(ReadTranscript(server_, run.snapshot->name()));
  EXPECT_THAT(said, HasSubstr("{\"items\": [{\"number\": 7}]} 7 {\"items\": [{\"number\": 7}]} 201 "
                              "receipt"));
  EXPECT_THAT(said, Not(HasSubstr("id=1"))) << "a cookie is kept";
}

TEST_F(TaskCallsTest, S4_35_AProgramAndACallThatTakeTooLongAreGivenUp) {
  reply_ = [](const ReceivedRequest&) { return Silence(); };
  StartWorker();
  Put(R"(
name: slow
steps:
  - {name: program, turn_timeout: 1s, command: {argv: [sleep, "60"]}}
)");
  Put(R"(
name: silent
steps:
  - {name: call, turn_timeout: 1s, http: {method: POST, url: "URL/"}, retry_from: call}
)");

  EXPECT_EQ(Run("slow").End().failure_reason(), Execution::FAILURE_REASON_TIMED_OUT);
  const Streamed silent = Run("silent");
  EXPECT_EQ(silent.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  EXPECT_THAT(silent.End().message(), HasSubstr("no answer within"));
  EXPECT_THAT(service_.Requests(), SizeIs(1)) << "it was gone back to";
}

TEST_F(TaskCallsTest, S4_35_AnAnswerThatIsNoSuccessFailsItsStep) {
  reply_ = [](const ReceivedRequest& request) {
    if (request.target == "/large") return Answer(200, std::string((1 << 20) + 1, 'x'));
    if (request.target == "/moved") return Answer(302, "", "Location: /found\r\n");
    return Answer(404, "no such thing");
  };
  StartWorker();
  for (const char* path : {"large", "moved", "gone"}) {
    Put(absl::StrCat("name: ", path, "\nsteps:\n  - {name: call, http: {method: GET, url: \"URL/",
                     path, "\"}}\n"));
  }

  const Streamed large = Run("large");
  EXPECT_EQ(large.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_THAT(large.End().message(), HasSubstr("a body of more than 1048576 bytes"));
  EXPECT_THAT(Run("moved").End().message(), HasSubstr("HTTP 302"));
  EXPECT_THAT(Run("gone").End().message(), HasSubstr("HTTP 404"));
  EXPECT_THAT(service_.Requests(), SizeIs(3)) << "a redirect was followed, or a call repeated";
}

TEST_F(TaskCallsTest, S4_35_AReadIsTriedAgainWhenTheServiceAsksForIt) {
  reply_ = [](const ReceivedRequest& request) {
    if (request.number == 0) return Answer(503, "busy", "Retry-After: 1\r\n");
    return request.number == 1 ? CutWithoutAnswer() : Answer(200, "here");
  };
  StartWorker();
  Put("name: busy\nsteps:\n  - {name: call, http: {method: GET, url: \"URL/\"}}\n");

  const Streamed run = Run("busy");

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(service_.Requests(), SizeIs(3));
}

TEST_F(TaskCallsTest, S4_35_WhoIsNotAllowedIsNotCalled) {
  StartWorker();
  Put("name: other\nsteps:\n  - {name: call, http: {method: GET, url: \"https://localhost/\"}}\n");
  Put(R"(
name: split
steps:
  - {name: make, command: {argv: [printf, "a\r\nX-Evil: yes"], output_variable: MADE}}
  - {name: call, depends_on: [make], http: {method: GET, url: "URL/", headers: {X-Made: "{{MADE}}"}}}
)");

  const Streamed other = Run("other");
  EXPECT_EQ(other.End().failure_reason(), Execution::FAILURE_REASON_CONFIGURATION);
  EXPECT_THAT(other.End().message(), HasSubstr("want a host that tasks.http.allowed names"));
  EXPECT_EQ(LastIteration(other).error(), "NOT_ALLOWED");
  EXPECT_THAT(Run("split").End().message(),
              HasSubstr("headers.X-Made: got a value with line ends"));
  EXPECT_THAT(service_.Requests(), IsEmpty());
}

TEST_F(TaskCallsTest, S4_35_AWriteWhoseWorkerIsKilledIsSentOnce) {
  reply_ = [](const ReceivedRequest&) { return Silence(); };
  Process& first = StartWorker();
  Put("name: write\nsteps:\n  - {name: call, http: {method: POST, url: \"URL/\", body: x}, "
      "retry_from: call}\n");
  const auto name = Submit(server_, Task("write", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  service_.WaitForRequests(1);
  first.Signal(SIGKILL);
  first.Wait();
  StartWorker();

  const Streamed run = Watch(server_, *name);

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_OUTCOME_UNKNOWN)
      << run.End().message();
  EXPECT_THAT(service_.Requests(), SizeIs(1));
}

TEST_F(TaskCallsTest, S4_35_AReadWhoseWorkerIsKilledIsSentAgain) {
  reply_ = [](const ReceivedRequest& request) {
    return request.number == 0 ? Silence() : Answer(200, "here");
  };
  Process& first = StartWorker();
  Put("name: read\nsteps:\n  - {name: call, http: {method: GET, url: \"URL/\"}}\n");
  const auto name = Submit(server_, Task("read", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  service_.WaitForRequests(1);
  first.Signal(SIGKILL);
  first.Wait();
  StartWorker();

  const Streamed run = Watch(server_, *name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(service_.Requests(), SizeIs(2));
}

TEST_F(TaskCallsTest, ACancelledTaskDoesNotWaitForItsCall) {
  reply_ = [](const ReceivedRequest&) { return Silence(); };
  StartWorker();
  Put("name: long\nsteps:\n  - {name: call, turn_timeout: 10m, http: {method: GET, url: "
      "\"URL/\"}}\n");
  const auto name = Submit(server_, Task("long", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  service_.WaitForRequests(1);

  ASSERT_TRUE(Cancel(server_, *name, "enough").ok());

  EXPECT_EQ(Watch(server_, *name).End().to(), Execution::STATE_CANCELLED);
}

constexpr char kVariables[] = R"(
name: variables
variables:
  - {name: OWNER, script: {name: owner.sh, arguments: ["{{TASK_ID}}"], cache_ttl: 10m}}
  - {name: RELEASE, http: {url: "URL/releases?of={{OWNER}}", secret_headers: {X-Token: token}, path: "items[0].name"}}
  - {name: LINE, text: "{{RELEASE}} by {{OWNER}}"}
  - {name: MAYBE, script: {name: broken.sh}, default_value: nobody}
  - {name: UNUSED, script: {name: unused.sh}}
steps:
  - {name: first, llm: {prompt: "Ship {{LINE}} for {{MAYBE}}.", schema: SCHEMA}}
  - {name: second, depends_on: [first], command: {argv: [echo, "{{OWNER}}"], repeatable: true}}
)";

TEST_F(TaskCallsTest, S4_7_ScriptsAndServicesGiveVariables) {
  reply_ = [](const ReceivedRequest&) { return Answer(200, R"({"items":[{"name":"v2"}]})"); };
  WriteScript("owner.sh", "echo run >> calls.txt; echo \"team of $1\"; echo");
  WriteScript("broken.sh", "echo no team >&2; exit 3");
  WriteScript("unused.sh", "touch unused.txt");
  StartWorker();
  Put(kVariables);

  const Streamed run = Run("variables");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  const auto entries = ReadTranscript(server_, run.snapshot->name());
  EXPECT_THAT(Texts(entries), HasSubstr("Ship v2 by team of T-1 for nobody."));
  EXPECT_EQ(service_.Requests()[0].target, "/releases?of=team%20of%20T-1");
  const Execution task = Get(server_, run.snapshot->name());
  EXPECT_EQ(room_.Git({"show", task.workspace().branch() + ":calls.txt"}), "run")
      << "the second step used what was remembered";
  EXPECT_THAT(room_.Git({"ls-tree", "--name-only", task.workspace().branch()}),
              Not(HasSubstr("unused.txt")));
  std::vector<std::string> warnings;
  for (const ExecutionEvent& event : run.events) {
    for (const std::string& warning : event.iteration_finished().warnings())
      warnings.push_back(warning);
  }
  EXPECT_THAT(warnings, ElementsAre("variable MAYBE: script broken.sh: exit code 3: no team\n; its "
                                    "default is used"));
}

TEST_F(TaskCallsTest, S4_7_WithoutAValueNoModelIsCalled) {
  WriteScript("slow.sh", "sleep 60");
  WriteScript("large.sh", "head -c 1000001 /dev/zero | tr '\\0' x");
  std::filesystem::create_symlink("/bin/echo", absl::StrCat(scripts_, "/outside.sh"));
  std::ofstream(absl::StrCat(scripts_, "/text.sh")) << "echo hello";
  StartWorker();
  const auto failure = [&](const std::string& script) {
    Put(absl::StrCat(
        "name: v\nvariables:\n  - {name: V, script: {name: ", script,
        "}}\nsteps:\n  - {name: s, timeout: 1s, llm: {prompt: \"{{V}}\", schema: SCHEMA}}\n"));
    const Streamed run = Run("v");
    EXPECT_THAT(Texts(ReadTranscript(server_, run.snapshot->name())), Not(HasSubstr("complete")));
    EXPECT_EQ(LastIteration(run).error(), "VARIABLE");
    return LastIteration(run).message();
  };

  EXPECT_THAT(failure("gone.sh"), "variable V: script gone.sh: it is not in tasks.scripts_dir");
  EXPECT_THAT(failure("outside.sh"), HasSubstr("it leads out of tasks.scripts_dir"));
  EXPECT_THAT(failure("text.sh"), HasSubstr("it is not a program"));
  EXPECT_THAT(failure("large.sh"), HasSubstr("printed more than it may"));
  EXPECT_THAT(failure("slow.sh"), HasSubstr("script slow.sh: stopped after 5"));
}

constexpr char kTriggers[] = R"(
name: triggers
variables: [{name: OWNER, script: {name: owner.sh}}]
triggers:
  - {name: audit, when: created, http: {method: POST, url: "URL/audit/{{TASK_ID}}", body: "{{OWNER}}", repeatable: true}}
  - {name: broken, when: created, command: {argv: [sh, -c, "exit 7"], repeatable: true}}
  - {name: ready, when: before_step, steps: [work], command: {argv: [READY], repeatable: true}}
  - {name: done, when: completed, http: {method: PUT, url: "URL/done", body: "{{TASK_STATE}} {{steps.work.output.output}}", repeatable: true}}
  - {name: failed, when: failed, http: {method: PUT, url: "URL/failed", body: "{{TASK_STATE}} {{TASK_REASON}}: {{TASK_MESSAGE}}", repeatable: true}}
steps:
  - {name: look, command: {argv: [cat, README.md], repeatable: true}}
  - {name: work, depends_on: [look], command: {argv: [echo, worked], repeatable: true}}
)";

TEST_F(TaskCallsTest, S4_36_TriggersAreRunAtTheirMoments) {
  WriteScript("owner.sh", "echo team");
  StartWorker();
  Put(absl::StrReplaceAll(kTriggers, {{"READY", "\"true\""}}));

  const Streamed run = Run("triggers");

  ASSERT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(Triggers(run), ElementsAre("audit PASSED", "broken ERROR", "ready before work PASSED",
                                         "done PASSED"));
  const auto requests = service_.Requests();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_EQ(requests[0].target + " " + requests[0].body, "/audit/T-1 team");
  EXPECT_EQ(requests[1].target + " " + requests[1].body, "/done succeeded worked");
}

// Everything that will be run, before anything is.
TEST_F(TaskCallsTest, S4_7_S4_35_S4_36_RulesSeeWhatWillBeRun) {
  WriteScript("owner.sh", "echo team");
  StartWorker();
  Put(absl::StrReplaceAll(kTriggers, {{"READY", "\"true\""}}));
  Put(kVariables);
  Put(kBothKinds);
  const auto input_of = [&](const std::string& workflow) {
    v1::ListPolicyDecisionsRequest request;
    v1::ListPolicyDecisionsResponse decisions;
    grpc::ClientContext context;
    request.set_execution(Run(workflow).snapshot->name());
    EXPECT_TRUE(server_.admin->ListPolicyDecisions(&context, request, &decisions).ok());
    return decisions.decisions_size() == 0 ? "" : decisions.decisions(0).input_json();
  };

  EXPECT_THAT(input_of("triggers"),
              AllOf(HasSubstr(absl::StrCat("\"url\":\"", service_.Url(), "/audit/{{TASK_ID}}\"")),
                    HasSubstr(R"("argv":["sh","-c","exit 7"])"), HasSubstr("WHEN_BEFORE_STEP")));
  EXPECT_THAT(input_of("variables"),
              AllOf(HasSubstr(R"("script":"owner.sh")"),
                    HasSubstr(absl::StrCat(service_.Url(), "/releases?of={{OWNER}}"))));
  EXPECT_THAT(input_of("both"),
              AllOf(HasSubstr(R"("kind":"http")"), HasSubstr(R"("method":"POST")"),
                    HasSubstr(R"("secret_headers":{"Authorization":"token"})")));
}

TEST_F(TaskCallsTest, S4_36_WithoutAWorkspaceOnlyCallsAreMade) {
  StartWorker();
  Put(R"(
name: nothing
triggers:
  - {name: program, when: completed, command: {argv: [touch, made.txt], repeatable: true}}
  - {name: call, when: completed, http: {method: GET, url: "URL/"}}
steps:
  - {name: pass, gate: {kind: skip}, gate_only: {}}
)");

  const Streamed run = Run("nothing");

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(Triggers(run), ElementsAre("program ERROR", "call PASSED"));
}

TEST_F(TaskCallsTest, S4_36_ANoBeforeAStepFailsIt) {
  WriteScript("owner.sh", "echo team");
  StartWorker();
  Put(absl::StrReplaceAll(kTriggers, {{"READY", "sh, -c, \"echo not yet; exit 1\""}}));

  const Streamed run = Run("triggers");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_EQ(run.End().message(), "step work: trigger ready said no: exit code 1: not yet");
  EXPECT_EQ(EndsOf(run.events), "look:SUCCEEDED work:FAILED");
  EXPECT_THAT(Triggers(run), ElementsAre("audit PASSED", "broken ERROR",
                                         "ready before work REJECTED", "failed PASSED"));
  EXPECT_EQ(service_.Requests().back().body,
            "failed PRECONDITION_FAILED: step work: trigger ready said no: exit code 1: not yet");
}

TEST_F(TaskCallsTest, S4_36_ANoAtTheBeginningFailsTheTask) {
  reply_ = [](const ReceivedRequest& request) {
    return request.target == "/failed" ? Answer(200, "") : Answer(409, "frozen\n");
  };
  WriteScript("owner.sh", "echo team");
  StartWorker();
  Put(kTriggers);

  const Streamed run = Run("triggers");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_PRECONDITION_FAILED);
  EXPECT_THAT(run.End().message(),
              AllOf(HasSubstr("trigger audit said no: POST"), HasSubstr("HTTP 409: frozen")));
  EXPECT_EQ(EndsOf(run.events), "");
  EXPECT_THAT(Triggers(run), ElementsAre("audit REJECTED", "failed PASSED"));
}

TEST_F(TaskCallsTest, S4_36_ACancelEndsTriggersAndThoseOfTheEndAreRun) {
  reply_ = [](const ReceivedRequest& request) {
    return request.number == 0 ? Silence() : Answer(200, "");
  };
  WriteScript("owner.sh", "echo team");
  StartWorker();
  Put(kTriggers);
  const auto name = Submit(server_, Task("triggers", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  service_.WaitForRequests(1);

  ASSERT_TRUE(Cancel(server_, *name, "enough").ok());

  const Streamed run = Watch(server_, *name);
  EXPECT_EQ(run.End().to(), Execution::STATE_CANCELLED);
  EXPECT_THAT(Triggers(run), ElementsAre("audit ERROR", "failed PASSED"));
  EXPECT_THAT(service_.Requests().back().body, HasSubstr("cancelled : cancelled by"));
}

struct Loss {
  const char* name;
  const char* target;  // the call during which the worker goes
  int signal;
};

class TaskTriggerLostTest : public TaskCallsTest, public ::testing::WithParamInterface<Loss> {};

TEST_P(TaskTriggerLostTest, S4_36_IsRunAgainByTheNextWorker) {
  bool silent = true;
  reply_ = [&](const ReceivedRequest& request) {
    const bool is_it = request.target == GetParam().target;
    return is_it && std::exchange(silent, false) ? Silence() : Answer(200, "");
  };
  WriteScript("owner.sh", "echo team");
  Process& first = StartWorker();
  Put(absl::StrReplaceAll(kTriggers, {{"READY", "\"true\""}}));
  const auto name = Submit(server_, Task("triggers", &room_), "alice");
  ASSERT_TRUE(name.ok()) << name.status();
  service_.WaitForRequests(std::string_view(GetParam().target) == "/done" ? 2 : 1);
  first.Signal(GetParam().signal);
  first.Wait();
  StartWorker();

  const Streamed run = Watch(server_, *name);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().message();
  EXPECT_THAT(Triggers(run), ElementsAre("audit PASSED", "broken ERROR", "ready before work PASSED",
                                         "done PASSED"));
  EXPECT_THAT(service_.Requests(), SizeIs(3));
}

INSTANTIATE_TEST_SUITE_P(All, TaskTriggerLostTest,
                         ::testing::Values(Loss{"KilledAtItsBeginning", "/audit/T-1", SIGKILL},
                                           Loss{"KilledAtItsEnd", "/done", SIGKILL},
                                           Loss{"DrainedAtItsBeginning", "/audit/T-1", SIGTERM},
                                           Loss{"DrainedAtItsEnd", "/done", SIGTERM}),
                         [](const auto& info) { return info.param.name; });

// A service that says the secret back: in its body, in a header, and in an error.
TEST_F(TaskCallsTest, ASecretHeaderIsInNothingThatIsKept) {
  reply_ = [](const ReceivedRequest& request) {
    const std::string echo = request.head.substr(request.head.find("canary"), 17);
    return Answer(request.target == "/no" ? 400 : 200, absl::StrCat("{\"you\": \"", echo, "\"}"),
                  absl::StrCat("X-You: ", echo, "\r\n"));
  };
  Process& worker = StartWorker();
  Put(R"(
name: canary
variables:
  - {name: SAID, http: {url: "URL/said", secret_headers: {X-Token: token}}}
triggers:
  - {name: tell, when: created, http: {method: GET, url: "URL/told", secret_headers: {X-Token: token}}}
steps:
  - {name: ask, http: {method: POST, url: "URL/ask", secret_headers: {Authorization: token}, output_variable: ANSWER}}
  - {name: use, depends_on: [ask], command: {argv: [echo, "{{ANSWER}}{{SAID}}"], repeatable: true}}
  - {name: fail, depends_on: [use], http: {method: GET, url: "URL/no", secret_headers: {Authorization: token}}}
)");

  const Streamed run = Run("canary");

  EXPECT_EQ(run.End().failure_reason(), Execution::FAILURE_REASON_STEP_FAILED);
  EXPECT_THAT(service_.Requests(), SizeIs(4));
  std::string all = Texts(ReadTranscript(server_, run.snapshot->name()));
  EXPECT_THAT(all, HasSubstr("[redacted]"));
  for (const ExecutionEvent& event : run.events) all += event.DebugString();
  all += worker.Log() + server_.process->Log();
  EXPECT_THAT(all, Not(HasSubstr("canary-7f3b9d2e51")));
  const std::string rows = DumpDatabase(*system_);
  EXPECT_THAT(rows, HasSubstr("redacted"));
  EXPECT_THAT(rows, Not(HasSubstr("canary-7f3b9d2e51")));
}

}  // namespace
}  // namespace capstan::testing
