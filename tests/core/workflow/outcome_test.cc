#include "core/workflow/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/status_matchers.h"

namespace capstan::workflow {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::StatusIs;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
const std::vector<std::string> kCriteria = {"C1", "C2"};

std::string Schema(const std::string& name) {
  std::ifstream file(std::string(CAPSTAN_SOURCE_DIR) + "/catalog/schemas/" + name + ".json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

v1::WorkflowStep Step(const std::string& schema) {
  v1::WorkflowStep step;
  step.set_name("step");
  step.mutable_llm()->set_schema(Schema(schema));
  step.mutable_llm()->set_evidence_required(schema == "implement");
  if (schema == "content") step.set_artifact("spec");
  return step;
}

// An answer that counts as complete.
json Good(const std::string& schema) {
  static const json answers = json::parse(R"({
    "base": {"status": "complete", "reason": "", "summary": "Done."},
    "content": {"status": "complete", "summary": "Done.", "artifact": "# Spec"},
    "findings": {"status": "complete", "needs_changes": false, "round": 1, "summary": "Fine.",
        "issues": [{"severity": "low", "file": "a.cc", "line": 3, "description": "A name.",
                    "suggestion": "Another."}], "questions": ["Why?"], "positives": ["Short."]},
    "decision": {"status": "pass", "gaps_addressed": true, "summary": "Settled.",
        "issues_resolved": ["A name."], "remaining_issues": [{"severity": "low",
        "description": "Another."}], "user_questions": [], "recommendation": "Merge."},
    "qa": {"status": "pass", "summary": "All pass.", "tests_written": ["a_test.cc"],
        "tests_run": {"total": 4, "passed": 3, "failed": 0, "skipped": 1},
        "coverage": {"percentage": 81.5, "uncovered_areas": ["errors"]},
        "documentation": ["README.md"], "issues": [], "recommendation": "Merge."},
    "implement": {"status": "complete", "summary": "Done.",
        "tests": {"command": "make test", "status": "pass", "evidence": "12 passed"},
        "success_criteria": [{"id": "C1", "status": "pass", "evidence": "a_test"},
                             {"id": "C2", "status": "pass", "evidence": "b_test"}],
        "build": {"status": "pass"}, "linting": {"status": "not_run", "evidence": "none here"}}
  })");
  return answers.at(schema);
}

const std::vector<std::string> kSchemas = {"base",     "content", "findings",
                                           "decision", "qa",      "implement"};

absl::StatusOr<Answer> ReadText(const std::string& schema, const std::string& text) {
  return ReadAnswer(text, Step(schema), kCriteria);
}

absl::StatusOr<Answer> Read(const std::string& schema, const json& answer) {
  return ReadText(schema, answer.dump());
}

// The good answer with other fields.
absl::StatusOr<Answer> ReadWith(const std::string& schema, const json& fields) {
  json answer = Good(schema);
  answer.update(fields);
  return Read(schema, answer);
}

MATCHER_P(Means, status, "") {
  *result_listener << arg.status();
  return arg.ok() && arg->status == status;
}

TEST(OutcomeTest, S4_12_AnAnswerOfEachSchemaCountsAsComplete) {
  for (const std::string& schema : kSchemas) {
    EXPECT_THAT(Read(schema, Good(schema)), Means(Answer::Status::kComplete)) << schema;
  }
}

TEST(OutcomeTest, S4_12_EachSchemaIsClosedAndRequiresAStatus) {
  for (const std::string& schema : kSchemas) {
    EXPECT_THAT(CheckSchema(Schema(schema)), IsOk()) << schema;
    json without = Good(schema);
    without.erase("status");
    EXPECT_THAT(Read(schema, without), StatusIs(kInvalid, HasSubstr("status"))) << schema;
    EXPECT_THAT(ReadWith(schema, {{"other", 1}}), StatusIs(kInvalid, HasSubstr("other"))) << schema;
  }
}

TEST(OutcomeTest, S4_11_EachStatusWordMeansOneThing) {
  using enum Answer::Status;

  EXPECT_THAT(ReadWith("base", {{"status", "continue"}}), Means(kContinue));
  EXPECT_THAT(ReadWith("base", {{"status", "blocked"}}), Means(kBlocked));
  EXPECT_THAT(ReadWith("decision", {{"status", "fail"}}), Means(kFailed));
  EXPECT_THAT(ReadWith("decision", {{"status", "needs_user_input"}}), Means(kBlocked));
  EXPECT_THAT(ReadWith("qa", {{"status", "fail"}}), Means(kFailed));
  EXPECT_THAT(ReadWith("qa", {{"status", "needs_attention"}}), Means(kBlocked));
}

TEST(OutcomeTest, GivesReasonSummaryArtifactAndAllOfIt) {
  const absl::StatusOr<Answer> blocked =
      ReadWith("base", {{"status", "blocked"}, {"reason", "no access"}});
  const absl::StatusOr<Answer> written = Read("content", Good("content"));

  ASSERT_OK(blocked);
  EXPECT_EQ(blocked->reason, "no access");
  EXPECT_EQ(blocked->summary, "Done.");
  ASSERT_OK(written);
  EXPECT_EQ(written->artifact, "# Spec");
  EXPECT_EQ(written->document, Good("content"));
}

TEST(OutcomeTest, S4_12_AReviewThatNeedsChangesFailsWithItsFindings) {
  const absl::StatusOr<Answer> review = ReadWith("findings", {{"needs_changes", true}});

  ASSERT_OK(review);
  EXPECT_EQ(review->status, Answer::Status::kFailed);
  EXPECT_EQ(review->reason, "Fine.\n- low: a.cc:3: A name.: Another.");
}

TEST(OutcomeTest, AReviewThatNeedsChangesAndIsNotThroughGoesOn) {
  EXPECT_THAT(ReadWith("findings", {{"needs_changes", true}, {"status", "continue"}}),
              Means(Answer::Status::kContinue));
}

TEST(OutcomeTest, ALongReasonIsCutBetweenCharacters) {
  std::string text;
  while (text.size() < 20'000) text += "ä";
  const absl::StatusOr<Answer> answer =
      ReadWith("base", {{"status", "blocked"}, {"reason", "x" + text}});

  ASSERT_OK(answer);
  EXPECT_EQ(answer->reason, "x" + text.substr(0, 16 * 1024 - 2));
}

TEST(OutcomeTest, S4_9_AnArtifactMustNotBeEmpty) {
  EXPECT_THAT(ReadWith("content", {{"artifact", " \n"}}),
              StatusIs(kInvalid, HasSubstr("artifact: got nothing, want the text of the spec")));
  EXPECT_THAT(ReadWith("content", {{"artifact", ""}, {"status", "continue"}}),
              Means(Answer::Status::kContinue));
}

TEST(OutcomeTest, S4_13_CompleteNeedsTestsThatWereRunAndPass) {
  json without = Good("implement");
  without.erase("tests");

  EXPECT_THAT(Read("implement", without), StatusIs(kInvalid, HasSubstr("tests: got none")));
  for (const char* status : {"fail", "not_run"}) {
    json answer = Good("implement");
    answer["tests"]["status"] = status;
    EXPECT_THAT(Read("implement", answer), StatusIs(kInvalid, HasSubstr("tests.status: got")));
  }
  for (const char* field : {"command", "evidence"}) {
    json answer = Good("implement");
    answer["tests"][field] = "  ";
    EXPECT_THAT(Read("implement", answer), StatusIs(kInvalid, HasSubstr("got nothing")));
  }
}

TEST(OutcomeTest, S4_13_CompleteNeedsEveryCriterionOfTheTask) {
  const json c1 = {{"id", "C1"}, {"status", "pass"}, {"evidence", "a"}};
  const json c2 = {{"id", "C2"}, {"status", "pass"}, {"evidence", "b"}};
  json failed = c2, blank = c2, unknown = c2;
  failed["status"] = "fail";
  blank["evidence"] = "";
  unknown["id"] = "C3";
  const auto read = [](const json& list) {
    return ReadWith("implement", {{"success_criteria", list}});
  };

  EXPECT_THAT(read({c2, c1}), Means(Answer::Status::kComplete));
  EXPECT_THAT(read(json::array({c1})),
              StatusIs(kInvalid, HasSubstr("want one with the id \"C2\"")));
  EXPECT_THAT(read(json::array()), StatusIs(kInvalid, HasSubstr("want one with the id \"C1\"")));
  EXPECT_THAT(read({c1, failed}), StatusIs(kInvalid, HasSubstr("success_criteria[1].status")));
  EXPECT_THAT(read({c1, blank}), StatusIs(kInvalid, HasSubstr("success_criteria[1].evidence")));
  EXPECT_THAT(read({c1, c2, unknown}), StatusIs(kInvalid, HasSubstr("got \"C3\"")));
  EXPECT_THAT(read({c1, c2, c2}), StatusIs(kInvalid, HasSubstr("each criterion of the task once")));
}

TEST(OutcomeTest, S4_13_ABrokenBuildIsNotComplete) {
  for (const char* field : {"build", "linting"}) {
    EXPECT_THAT(ReadWith("implement", {{field, {{"status", "fail"}}}}),
                StatusIs(kInvalid, HasSubstr(std::string(field) + ".status: got \"fail\"")));
  }
}

TEST(OutcomeTest, EvidenceIsNotAskedOfWhatIsNotComplete) {
  const json answer = {{"status", "continue"}, {"summary", "Half of it."}};

  EXPECT_THAT(Read("implement", answer), Means(Answer::Status::kContinue));
}

TEST(OutcomeTest, PassBesideFailedTestsOrOpenGapsIsRefused) {
  json qa = Good("qa");
  qa["tests_run"]["failed"] = 1;

  EXPECT_THAT(Read("qa", qa), StatusIs(kInvalid, HasSubstr("tests_run.failed: got 1")));
  EXPECT_THAT(ReadWith("decision", {{"gaps_addressed", false}}),
              StatusIs(kInvalid, HasSubstr("gaps_addressed: got false")));
  qa["status"] = "fail";
  EXPECT_THAT(Read("qa", qa), Means(Answer::Status::kFailed));
}

TEST(OutcomeTest, S1_15_OneObjectMayComeAfterProseOrInAFence) {
  const std::string good = Good("base").dump(2);

  EXPECT_THAT(ReadText("base", "\n " + good + "\n\n"), Means(Answer::Status::kComplete));
  EXPECT_THAT(ReadText("base", "All done:\n\n" + good), Means(Answer::Status::kComplete));
  EXPECT_THAT(ReadText("base", "```json\n" + good + "\n```"), Means(Answer::Status::kComplete));
  EXPECT_THAT(ReadText("base", "Here:\n```json\n" + good + "\n```\nThat is all."),
              Means(Answer::Status::kComplete));
}

TEST(OutcomeTest, S1_15_AFenceWithinATextOfTheAnswerIsPartOfIt) {
  const json answer = {{"status", "complete"}, {"artifact", "Run\n```json\n{}\n```\nit."}};

  EXPECT_THAT(ReadText("content", "```json\n" + answer.dump() + "\n```"),
              Means(Answer::Status::kComplete));
}

TEST(OutcomeTest, S1_15_MarkersInTheTextDecideNothing) {
  const std::string marker = "<phase_complete>true</phase_complete>";

  EXPECT_THAT(ReadText("base", marker), StatusIs(kInvalid, HasSubstr("got no JSON object")));
  EXPECT_THAT(ReadText("base", marker + "\n{\"status\": \"continue\"}"),
              Means(Answer::Status::kContinue));
  EXPECT_THAT(ReadText("base", "<phase_blocked>no</phase_blocked>\n{\"status\": \"complete\"}"),
              Means(Answer::Status::kComplete));
  EXPECT_THAT(ReadText("base", "{\"status\": \"complete\"}" + marker), StatusIs(kInvalid));
}

TEST(OutcomeTest, AStepWithoutASchemaHasNoAnswer) {
  EXPECT_THAT(ReadAnswer("{\"status\": \"complete\"}", {}, {}), StatusIs(kInvalid));
}

// ---- 200 and more answers that must not count ----

struct Malformed {
  std::string schema;
  std::string text;
};
using Corpus = std::vector<Malformed>;

void AddTruncations(Corpus& corpus) {
  for (const std::string& schema : kSchemas) {
    const std::string good = Good(schema).dump();
    for (std::size_t end = 0; end < good.size(); end += good.size() / 12 + 1) {
      corpus.push_back({schema, good.substr(0, end)});
      corpus.push_back({schema, "Done.\n" + good.substr(0, end)});
      if (end > 0) corpus.push_back({schema, good.substr(end)});
    }
  }
}

void AddStatusWords(Corpus& corpus) {
  const json words = json::parse(
      R"(["Complete", "COMPLETE", "completed", "complete ", " complete", "done", "success", "ok",
          "true", "finished", "passed", "Pass", "", "complete\n", "complet\u0435", null, true, 1,
          ["complete"], {"status": "complete"}])");
  for (const std::string& schema : kSchemas) {
    for (const json& word : words) {
      json answer = Good(schema);
      answer["status"] = word;
      corpus.push_back({schema, answer.dump()});
    }
  }
}

// Each field, at any depth, with values of other types.
void AddWrongTypes(Corpus& corpus) {
  const json others = json::parse(R"([null, true, 1.5, "text", [[]], {"x": 1}])");
  for (const std::string& schema : kSchemas) {
    const json good = Good(schema);
    const json fields = good.flatten();
    for (const auto& [path, value] : fields.items()) {
      for (const json& other : others) {
        if (other.type() == value.type() || (other.is_number() && value.is_number())) continue;
        json answer = good;
        answer[json::json_pointer(path)] = other;
        corpus.push_back({schema, answer.dump()});
      }
    }
  }
}

void AddMissing(Corpus& corpus) {
  const std::vector<std::pair<std::string, std::string>> required = {
      {"findings", "needs_changes"}, {"findings", "summary"},
      {"findings", "issues"},        {"decision", "gaps_addressed"},
      {"decision", "summary"},       {"qa", "summary"},
      {"qa", "tests_run"},           {"content", "artifact"},
      {"implement", "tests"},        {"implement", "success_criteria"}};
  for (const auto& [schema, field] : required) {
    json answer = Good(schema);
    answer.erase(field);
    corpus.push_back({schema, answer.dump()});
  }
}

std::string Nested(const std::string& open, const std::string& close, int levels) {
  std::string text = R"({"status": "complete", "summary": )";
  for (int i = 0; i < levels; ++i) text += open;
  for (int i = 0; i < levels; ++i) text += close;
  return text + "}";
}

void AddStrangeBytes(Corpus& corpus) {
  const std::string nul(1, '\0');
  for (const std::string& bytes :
       {std::string("\xFF"), std::string("\xC0\xAF"), std::string("\xE0\x80\x80"),
        std::string("\xED\xA0\x80"), std::string("\xF4\x90\x80\x80"), std::string("\xC3"),
        std::string("\x80"), std::string("\xF8\x88\x80\x80\x80"), nul, std::string("\\u0000"),
        std::string("\\ud800"), std::string("\n"), std::string("\\x"), std::string("\x01")}) {
    corpus.push_back({"base", R"({"status": "complete", "summary": ")" + bytes + "\"}"});
    corpus.push_back({"base", R"({"status": "complete)" + bytes + "\"}"});
  }
  corpus.push_back({"base", nul + R"({"status": "complete"})"});
  corpus.push_back({"base", R"({"status": "complete"})" + nul});
  corpus.push_back({"base",
                    "\xFF\xFE"
                    R"({"status": "complete"})"});
}

