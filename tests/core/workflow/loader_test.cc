#include "core/workflow/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_replace.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::workflow {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

constexpr char kSchema[] = R"({"type": "object", "required": ["status"], "properties": {
    "status": {"enum": ["complete", "continue", "blocked"]}, "artifact": {"type": "string"}}})";

// A definition that uses nearly everything; tests change a line of it.
constexpr char kGood[] = R"(name: good
description: Builds it.
requires_spec: true
max_retries: 3
cleanup: on_success
variables:
  - {name: RULES, fragment: rules.md}
  - {name: SUMMARY, step_output: spec.output.summary}
  - {name: BOTH, text: "{{RULES}} and {{SUMMARY}}"}
  - {name: LATER, step_output: build.output.text, default_value: ""}
  - {name: TEAM, input: team, default_value: nobody}
steps:
  - name: spec
    artifact: spec
    llm:
      prompt_file: spec.md
      schema_file: content.json
      thinking_tokens: 100
  - name: build
    depends_on: [spec]
    timeout: 10m
    retry_from: spec
    command:
      argv: [make, "{{TASK_ID}}", "{{BOTH}}{{SPEC_CONTENT}}"]
      success_pattern: "ok$"
      output_variable: LOG
    checks:
      - {name: lint, command: lint, on_failure: warn}
      - {name: unit, argv: [make, test]}
  - name: ask
    depends_on: [build]
    condition:
      any:
        - test: {field: LOG, op: contains, value: warning}
        - test: {field: steps.spec.output.risky, op: eq, value: true}
    gate: {kind: human, quorum: 2, groups: [leads], timeout: 1h}
    gate_only: {}
  - name: verify
    depends_on: [ask]
    loop:
      to_step: build
      condition: {test: {field: steps.verify.output.again, op: eq, value: true}}
    check: {}
    checks:
      - {name: lint, command: lint}
)";

constexpr char kGate[] = "{kind: human, quorum: 2, groups: [leads], timeout: 1h}";

absl::StatusOr<std::string> ReadPartOfTest(std::string_view kind, std::string_view name) {
  if (kind == "prompts" && name == "spec.md") return "Specify {{TASK_TITLE}} for {{TEAM}}.\n";
  if (kind == "prompts" && name == "judge.md") return "Is {{steps.build.output.x}} good?\n";
  if (kind == "schemas" && name == "content.json") return kSchema;
  if (kind == "prompts/fragments" && name == "rules.md") return "Be {{exact}}.";
  if (kind == "prompts" && name == "broken.md") return "one\n{{two\n";
  return absl::NotFoundError("no such file");
}

absl::StatusOr<v1::Workflow> LoadText(std::string_view yaml) {
  return Load(yaml, "w.yaml", ReadPartOfTest);
}

// The good one with `from`, which must be in it, replaced.
absl::StatusOr<v1::Workflow> LoadEdited(const std::string& from, const std::string& to) {
  EXPECT_THAT(std::string(kGood), HasSubstr(from));
  return LoadText(absl::StrReplaceAll(kGood, {{from, to}}));
}

v1::Workflow Good() { return LoadText(kGood).value(); }

TEST(LoaderTest, S4_1_ADefinitionHoldsTheTextsOfItsFiles) {
  const absl::StatusOr<v1::Workflow> workflow = LoadText(kGood);

  ASSERT_OK(workflow);
  EXPECT_EQ(workflow->steps(0).llm().prompt(), "Specify {{TASK_TITLE}} for {{TEAM}}.\n");
  EXPECT_EQ(workflow->steps(0).llm().schema(), kSchema);
  EXPECT_EQ(workflow->variables(0).fragment(), "Be {{exact}}.");
  EXPECT_THAT(Check(*workflow), IsOk());
}

