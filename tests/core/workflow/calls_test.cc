// HTTP steps, variables that are fetched, and triggers, as definitions write them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_replace.h"
#include "core/workflow/loader.h"
#include "core/workflow/templates.h"
#include "tests/support/status_matchers.h"

namespace capstan::workflow {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

// A definition that uses nearly everything; tests change a line of it.
constexpr char kGood[] = R"(name: calls
variables:
  - {name: OWNER, script: {name: owner.sh, arguments: ["{{TASK_ID}}"], cache_ttl: 1m}}
  - {name: RELEASE, http: {url: "https://api.internal/of/{{OWNER}}", path: "items[0].name"}}
  - {name: BOTH, text: "{{RELEASE}} by {{OWNER}}"}
  - {name: PLAIN, text: "plain"}
triggers:
  - name: audit
    when: created
    http: {method: POST, url: "https://audit.internal/", body: "{{TASK_ID}}", repeatable: true}
  - name: ready
    when: before_step
    steps: [push]
    timeout: 20s
    command: {argv: [ready, "{{steps.look.output.status}}"], repeatable: true}
  - name: tell
    when: failed
    command: {argv: [tell, "{{TASK_MESSAGE}}", "{{steps.push.output.status}}"], repeatable: true}
steps:
  - name: look
    http:
      method: GET
      url: "https://api.internal/look?of={{TASK_ID}}"
      headers: {Accept: application/json}
      secret_headers: {Authorization: token}
      output_variable: SEEN
  - name: push
    depends_on: [look]
    condition: {test: {field: SEEN, op: exists}}
    artifact: pushed
    http:
      method: POST
      url: https://api.internal:8443/push
      body: "{{SEEN}} {{BOTH}}"
      success_codes: [201]
      success_pattern: "^ok"
  - name: gate
    depends_on: [push]
    gate: {kind: human}
    gate_only: {}
)";

absl::StatusOr<v1::Workflow> LoadText(std::string_view yaml) {
  return Load(yaml, "w.yaml", [](std::string_view, std::string_view) {
    return absl::StatusOr<std::string>(absl::NotFoundError("no such file"));
  });
}

absl::StatusOr<v1::Workflow> LoadEdited(const std::string& from, const std::string& to) {
  EXPECT_THAT(std::string(kGood), HasSubstr(from));
  return LoadText(absl::StrReplaceAll(kGood, {{from, to}}));
}

std::vector<std::string> NamesOf(const std::vector<const v1::WorkflowVariable*>& variables) {
  std::vector<std::string> names;
  for (const v1::WorkflowVariable* one : variables) names.push_back(one->name());
  return names;
}

TEST(CallsTest, S4_35_S4_36_ADefinitionHasCallsVariablesAndTriggers) {
  const absl::StatusOr<v1::Workflow> workflow = LoadText(kGood);

  ASSERT_OK(workflow);
  EXPECT_EQ(workflow->steps(0).http().secret_headers().at("Authorization"), "token");
  EXPECT_EQ(workflow->triggers(1).when(), v1::WorkflowTrigger::WHEN_BEFORE_STEP);
  EXPECT_EQ(MaxIterations(workflow->steps(0)), 1);
  EXPECT_EQ(OutputVariable(workflow->steps(0)), "SEEN");
}

TEST(CallsTest, ReadsMayBeSentTwiceAndWritesThatSaySo) {
  v1::HttpStep http;
  http.set_method("GET");
  EXPECT_TRUE(IsRepeatable(http));
  http.set_method("HEAD");
  EXPECT_TRUE(IsRepeatable(http));
  http.set_method("PUT");
  EXPECT_FALSE(IsRepeatable(http));
  http.set_repeatable(true);
  EXPECT_TRUE(IsRepeatable(http));
}

TEST(CallsTest, S4_7_OnlyWhatAStepUsesIsFetchedEachAfterWhatItNeeds) {
  const v1::Workflow workflow = LoadText(kGood).value();

  EXPECT_THAT(NamesOf(FetchedFor(workflow, workflow.steps(0))), ElementsAre());
  EXPECT_THAT(NamesOf(FetchedFor(workflow, workflow.steps(1))), ElementsAre("OWNER", "RELEASE"));
  EXPECT_THAT(NamesOf(FetchedFor(workflow, workflow.triggers(0))), ElementsAre());
}

