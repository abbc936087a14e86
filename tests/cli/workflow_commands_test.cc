// `capstan workflow …`.
#include "cli/workflow_commands.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "cli/workflow_file.h"
#include "core/text.h"
#include "core/workflow/loader.h"
#include "tests/cli/commands_fixture.h"
#include "tests/support/status_matchers.h"

namespace capstan::cli {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kMedium[] = CAPSTAN_SOURCE_DIR "/catalog/workflows/medium.yaml";

// The reader of a server: it has no files.
absl::StatusOr<std::string> NoFiles(std::string_view kind, std::string_view name) {
  return absl::InvalidArgumentError("no files here");
}

absl::StatusOr<std::string> OneText(std::string_view kind, std::string_view name) {
  if (name == "none.md") return absl::InvalidArgumentError("cannot read it");
  return std::string(kind) + " \"of\" " + std::string(name) + "\n\tñ: {x}\n";
}

class WorkflowCommandsTest : public CommandsTest {
 protected:
  WorkflowCommandsTest() {
    server_.catalog.workflow = Parse<v1::WorkflowVersion>(R"pb(
      name: "workflows/medium"
      version: 3
      digest: "0123456789abcdef"
      caller: "catalog"
      create_time { seconds: 1800000000 }
      workflow {
        name: "medium"
        description: "A change."
        model: "fast"
        requires_spec: true
        variables { name: "AREA" input: "area" }
        steps {
          name: "implement"
          description: "Does it."
          checks { name: "tests" }
          llm { prompt: "p" }
        }
        steps {
          name: "review"
          depends_on: "implement"
          retry_from: "implement"
          gate { kind: KIND_HUMAN }
          llm { model: "strong" }
        }
      })pb");
  }
};

TEST_F(WorkflowCommandsTest, WorkflowsAreListed) {
  EXPECT_EQ(Command({"workflow", "list"}), 0);

  EXPECT_THAT(out(),
              HasSubstr("medium    3        0123456789ab  catalog    2027-01-15T08:00:00.000Z"
                        "  implement,review  A change.\n"));
}

TEST_F(WorkflowCommandsTest, S4_1_AWorkflowIsShownWithItsVersionAndHowToRunIt) {
  EXPECT_EQ(Command({"workflow", "show", "medium@0123456789abcdef"}), 0);

  EXPECT_EQ(server_.catalog.workflows_read[0], "workflows/medium@0123456789abcdef");
  EXPECT_THAT(out(), HasSubstr("version      3, sha256:0123456789abcdef\n"));
  EXPECT_THAT(out(), HasSubstr("implement  model  fast               "));
  EXPECT_THAT(out(),
              HasSubstr("review     model  strong  implement      human          implement"));
  EXPECT_THAT(out(), HasSubstr("\ncapstan task run medium --title=TITLE --spec-file=FILE --input "
                               "area=VALUE\n"));
}

TEST_F(WorkflowCommandsTest, APutSendsTheTextsThatTheFileNames) {
  EXPECT_EQ(Command({"workflow", "put", kMedium}), 0) << err();

  ASSERT_THAT(server_.catalog.workflows_put, SizeIs(1));
  const v1::PutWorkflowRequest& sent = server_.catalog.workflows_put[0];
  EXPECT_EQ(sent.file(), kMedium);
  EXPECT_FALSE(sent.validate_only());
  const auto as_the_server = workflow::Load(sent.yaml(), sent.file(), NoFiles);
  ASSERT_TRUE(as_the_server.ok()) << as_the_server.status();
  EXPECT_THAT(as_the_server->steps(0).llm().prompt(), HasSubstr("{{TASK_TITLE}}"));
  EXPECT_THAT(out(), HasSubstr("Stored as version 3: medium@0123456789abcdef\n"));
}

TEST_F(WorkflowCommandsTest, EveryWorkflowOfTheCatalogCanBeSent) {
  const auto read = PartsOf(CAPSTAN_SOURCE_DIR "/catalog");
  for (const auto& entry :
       std::filesystem::directory_iterator(CAPSTAN_SOURCE_DIR "/catalog/workflows")) {
    std::ifstream file(entry.path());
    const std::string yaml{std::istreambuf_iterator<char>(file), {}};
    const auto here = workflow::Load(yaml, "here", read);
    const auto sent = WithTexts(yaml, "here", read);
    ASSERT_TRUE(sent.ok()) << sent.status();
    auto there = workflow::Load(*sent, "there", NoFiles);
    ASSERT_TRUE(there.ok()) << there.status();
    EXPECT_EQ(here->steps_size(), there->steps_size());
    for (int i = 0; i < here->steps_size(); ++i)
      EXPECT_EQ(here->steps(i).SerializeAsString(), there->steps(i).SerializeAsString());
  }
}

TEST_F(WorkflowCommandsTest, ValidateOnlyStoresNothing) {
  EXPECT_EQ(Command({"workflow", "put", kMedium, "--validate-only"}), 0);

  EXPECT_TRUE(server_.catalog.workflows_put[0].validate_only());
  EXPECT_THAT(out(), HasSubstr("Nothing is wrong with medium@0123456789abcdef."));
}

TEST_F(WorkflowCommandsTest, ADefinitionThatIsCurrentAlreadyIsSaidToBeSo) {
  server_.catalog.unchanged = true;

  EXPECT_EQ(Command({"workflow", "put", kMedium}), 0);

  EXPECT_THAT(out(), HasSubstr("It was current already: medium@"));
}

TEST_F(WorkflowCommandsTest, WhatIsWrongWithAFileIsSaidWithItsLinesBeforeItIsSent) {
  const std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "wrong.yaml";
  std::ofstream(file) << "name: wrong\nsteps:\n  - name: a\n    retry_from: b\n    llm:\n"
                         "      prompt_file: spec.md\n      schema_file: none.json\n";

  EXPECT_EQ(Command({"workflow", "put", file.string(), "--catalog", CAPSTAN_SOURCE_DIR "/catalog"}),
            2);

  EXPECT_THAT(err(), AllOf(HasSubstr("wrong.yaml:4: steps[0].retry_from: "),
                           HasSubstr("wrong.yaml:7: steps[0].llm.schema_file: got \"none.json\"")));
  EXPECT_THAT(server_.catalog.workflows_put, IsEmpty());
}

TEST_F(WorkflowCommandsTest, WhatTheServerFindsIsPrintedLineByLine) {
  google::rpc::Status status;
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("yaml");
  violation->set_description("medium.yaml:4: one\nmedium.yaml:7: two");
  status.add_details()->PackFrom(bad_request);
  server_.catalog.refusals.Push(
      {grpc::StatusCode::INVALID_ARGUMENT, "refused", status.SerializeAsString()});

  EXPECT_EQ(Command({"workflow", "put", kMedium}), 64 + 3);

  EXPECT_THAT(err(), HasSubstr("  yaml:\n    medium.yaml:4: one\n    medium.yaml:7: two\n"));
}

TEST(WorkflowFileTest, TextsStandInOneLineInThePlaceOfTheirNames) {
  const absl::StatusOr<std::string> sent = WithTexts(
      "steps:\n  - {name: a, llm: {prompt_file: 'a.md', schema_file: \"s.json\"}}  # why\n"
      "  - name: b\n    llm:\n      system_prompt_file:   c.md\n"
      "variables:\n  - {name: R, fragment: r.md}\n",
      "f", OneText);

  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(
      *sent,
      "steps:\n  - {name: a, llm: {prompt: \"prompts \\\"of\\\" a.md\\n\\tñ: {x}\\n\", "
      "schema: \"schemas \\\"of\\\" s.json\\n\\tñ: {x}\\n\"}}  # why\n"
      "  - name: b\n    llm:\n      system_prompt:   \"prompts \\\"of\\\" c.md\\n\\tñ: "
      "{x}\\n\"\n"
      "variables:\n  - {name: R, text: \"prompts/fragments \\\"of\\\" r.md\\n\\tñ: {x}\\n\"}\n");
}

TEST(WorkflowFileTest, S4_29_TheTextsOfJudgementsArePutInToo) {
  const auto read = [](std::string_view kind, std::string_view name) {
    return absl::StatusOr<std::string>(Cat(kind, "/", name));
  };

  const absl::StatusOr<std::string> sent = WithTexts(
      "steps:\n  - {name: a, gate: {kind: model, judge: {prompt_file: a.md}}}\n"
      "  - {name: b, checks: [{name: c, judge: {prompt_file: b.md}}, {name: d}]}\n",
      "f", read);

  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_EQ(*sent,
            "steps:\n  - {name: a, gate: {kind: model, judge: {prompt: \"prompts/a.md\"}}}\n"
            "  - {name: b, checks: [{name: c, judge: {prompt: \"prompts/b.md\"}}, {name: d}]}\n");
}

TEST(WorkflowFileTest, ALongTextIsStillYamlBetweenBraces) {
  const std::string yaml =
      "name: long\nsteps:\n  - {name: a, llm: {prompt_file: a.md, schema_file: s.json}}\n";
  const auto read = [](std::string_view kind, std::string_view) -> absl::StatusOr<std::string> {
    if (kind == "schemas") return PartsOf(CAPSTAN_SOURCE_DIR "/catalog")("schemas", "base.json");
    return std::string(5000, 'x') + ": {y}\n";
  };

  const absl::StatusOr<std::string> sent = WithTexts(yaml, "f", read);

  ASSERT_TRUE(sent.ok()) << sent.status();
  EXPECT_THAT(workflow::Load(*sent, "f", NoFiles), capstan::testing::IsOk());
}

TEST(WorkflowFileTest, WhatCannotBePutInIsNamedWithItsLine) {
  EXPECT_THAT(
      WithTexts("steps:\n  - llm: {prompt_file: none.md}\n  - llm: {prompt_file: none.md}\n", "f",
                OneText),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("f:2: prompt_file: got \"none.md\": cannot read it"),
                     HasSubstr("f:3: "))));
  EXPECT_THAT(WithTexts("x: &n a.md\nsteps:\n  - llm: {prompt_file: *n}\n", "f", OneText),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("f:3: prompt_file: got \"a.md\": want the name written plainly")));
  EXPECT_THAT(WithTexts("steps: [", "f", OneText),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not YAML")));
}

TEST(WorkflowFileTest, AFragmentThatWouldBeTakenForAVariableIsRefused) {
  const auto braces = [](std::string_view, std::string_view) -> absl::StatusOr<std::string> {
    return std::string("write {{NAME}}");
  };

  EXPECT_THAT(WithTexts("variables:\n  - {name: R, fragment: r.md}\n", "f", braces),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f:2: fragment")));
}

TEST(WorkflowFileTest, APartCannotLieOutsideItsFolder) {
  const auto read = PartsOf(CAPSTAN_SOURCE_DIR "/catalog");

  EXPECT_TRUE(read("prompts", "spec.md").ok());
  EXPECT_THAT(read("prompts", "../workflows/medium.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("want a file of prompts/")));
  EXPECT_THAT(read("prompts", "fragments"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace capstan::cli