TEST(LoaderTest, S4_1_TheVersionChangesWithEverythingInIt) {
  v1::Workflow workflow = Good();
  const std::string digest = Digest(workflow);

  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(Digest(Good()), digest);
  workflow.mutable_steps(0)->mutable_llm()->set_prompt("other");
  EXPECT_NE(Digest(workflow), digest);
}

TEST(LoaderTest, TheDigestDoesNotDependOnTheOrderOfMaps) {
  v1::Workflow a = Good();
  v1::Workflow b = Good();
  auto& of_a = *a.mutable_steps(2)->mutable_condition()->mutable_any(0)->mutable_test();
  auto& of_b = *b.mutable_steps(2)->mutable_condition()->mutable_any(0)->mutable_test();
  for (int i = 0; i < 50; ++i) {
    auto& fields_a = *of_a.mutable_value()->mutable_struct_value()->mutable_fields();
    auto& fields_b = *of_b.mutable_value()->mutable_struct_value()->mutable_fields();
    fields_a[std::to_string(i)].set_number_value(1);
    fields_b[std::to_string(49 - i)].set_number_value(1);
  }

  EXPECT_EQ(Digest(a), Digest(b));
}

TEST(LoaderTest, EveryErrorIsReportedAtOnceWithItsLine) {
  const absl::StatusOr<v1::Workflow> workflow = LoadText(
      "name: Bad\ncolour: red\nsteps:\n  - name: a\n    depends_on: [gone]\n    retry_from: b\n"
      "    command: {argv: []}\n  - name: b\n    llm: {prompt_file: gone.md, schema_file: "
      "content.json}\n  - name: c\n");

  EXPECT_THAT(
      workflow,
      StatusIs(kInvalid,
               AllOf(HasSubstr("w.yaml:1: name: got \"Bad\", want [a-z]"),
                     HasSubstr("w.yaml:2: colour: unknown key"),
                     HasSubstr("w.yaml:5: steps[0].depends_on[0]: got \"gone\", want the name of"),
                     HasSubstr("w.yaml:6: steps[0].retry_from: got \"b\", want \"a\" itself or"),
                     HasSubstr("w.yaml:7: steps[0].command.argv: got 0 of them, want 1 to 64"),
                     HasSubstr("w.yaml:9: steps[1].llm.prompt_file: got \"gone.md\": no such file"),
                     HasSubstr("w.yaml:10: steps[2]: got no kind"))));
}

TEST(LoaderTest, AnActionHasParametersThatAreTemplates) {
  const absl::StatusOr<v1::Workflow> workflow = LoadText(
      "name: acts\nsteps:\n  - name: scale\n    action:\n      action: ScaleDeployment\n"
      "      parameters: {deployment: \"{{TASK_ID}}\", replicas: 3, force: true}\n"
      "      timeout: 2m\n      on_conflict: reject\n");

  ASSERT_OK(workflow);
  const v1::ActionStep& action = workflow->steps(0).action();
  EXPECT_EQ(action.action(), "ScaleDeployment");
  EXPECT_EQ(action.parameters().fields().at("deployment").string_value(), "{{TASK_ID}}");
  EXPECT_EQ(action.parameters().fields().at("replicas").number_value(), 3);
  EXPECT_TRUE(action.parameters().fields().at("force").bool_value());
  EXPECT_EQ(action.timeout().seconds(), 120);
  EXPECT_EQ(action.on_conflict(), v1::Execution::ON_CONFLICT_REJECT);
}