TEST(CallsTest, S4_7_GatesActionsAndJudgedChecksUseThemToo) {
  v1::Workflow workflow = LoadText(kGood).value();
  v1::WorkflowStep step;
  v1::StepGate& gate = *step.mutable_gate();
  const std::vector<std::function<void()>> users = {
      [&] { gate.mutable_judge()->set_prompt("Of {{OWNER}}?"); },
      [&] { gate.mutable_script()->add_argv("{{OWNER}}"); }};
  for (const auto& use : users) {
    gate.Clear();
    use();
    EXPECT_THAT(NamesOf(FetchedFor(workflow, gate)), ElementsAre("OWNER"));
    EXPECT_THAT(NamesOf(FetchedFor(workflow, step)), ElementsAre()) << "not what its step uses";
  }
  (*step.mutable_action()->mutable_parameters()->mutable_fields())["name"].set_string_value(
      "{{OWNER}}");
  EXPECT_THAT(NamesOf(FetchedFor(workflow, step)), ElementsAre("OWNER"));
  step.mutable_check();
  step.add_checks()->mutable_judge()->set_prompt("{{RELEASE}}?");
  EXPECT_THAT(NamesOf(FetchedFor(workflow, step)), ElementsAre("OWNER", "RELEASE"));
}

struct Edit {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class CallsRefusedTest : public ::testing::TestWithParam<Edit> {};

TEST_P(CallsRefusedTest, TheEdit) {
  EXPECT_THAT(LoadEdited(GetParam().from, GetParam().to),
              StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Calls, CallsRefusedTest,
    ::testing::Values(
        Edit{"Method", "method: POST\n", "method: TRACE\n",
             "w.yaml:32: steps[1].http.method: got \"TRACE\", want GET, HEAD"},
        Edit{"HostByAVariable", "https://api.internal/look", "https://{{TASK_ID}}/look",
             "w.yaml:23: steps[0].http.url: got a host that a variable gives"},
        Edit{"PartOfTheHost", "https://api.internal/look", "https://api.{{TASK_ID}}.internal/look",
             "got a host that a variable gives"},
        Edit{"PortByAVariable", "https://api.internal/look", "https://api.internal:{{TASK_ID}}/x",
             "got a host that a variable gives"},
        Edit{"HostsEndByAVariable", "https://api.internal/look?of=", "https://api.internal",
             "got a host that a variable gives"},
        Edit{"SchemeByAVariable", "https://api.internal/look", "{{TASK_ID}}://api.internal/look",
             "got a host that a variable gives"},
        Edit{"NoUrl", "url: https://api.internal:8443/push", "url: \"\"", "steps[1].http.url: got"},
        Edit{"User", "https://api.internal:8443/push", "https://me@api.internal:8443/push",
             "a URL with more or less than a host"},
        Edit{"OtherScheme", "https://api.internal:8443/push", "file:///etc/passwd",
             "want https:// or http://"},
        Edit{"SecretInTheOpen", "headers: {Accept: application/json}",
             "headers: {authorization: Bearer x}",
             "steps[0].http.headers.authorization: got a value that all can read"},
        Edit{"HeaderOfTheTransfer", "headers: {Accept: application/json}",
             "headers: {Content-Length: 7}",
             "w.yaml:24: steps[0].http.headers.Content-Length: got \"Content-Length\", want a"},
        Edit{"HeaderTwice", "headers: {Accept: application/json}",
             "headers: {accept: a, Accept: b}", "want each header once"},
        Edit{"HeaderInBoth", "secret_headers: {Authorization: token}",
             "secret_headers: {ACCEPT: token}", "want each header once"},
        Edit{"HeaderLine", "headers: {Accept: application/json}", "headers: {Accept: \"a\\nb: c\"}",
             "got a value with control characters"},
        Edit{"BodyOfAGet", "output_variable: SEEN", "output_variable: SEEN\n      body: x",
             "steps[0].http.body: got one, want none with GET"},
        Edit{"Code", "[201]", "[99]", "steps[1].http.success_codes[0]: got 99, want 100 to 599"},
        Edit{"Pattern", "\"^ok\"", "\"(\"", "steps[1].http.success_pattern: got \"(\""},
        Edit{"OutputIsTaken", "output_variable: SEEN", "output_variable: PLAIN",
             "steps[0].http.output_variable: got \"PLAIN\""},
        Edit{"BodyTag", "{{SEEN}} {{BOTH}}", "{{NOWHERE}}",
             "w.yaml:34: steps[1].http.body: got \"NOWHERE\""},
        Edit{"UrlTag", "look?of={{TASK_ID}}", "look?of={{steps.push.output.status}}",
             "want it only in steps that depend on \"push\""}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Variables, CallsRefusedTest,
    ::testing::Values(
        Edit{"ScriptOutside", "name: owner.sh", "name: ../owner.sh",
             "w.yaml:3: variables[0].script.name: got \"../owner.sh\", want a file's name"},
        Edit{"ScriptByPath", "name: owner.sh", "name: /bin/sh", "want a file's name"},
        Edit{"HiddenScript", "name: owner.sh", "name: .owner", "want a file's name"},
        Edit{"Option", "name: owner.sh", "name: -x", "want a file's name"},
        Edit{"Path", "items[0].name", "items[", "variables[1].http.path: got \"items[\""},
        Edit{"Host", "https://api.internal/of/", "https://{{PLAIN}}/of/",
             "variables[1].http.url: got a host that a variable gives"},
        Edit{"Cycle", "arguments: [\"{{TASK_ID}}\"]", "arguments: [\"{{BOTH}}\"]",
             "got the cycle BOTH"},
        Edit{"InACondition", "field: SEEN, op: exists", "field: OWNER, op: exists",
             "steps[1].condition.test.field: got \"OWNER\", want nothing that a script or a"},
        Edit{"BehindACondition", "field: SEEN, op: exists", "field: BOTH, op: exists",
             "got \"BOTH\", want nothing that a script or a service gives"},
        Edit{"EndInAStep", "{{SEEN}} {{BOTH}}", "{{TASK_STATE}}",
             "got \"TASK_STATE\", want it only in triggers of completed and failed"},
        Edit{"EndBehindAVariable", "text: \"{{RELEASE}} by", "text: \"{{TASK_STATE}} by",
             "got \"TASK_STATE\", want it only in triggers"},
        Edit{"EndIsTaken", "name: PLAIN", "name: TASK_REASON", "no variable of the task has"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Triggers, CallsRefusedTest,
    ::testing::Values(
        Edit{"Twice", "name: ready", "name: audit", "triggers[1].name: got \"audit\", want a name"},
        Edit{"Name", "name: ready", "name: Ready", "triggers[1].name: got \"Ready\""},
        Edit{"When", "when: created", "when: sometimes", "w.yaml:9: triggers[0].when: got"},
        Edit{"NoWhen", "    when: created\n", "", "triggers[0].when: got none, want created"},
        Edit{"NotRepeatable", "body: \"{{TASK_ID}}\", repeatable: true", "body: x",
             "triggers[0].http.repeatable: got false, want true"},
        Edit{"CommandNotRepeatable", "\"{{steps.look.output.status}}\"], repeatable: true", "x]",
             "triggers[1].command.repeatable: got false"},
        Edit{"Output", "body: \"{{TASK_ID}}\", repeatable: true",
             "repeatable: true, output_variable: X", "triggers[0].http.output_variable: got one"},
        Edit{"StepsElsewhere", "    when: created\n", "    when: created\n    steps: [look]\n",
             "triggers[0].steps: got some, want none unless"},
        Edit{"StepsNowhere", "steps: [push]", "steps: [gone]",
             "triggers[1].steps[0]: got \"gone\", want a step that does something"},
        Edit{"OnlyAGate", "steps: [push]", "steps: [gate]", "want a step that does something"},
        Edit{"TooLong", "timeout: 20s", "timeout: 20m", "triggers[1].timeout: got 1200 s"},
        Edit{
            "BeforeItsStep", "    steps: [push]\n", "",
            "triggers[1].command.argv[1]: got \"steps.look.output.status\", want it only in steps"},
        Edit{"BeforeAll", "body: \"{{TASK_ID}}\"", "body: \"{{SEEN}}\"",
             "triggers[0].http.body: got \"SEEN\", want nothing that a step gives"},
        Edit{"EndTooEarly", "body: \"{{TASK_ID}}\"", "body: \"{{TASK_MESSAGE}}\"",
             "want it only in triggers of completed and failed"},
        Edit{"UnknownTag", "[tell, \"{{TASK_MESSAGE}}\"", "[tell, \"{{NOWHERE}}\"",
             "w.yaml:18: triggers[2].command.argv[1]: got \"NOWHERE\""},
        Edit{"NoKind",
             "    http: {method: POST, url: \"https://audit.internal/\", body: \"{{TASK_ID}}\", "
             "repeatable: true}\n",
             "", "triggers[0]: got no kind, want one of command, http"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace capstan::workflow