void AddStrangeTexts(Corpus& corpus) {
  const std::string good = R"({"status": "complete"})";
  for (const std::string& text :
       {good + good,
        good + "\n" + good,
        good + ",",
        good + "}",
        "{" + good + "}",
        "[" + good + "]",
        "[\n" + good,
        "[1,\n" + good,
        "x " + good,
        good + " trailing",
        good + " // done",
        "a {\n" + good,
        "```json\n" + good,
        "```json\n" + good + "\n```\n```json\n" + good + "\n```",
        "```\n" + good + "\n```",
        "```json " + good + "```",
        std::string("complete"),
        std::string("\"complete\""),
        std::string("true"),
        std::string("null"),
        std::string("[]"),
        std::string("{}"),
        std::string("}{"),
        std::string("{'status': 'complete'}"),
        std::string("{status: complete}"),
        std::string("status: complete"),
        std::string(R"({"status": "complete",})"),
        std::string(R"({"status": "complete" "a": 1})"),
        std::string(R"({"status": "continue", "status": "complete"})"),
        std::string(R"({"status": "complete", "status": "complete"})"),
        std::string(R"({"summary": {"status": "complete"}})"),
        std::string(R"({"Status": "complete"})"),
        std::string(R"({"status": NaN})"),
        std::string(R"({"status": "complete", "summary": 1e999})"),
        std::string("<phase_complete>true</phase_complete>"),
        std::string("<phase_complete>true</phase_complete>{}"),
        std::string("<status>complete</status>"),
        Nested("[", "]", 64),
        Nested("[", "]", 100'000),
        Nested("{\"a\":", "}", 80),
        Nested("{\"a\":[", "]}", 50'000),
        std::string(1'000'000, '{'),
        std::string(1'000'000, '['),
        R"({"status": "complete", "summary": ")" + std::string(kMaxAnswerBytes, 'x') + "\"}",
        good + std::string(kMaxAnswerBytes, ' ')}) {
    corpus.push_back({"base", text});
  }
}

void AddWithoutEvidence(Corpus& corpus) {
  const std::vector<std::pair<const char*, json>> edits = {
      {"/tests/status", "fail"},
      {"/tests/status", "not_run"},
      {"/tests/evidence", ""},
      {"/tests/evidence", "\t \n"},
      {"/tests/command", ""},
      {"/tests", json::object()},
      {"/success_criteria", json::array()},
      {"/success_criteria/0/id", "C2"},
      {"/success_criteria/0/id", "C9"},
      {"/success_criteria/0/id", "c1"},
      {"/success_criteria/0/id", ""},
      {"/success_criteria/1/status", "fail"},
      {"/success_criteria/1/status", "not_run"},
      {"/success_criteria/1/evidence", " "},
      {"/build/status", "fail"},
      {"/linting/status", "fail"}};
  for (const auto& [path, value] : edits) {
    json answer = Good("implement");
    answer[json::json_pointer(path)] = value;
    corpus.push_back({"implement", answer.dump()});
  }
}

Corpus AllMalformed() {
  Corpus corpus;
  AddTruncations(corpus);
  AddStatusWords(corpus);
  AddWrongTypes(corpus);
  AddMissing(corpus);
  AddStrangeBytes(corpus);
  AddStrangeTexts(corpus);
  AddWithoutEvidence(corpus);
  return corpus;
}

TEST(OutcomeTest, S4_11_I5_NoMalformedAnswerCountsAsComplete) {
  const Corpus corpus = AllMalformed();

  RecordProperty("answers", static_cast<int>(corpus.size()));
  EXPECT_GE(corpus.size(), 200u);
  for (const Malformed& malformed : corpus) {
    const absl::StatusOr<Answer> answer = ReadText(malformed.schema, malformed.text);
    EXPECT_THAT(answer, StatusIs(kInvalid))
        << malformed.schema << ": " << malformed.text.substr(0, 300);
  }
}

// ---- schemas ----

TEST(CheckSchemaTest, TakesWhatCanBeChecked) {
  EXPECT_OK(CheckSchema(R"({"properties": {"status": {"type": ["string", "null"]}}})"));
  EXPECT_OK(CheckSchema(
      R"({"properties": {"status": {"$ref": "#/definitions/s"}, "a": true},
          "definitions": {"s": {"enum": ["complete"]}}, "if": {}, "then": {"minProperties": 1}})"));
}

struct BadSchema {
  const char* name;
  std::string text;
  const char* message;
};

class BadSchemaTest : public ::testing::TestWithParam<BadSchema> {};

TEST_P(BadSchemaTest, IsRefused) {
  EXPECT_THAT(CheckSchema(GetParam().text), StatusIs(kInvalid, HasSubstr(GetParam().message)));
}

std::string Property(const std::string& schema) {
  return R"({"properties": {"status": {}, "a": )" + schema + "}}";
}

// Each definition has the next one twice.
std::string Doubling(int levels) {
  std::string text = R"({"properties": {"status": {"$ref": "#/definitions/d0"}}, "definitions": {)";
  for (int i = 0; i < levels; ++i) {
    const std::string next = R"({"$ref": "#/definitions/d)" + std::to_string(i + 1) + "\"}";
    text += "\"d" + std::to_string(i) + R"(": {"allOf": [)" + next + "," + next + "]},";
  }
  return text + "\"d" + std::to_string(levels) + "\": {}}}";
}