TEST(LoaderTest, EverythingThatIsWrongWithAnActionIsSaidWithItsLine) {
  EXPECT_THAT(
      LoadText("name: acts\nsteps:\n  - name: a\n    max_iterations: 3\n    turn_timeout: 1m\n"
               "    checks: [{name: c, argv: [make]}]\n    action:\n      colour: red\n"
               "      parameters:\n        one: \"{{NOBODY}}\"\n        two: [1]\n"
               "        one: 2\n"),
      StatusIs(
          kInvalid,
          AllOf(HasSubstr("w.yaml:4: steps[0].max_iterations: got 3, want none"),
                HasSubstr("w.yaml:5: steps[0].turn_timeout: got one, want none on an action"),
                HasSubstr("w.yaml:6: steps[0].checks: got some, want none on an action"),
                HasSubstr("w.yaml:8: steps[0].action.colour: unknown key"),
                HasSubstr("w.yaml:10: steps[0].action.parameters.one: got \"NOBODY\", want a"),
                HasSubstr("w.yaml:11: steps[0].action.parameters.two: got a list, want a text"),
                HasSubstr("w.yaml:12: steps[0].action.parameters.one: "),
                HasSubstr("steps[0].action.action: got \"\", want an action of the catalog"))));
}

TEST(LoaderTest, WhatIsNotYamlIsSaidOnce) {
  EXPECT_THAT(LoadText("name: a: b\n"),
              StatusIs(kInvalid, ::testing::Eq("w.yaml:1: not YAML: illegal map value")));
}

TEST(LoaderTest, CheckNamesFieldsWhereThereAreNoLines) {
  v1::Workflow workflow = Good();
  workflow.mutable_steps(1)->set_retry_from("verify");

  EXPECT_THAT(Check(workflow), StatusIs(kInvalid, HasSubstr("steps[1].retry_from: got \"verify\", "
                                                            "want \"build\" itself or a step")));
  EXPECT_THAT(Check({}), StatusIs(kInvalid, HasSubstr("steps: got 0 of them, want 1 to 64")));
}

TEST(LoaderTest, S4_34_ACycleIsRefusedAndShown) {
  EXPECT_THAT(
      LoadText("name: a\nsteps:\n  - {name: c, command: {argv: [x]}}\n"
               "  - {name: b, depends_on: [c, a], command: {argv: [x]}}\n"
               "  - {name: a, depends_on: [b], command: {argv: [x]}}\n"),
      StatusIs(kInvalid, HasSubstr("w.yaml:5: steps[2].depends_on: got the cycle a -> b -> a")));
  EXPECT_THAT(LoadText("name: a\nsteps: [{name: a, depends_on: [a], command: {argv: [x]}}]"),
              StatusIs(kInvalid, HasSubstr("got the cycle a -> a")));
}

TEST(LoaderTest, S4_34_AGraphMayForkAndJoin) {
  EXPECT_OK(
      LoadText("name: a\nsteps:\n  - {name: d, depends_on: [b, c], command: {argv: [x]}}\n"
               "  - {name: b, depends_on: [a], command: {argv: [x]}}\n"
               "  - {name: c, depends_on: [a], command: {argv: [x]}}\n"
               "  - {name: a, command: {argv: [x]}}\n"));
}

TEST(LoaderTest, AVariableThatNeedsItselfIsRefusedAndShown) {
  EXPECT_THAT(LoadEdited("fragment: rules.md", "text: \"{{BOTH}}\""),
              StatusIs(kInvalid, HasSubstr("got the cycle BOTH -> RULES -> BOTH")));
}

TEST(LoaderTest, ManyVariablesThatUseEachOtherAreCheckedInShortTime) {
  std::string yaml = "name: a\nvariables:\n  - {name: A0, text: x}\n  - {name: B0, text: x}\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = std::to_string(i - 1);
    const std::string text = "{{A" + before + "}}{{B" + before + "}}";
    yaml += "  - {name: A" + std::to_string(i) + ", text: \"" + text + "\"}\n";
    yaml += "  - {name: B" + std::to_string(i) + ", text: \"" + text + "\"}\n";
  }

  EXPECT_OK(LoadText(yaml + "steps: [{name: a, command: {argv: [\"{{A59}}\"]}}]\n"));
}

struct Edit {
  const char* name;
  const char* from;
  const char* to;
  const char* message;
};

class LoaderRefusesTest : public ::testing::TestWithParam<Edit> {};