INSTANTIATE_TEST_SUITE_P(
    Schemas, BadSchemaTest,
    ::testing::Values(
        BadSchema{"Nothing", "", "got no JSON"}, BadSchema{"NotJson", "{", "got no JSON"},
        BadSchema{"NoStatus", R"({"properties": {"state": {}}})", "got no property \"status\""},
        BadSchema{"True", "true", "got no property \"status\""},
        BadSchema{"Text", "\"status\"", "got no schema, want an object"},
        BadSchema{"PropertiesAreAList", R"({"properties": ["status"]})", "want schemas by name"},
        BadSchema{"UnknownType", Property(R"({"type": "strnig"})"),
                  "schema.properties.a.type: got"},
        BadSchema{"UnknownKeyword", Property(R"({"typ": "string"})"), "got \"typ\""},
        BadSchema{"Pattern", Property(R"({"pattern": "(a*)*"})"), "got \"pattern\""},
        BadSchema{"UniqueItems", Property(R"({"uniqueItems": true})"), "got \"uniqueItems\""},
        BadSchema{"Id", Property(R"({"$id": "http://x/y"})"), "got \"$id\""},
        BadSchema{"OtherDraft", R"({"$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {"status": {}}})",
                  "want draft 7"},
        BadSchema{"RemoteReference", Property(R"({"$ref": "http://example.com/a.json"})"),
                  "want it alone and #/definitions/<name>"},
        BadSchema{"FileReference", Property(R"({"$ref": "file:///etc/passwd"})"), "want it alone"},
        BadSchema{"ReferenceToNothing", Property(R"({"$ref": "#/definitions/x"})"),
                  "want it alone"},
        BadSchema{"ReferenceToItself", R"({"properties": {"status": {"$ref": "#/definitions/a"}},
            "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}})",
                  "got a circle through"},
        BadSchema{"ReferenceToTheRoot", Property(R"({"$ref": "#"})"), "want it alone"},
        BadSchema{"Doubling", Doubling(40), "got more parts, want at most 10000"},
        BadSchema{"WrongValue", Property(R"({"minLength": "x"})"), "schema: "},
        BadSchema{"WrongRequired", Property(R"({"required": [1]})"), "schema: "},
        BadSchema{"Large", Property("{\"title\": \"" + std::string(64 * 1024, 'x') + "\"}"),
                  "want at most 65536"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace capstan::workflow