TEST_P(LoaderRefusesTest, TheEdit) {
  EXPECT_THAT(LoadEdited(GetParam().from, GetParam().to),
              StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Names, LoaderRefusesTest,
    ::testing::Values(
        Edit{"WorkflowName", "name: good", "name: Good", "name: got \"Good\""},
        Edit{"StepName", "name: ask", "name: Ask", "steps[2].name: got \"Ask\""},
        Edit{"StepTwice", "name: ask", "name: build", "a name that no other step has"},
        Edit{"ArtifactName", "artifact: spec", "artifact: S p", "steps[0].artifact: got \"S p\""},
        Edit{"CheckTwice", "name: unit", "name: lint", "steps[1].checks[1].name: got \"lint\""},
        Edit{"VariableName", "name: TEAM", "name: Team", "variables[4].name: got \"Team\""},
        Edit{"VariableTwice", "name: LATER", "name: TEAM", "a name that no other variable has"},
        Edit{"TaskVariable", "name: TEAM", "name: TASK_ID", "no variable of the task has"},
        Edit{"OutputIsAVariable", "output_variable: LOG", "output_variable: TEAM",
             "steps[1].command.output_variable: got \"TEAM\""},
        Edit{"OutputIsATaskVariable", "output_variable: LOG", "output_variable: TASK_ID",
             "got \"TASK_ID\", want a name that no other variable has"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Graph, LoaderRefusesTest,
    ::testing::Values(
        Edit{"DependsTwice", "depends_on: [spec]", "depends_on: [spec, spec]", "each step once"},
        Edit{"RetryFromLater", "retry_from: spec", "retry_from: verify",
             "w.yaml:22: steps[1].retry_from: got \"verify\""},
        Edit{"RetryFromNowhere", "retry_from: spec", "retry_from: gone", "the name of a step"},
        Edit{"LoopToNowhere", "to_step: build", "to_step: gone", "loop.to_step: got \"gone\""},
        Edit{"LoopWithoutEnd",
             "      condition: {test: {field: steps.verify.output.again, op: eq, value: true}}\n",
             "", "steps[3].loop.condition: got none"},
        Edit{"NoKind", "    check: {}\n", "", "steps[3]: got no kind"},
        Edit{"TwoKinds", "    check: {}\n", "    check: {}\n    gate_only: {}\n",
             "got check too, want only one of them"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Fields, LoaderRefusesTest,
    ::testing::Values(
        Edit{"NegativeRetries", "max_retries: 3", "max_retries: -1", "got -1, want 0 to 1000"},
        Edit{"LongTimeout", "timeout: 10m", "timeout: 9999h", "steps[1].timeout: got 35996400 s"},
        Edit{"ManyTokens", "thinking_tokens: 100", "thinking_tokens: 999999", "want 0 to 131072"},
        Edit{"UnknownEngine", "thinking_tokens: 100", "engine: gpt",
             "want claude_cli, messages_api"},
        Edit{"NoProgram", "[make, test]", "[\"\"]", "checks[1].argv[0]: got \"\", want a program"},
        Edit{"NeitherArgvNorCommand", "argv: [make, test]", "timeout: 1s",
             "got none of argv, command and judge"},
        Edit{"BothArgvAndCommand", "argv: [make, test]", "argv: [make], command: tests",
             "got more than one of argv"},
        Edit{"CommandOfACheck", "name: lint, command: lint, on_failure: warn",
             "name: lint, command: \"make lint\"", "the name of a command that the task brings"},
        Edit{"UnknownOnFailure", "on_failure: warn", "on_failure: stop",
             "one of block, warn, skip"},
        Edit{"Pattern", "\"ok$\"", "\"ok(\"", "success_pattern: got \"ok(\", want a regular"},
        Edit{"Directory", "success_pattern: \"ok$\"", "directory: a/../../b",
             "want a folder under the workspace"},
        Edit{"AbsoluteDirectory", "success_pattern: \"ok$\"", "directory: /etc",
             "want a folder under the workspace"},
        Edit{"ExitCode", "success_pattern: \"ok$\"", "success_codes: [0, 256]",
             "success_codes[1]: got 256"},
        Edit{"NothingToCheck", "    checks:\n      - {name: lint, command: lint}\n", "",
             "the step is its checks"},
        Edit{"ArtifactOfAGate", "    gate_only: {}", "    artifact: x\n    gate_only: {}",
             "want none: the step has no text"},
        Edit{"NoSchema", "      schema_file: content.json\n", "", "llm.schema: got none"},
        Edit{"NoPrompt", "      prompt_file: spec.md\n", "", "llm.prompt: got none"},
        Edit{"SchemaWithoutEvidence", "thinking_tokens: 100", "evidence_required: true",
             "got no property \"tests\", want one since evidence_required is set"},
        Edit{"VariableWithoutSource", "input: team, default_value: nobody", "", "got no source"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    S4_29_Gates, LoaderRefusesTest,
    ::testing::Values(
        Edit{"NoKind", kGate, "{quorum: 2}", "steps[2].gate.kind: got none"},
        Edit{"Ai", kGate, "{kind: ai}", "want one of auto, human, skip, model"},
        Edit{"NoGate", "    gate: {kind: human, quorum: 2, groups: [leads], timeout: 1h}\n", "",
             "the step is its gate"},
        Edit{"AutoWithQuorum", kGate, "{kind: auto, quorum: 2}", "quorum: got one, want none"},
        Edit{"AutoWithGroups", kGate, "{kind: auto, groups: [a]}", "groups: got one, want none"},
        Edit{"AutoWithTimeout", kGate, "{kind: auto, timeout: 1h}", "timeout: got one, want none"},
        Edit{"HumanWithCriteria", kGate,
             "{kind: human, criteria: {test: {field: LOG, op: exists}}}", "unless kind is auto"},
        Edit{"SkipWithReject", kGate, "{kind: skip, on_reject: fail}",
             "unless kind is auto, human or model"},
        Edit{"ModelWithoutJudge", kGate, "{kind: model}", "gate.judge: got none, want one"},
        Edit{"JudgeOfPeople", kGate, "{kind: human, judge: {prompt: good}}",
             "judge: got one, want none unless kind is model"},
        Edit{"JudgeWithoutPrompt", kGate, "{kind: model, judge: {model: fast}}",
             "gate.judge.prompt: got none"},
        Edit{"JudgeWithoutFile", kGate, "{kind: model, judge: {prompt_file: gone.md}}",
             "gate.judge.prompt_file: got \"gone.md\""},
        Edit{"JudgeOfALaterStep", kGate,
             "{kind: model, judge: {prompt: \"{{steps.verify.state}}\"}}",
             "gate.judge.prompt: got \"steps.verify.state\""},
        Edit{"JudgeOfItself", kGate, "{kind: model, judge: {prompt: \"{{steps.ask.state}}\"}}",
             "gate.judge.prompt: got \"steps.ask.state\""},
        Edit{"UnknownEngine", kGate, "{kind: model, judge: {prompt: a, engine: gpt}}",
             "gate.judge.engine: got \"gpt\""},
        Edit{"ReactionOfSkip", kGate, "{kind: skip, mode: reaction}", "mode: got one, want none"},
        Edit{"ReactionThatSkips", kGate, "{kind: human, mode: reaction, on_reject: skip_step}",
             "on_reject: got skip_step, want fail, retry or run_script: in mode reaction"},
        Edit{"ReactionThatContinues", kGate, "{kind: human, mode: reaction, on_reject: continue}",
             "on_reject: got continue, want fail, retry or run_script: in mode reaction"},
        Edit{"CriteriaOfItself", kGate,
             "{kind: auto, criteria: {test: {field: steps.ask.state, op: exists}}}",
             "gate.criteria.test.field: got \"steps.ask.state\""},
        Edit{"NoScript", kGate, "{kind: human, on_reject: run_script}",
             "gate.script: got none, want one since on_reject is run_script"},
        Edit{"ScriptForNothing", kGate, "{kind: human, script: {argv: [a], repeatable: true}}",
             "gate.script: got one, want none unless on_reject is run_script"},
        Edit{"ScriptThatIsNotRepeatable", kGate,
             "{kind: human, on_reject: run_script, script: {argv: [a]}}",
             "gate.script.repeatable: got false, want true"},
        Edit{"ScriptWithoutProgram", kGate,
             "{kind: human, on_reject: run_script, script: {repeatable: true}}",
             "gate.script.argv: got 0 of them"},
        Edit{"ScriptWithOutput", kGate,
             "{kind: human, on_reject: run_script, script: {argv: [a], repeatable: true, "
             "output_variable: X}}",
             "gate.script.output_variable: got \"X\""},
        Edit{"RetryToNowhere", kGate, "{kind: human, on_reject: retry}", "or a retry_from"},
        Edit{"Quorum", kGate, "{kind: human, quorum: 21}", "quorum: got 21, want 0 to 20"},
        Edit{"EmptyGroup", kGate, "{kind: human, groups: [\"\"]}", "groups[0]: got \"\""}),
    [](const auto& info) { return info.param.name; });

constexpr char kTest[] = "{field: LOG, op: contains, value: warning}";

INSTANTIATE_TEST_SUITE_P(
    S4_32_Conditions, LoaderRefusesTest,
    ::testing::Values(
        Edit{"Nothing", "test: {field: LOG, op: contains, value: warning}", "{}",
             "steps[2].condition.any[0]: got 0 of all, any and test"},
        Edit{"AllAndAny", "      any:\n",
             "      all: [{test: {field: LOG, op: exists}}]\n      any:\n",
             "got 2 of all, any and test, want exactly one"},
        Edit{"UnknownOperator", kTest, "{field: LOG, op: like, value: a}",
             "got \"like\", want one of eq, neq, in, contains, exists, gt, lt"},
        Edit{"NoOperator", kTest, "{field: LOG, value: a}", "test.op: got none"},
        Edit{"NoValue", kTest, "{field: LOG, op: eq}", "test.value: got none"},
        Edit{"ValueOfExists", kTest, "{field: LOG, op: exists, value: 1}", "want none with exists"},
        Edit{"InWithoutList", kTest, "{field: LOG, op: in, value: a}", "want a list with in"},
        Edit{"TextIsGreater", kTest, "{field: LOG, op: gt, value: \"3\"}",
             "want one with gt and lt"},
        Edit{"NoField", kTest, "{op: exists}", "test.field: got \"\", want a variable"},
        Edit{"FieldIsNoPath", kTest, "{field: log, op: exists}", "got \"log\", want a variable"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    References, LoaderRefusesTest,
    ::testing::Values(
        Edit{"UnknownVariable", "{{TASK_ID}}", "{{TASK_IDS}}",
             "w.yaml:24: steps[1].command.argv[1]: got \"TASK_IDS\", want a variable that"},
        Edit{"NoTemplate", "{{TASK_ID}}", "{{TASK_ID", "argv[1]: line 1: got"},
        Edit{"BrokenPrompt", "prompt_file: spec.md", "prompt_file: broken.md",
             "w.yaml:16: steps[0].llm.prompt: line 2: got \"{{two"},
        Edit{"UnknownStep", "{{TASK_ID}}", "{{steps.gone.output.x}}",
             "want a step of this workflow"},
        Edit{"LaterStep", "{{TASK_ID}}", "{{steps.verify.state}}",
             "want it only in steps that depend on \"verify\""},
        Edit{"ItselfBeforeItRan", "{{TASK_ID}}", "{{steps.build.output.x}}",
             "want it only in steps that depend on \"build\""},
        Edit{"UnknownVariableInCondition", "field: LOG", "field: LOGS",
             "got \"LOGS\", want a variable"},
        Edit{"ItselfInItsCondition", "field: LOG", "field: steps.ask.state",
             "steps[2].condition.any[0].test.field: got \"steps.ask.state\""},
        Edit{"OutputOfALaterStep", "{{TASK_ID}}", "{{LOG}}", "got \"LOG\", want it only in steps"},
        Edit{"VariableOfALaterStep", "step_output: spec.output.summary",
             "step_output: verify.output.summary", "got \"BOTH\", want it only in steps that"},
        Edit{"NoArtifact", "{{TASK_ID}}", "{{steps.spec.artifact}}{{steps.build.artifact}}",
             "got \"steps.build.artifact\", want a step that keeps an artifact"},
        Edit{"StepOutputIsNoPath", "step_output: spec.output.summary", "step_output: spec",
             "variables[1].step_output: got \"spec\""},
        Edit{"StepOutputOfNoStep", "step_output: spec.output.summary", "step_output: x.artifact",
             "variables[1].step_output: got \"steps.x.artifact\""},
        Edit{"SpecBeforeItIsWritten",
             "    depends_on: [spec]\n    timeout: 10m\n    retry_from: spec\n", "",
             "got \"SPEC_CONTENT\", want it only in steps that depend on \"spec\""},
        Edit{"MissingFragment", "rules.md", "other.md", "variables[0].fragment: got \"other.md\""}),
    [](const auto& info) { return info.param.name; });

TEST(LoaderTest, AVariableWithADefaultMayBeUsedBeforeItsStep) {
  EXPECT_OK(LoadEdited("{{TASK_ID}}", "{{LATER}}"));
}

TEST(LoaderTest, S4_29_CriteriaOfAReactionMayLookAtTheirOwnStep) {
  EXPECT_OK(LoadEdited(
      kGate,
      "{kind: auto, mode: reaction, criteria: {test: {field: steps.ask.state, op: exists}}}"));
}

TEST(LoaderTest, S4_29_AJudgementHoldsTheTextOfItsFileAndAScriptKnowsWhy) {
  const absl::StatusOr<v1::Workflow> workflow =
      LoadEdited(kGate,
                 "{kind: model, judge: {prompt_file: spec.md, model: fast}, on_reject: run_script, "
                 "script: {argv: [repair, \"{{GATE_REASON}}\"], repeatable: true}}");

  ASSERT_OK(workflow);
  EXPECT_EQ(workflow->steps(2).gate().judge().prompt(), "Specify {{TASK_TITLE}} for {{TEAM}}.\n");
}

TEST(LoaderTest, S4_27_ACheckThatIsAJudgementMayLookAtTheWorkOfItsStep) {
  const absl::StatusOr<v1::Workflow> workflow =
      LoadEdited("argv: [make, test]", "judge: {prompt_file: judge.md}");

  ASSERT_OK(workflow);
  EXPECT_EQ(workflow->steps(1).checks(1).judge().prompt(), "Is {{steps.build.output.x}} good?\n");
}

TEST(LoaderTest, ALoopMayLookAtItsOwnStep) {
  EXPECT_OK(LoadEdited("steps.verify.output.again", "steps.verify.state"));
}

TEST(LoaderTest, S4_3_ATaskMustBringASpecificationThatNoStepWrites) {
  v1::Workflow workflow = Good();
  EXPECT_FALSE(TaskMustBringSpec(workflow));

  workflow.mutable_steps(0)->clear_artifact();
  EXPECT_TRUE(TaskMustBringSpec(workflow));

  workflow.set_requires_spec(false);
  EXPECT_FALSE(TaskMustBringSpec(workflow));
}

TEST(LoaderTest, DefaultsAreInForceWhereNothingIsSaid) {
  v1::WorkflowStep model;
  model.mutable_llm();
  v1::WorkflowStep set;
  set.set_max_iterations(7);
  v1::Workflow retries;
  retries.set_max_retries(2);
  v1::StepLoop loops;
  loops.set_max_loops(9);

  EXPECT_EQ(MaxIterations(model), 20);
  EXPECT_EQ(MaxIterations({}), 1);
  EXPECT_EQ(MaxIterations(set), 7);
  EXPECT_EQ(MaxRetries({}), 5);
  EXPECT_EQ(MaxRetries(retries), 2);
  EXPECT_EQ(MaxLoops({}), 3);
  EXPECT_EQ(MaxLoops(loops), 9);
}

TEST(LoaderTest, RefusesWhatIsTooLarge) {
  v1::Workflow many = Good();
  for (int i = 0; i < 64; ++i) *many.add_steps() = many.steps(0);
  v1::Workflow large = Good();
  large.mutable_steps(0)->mutable_llm()->set_prompt(std::string(256 * 1024 + 1, 'x'));

  EXPECT_THAT(Check(many), StatusIs(kInvalid, HasSubstr("got 68 of them, want 1 to 64")));
  EXPECT_THAT(Check(large), StatusIs(kInvalid, HasSubstr("got 262145 bytes, want at most 262144")));
  EXPECT_THAT(LoadText(std::string(1024 * 1024 + 1, '#')), StatusIs(kInvalid, HasSubstr("bytes")));
}

TEST(LoadAllTest, SaysThatThereIsNoSuchFolder) {
  EXPECT_THAT(LoadAll("tests/no-such-catalog"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("tests/no-such-catalog/workflows")));
}

class LoadAllFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) { directory_.Write(path, text); }

  absl::StatusOr<std::vector<v1::Workflow>> LoadFolder() { return LoadAll(directory_.path()); }

 private:
  capstan::testing::TemporaryDirectory directory_;
};

constexpr char kSmall[] =
    "name: NAME\nsteps: [{name: a, llm: {prompt_file: FILE, schema_file: s.json}}]\n";

std::string Small(const std::string& name, const std::string& file) {
  return absl::StrReplaceAll(kSmall, {{"NAME", name}, {"FILE", file}});
}

TEST_F(LoadAllFilesTest, GivesEveryDefinitionByName) {
  Write("workflows/1.yaml", Small("b", "p.md"));
  Write("workflows/2.yaml", Small("a", "p.md"));
  Write("workflows/notes.txt", "not one");
  Write("prompts/p.md", "Do it.");
  Write("schemas/s.json", kSchema);

  const absl::StatusOr<std::vector<v1::Workflow>> workflows = LoadFolder();

  ASSERT_OK(workflows);
  ASSERT_EQ(workflows->size(), 2u);
  EXPECT_EQ(workflows->at(0).name(), "a");
  EXPECT_EQ(workflows->at(1).steps(0).llm().prompt(), "Do it.");
}

TEST_F(LoadAllFilesTest, ReportsTheErrorsOfAllFilesAndNamesTwice) {
  Write("workflows/1.yaml", Small("a", "p.md"));
  Write("workflows/2.yaml", Small("a", "p.md"));
  Write("workflows/3.yaml", Small("c", "../p.md"));
  Write("workflows/4.yaml", Small("d", "gone.md"));
  Write("prompts/p.md", "Do it.");
  Write("schemas/s.json", kSchema);

  EXPECT_THAT(LoadFolder(),
              StatusIs(kInvalid, AllOf(HasSubstr("2.yaml: name: got \"a\""),
                                       HasSubstr("3.yaml:2: steps[0].llm.prompt_file: got "
                                                 "\"../p.md\": want a file of prompts/"),
                                       HasSubstr("gone.md: cannot be read"))));
}

}  // namespace
}  // namespace capstan::workflow
