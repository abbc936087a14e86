#include "worker/policy/rego_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kRule[] = "data.p.answer";

absl::StatusOr<RegoProgram> Compile(const std::string& rules, const RegoLimits& limits = {},
                                    const std::string& path = "p/p.rego") {
  return RegoProgram::Compile({{path, absl::StrCat("package p\nimport rego.v1\n", rules)}}, kRule,
                              limits);
}

// Compiles `rules`, which must be good, and evaluates `answer`.
absl::StatusOr<std::string> Answer(const std::string& rules, const std::string& input = "{}",
                                   const RegoLimits& limits = {}) {
  const absl::StatusOr<RegoProgram> program = Compile(rules, limits);
  EXPECT_OK(program);
  return program->Evaluate(kRule, input);
}

// Counts to n³: slow in every build.
constexpr char kSlow[] =
    "answer := count([1 | some a in input.n; some b in input.n; some c in input.n; a * b * c == "
    "-1])";

std::string NumbersTo(int n) {
  std::string list = "0";
  for (int i = 1; i < n; ++i) absl::StrAppend(&list, ",", i);
  return absl::StrCat(R"({"n":[)", list, "]}");
}

TEST(RegoProgramTest, AValueIsCompactJson) {
  EXPECT_THAT(Answer(R"(answer := {"b": [1, "x"], "a": true})"),
              IsOkAndHolds(R"({"a":true,"b":[1,"x"]})"));
}

TEST(RegoProgramTest, ASetIsASortedArray) {
  EXPECT_THAT(Answer("answer := {3, 1, 2}"), IsOkAndHolds("[1,2,3]"));
}

TEST(RegoProgramTest, UndefinedFalseAndErrorAreThreeResults) {
  EXPECT_THAT(Answer("answer if input.missing"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Answer("default answer := false\nanswer if input.missing"), IsOkAndHolds("false"));
  EXPECT_THAT(Answer("answer if 1 / input.zero == 1", R"({"zero": 0})"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("divide by zero")));
}

TEST(RegoProgramTest, S2_32_AnErrorInsideANegationIsAnError) {
  EXPECT_THAT(Answer("answer if not broken\nbroken if 1 / input.zero == 1", R"({"zero": 0})"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(RegoProgramTest, S2_32_ABuiltinThatFailsIsAnError) {
  EXPECT_THAT(Answer(R"(answer if to_number("x") == 1)"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Answer(R"(answer if lower(1) == "x")"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Answer(R"(answer if time.parse_rfc3339_ns("x") == 1)"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(RegoProgramTest, S2_32_TwoValuesForOneRuleAreAnError) {
  EXPECT_THAT(Answer("answer := 1 if input.x\nanswer := 2 if input.x", R"({"x": true})"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(RegoProgramTest, InputThatIsNotJsonIsRefused) {
  EXPECT_THAT(Answer("answer := 1", "{"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Answer("answer := 1", "\"\xff\""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("UTF-8")));
}

TEST(RegoProgramTest, InputThatNestsTooDeepIsRefused) {
  const std::string deep = std::string(10000, '[') + std::string(10000, ']');

  EXPECT_THAT(Answer("answer := 1", deep), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RegoProgramTest, S2_32_SlowRulesRunIntoTheTimeLimit) {
  RegoLimits limits;
  limits.timeout = absl::Milliseconds(20);

  EXPECT_THAT(Answer(kSlow, NumbersTo(1000), limits),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(RegoProgramTest, S2_32_OnlyAnEvaluationThatDidNotGetTheProcessorIsTriedAgain) {
  const absl::Duration limit = absl::Milliseconds(500);

  EXPECT_TRUE(WorthAnotherTry(absl::Milliseconds(249), limit));
  EXPECT_FALSE(WorthAnotherTry(absl::Milliseconds(250), limit));
  EXPECT_LT(BudgetOf(limit), absl::Seconds(1));
}

TEST(RegoProgramTest, InputOverTheLimitIsRefused) {
  RegoLimits limits;
  limits.max_input_bytes = 10;

  EXPECT_THAT(Answer("answer := 1", R"({"x":"12345"})", limits),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(RegoProgramTest, AResultOverTheLimitIsAnError) {
  RegoLimits limits;
  limits.max_output_bytes = 10;

  EXPECT_THAT(Answer(R"(answer := "12345678901")", "{}", limits),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("at most 10")));
}

TEST(RegoProgramTest, ARuleThatIsNotThereIsAnError) {
  EXPECT_THAT(RegoProgram::Compile({{"p.rego", "package p\nimport rego.v1\nx := 1"}}, kRule, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RegoProgramTest, AModuleThatDoesNotParseNamesFileAndLine) {
  EXPECT_THAT(Compile("answer := {"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("p/p.rego:3")));
}

TEST(RegoProgramTest, RulesAndTheirPackageAreDescribed) {
  const auto infos = DescribeRego(
      {{"x.rego", "package a.b\nimport rego.v1\nr contains 1\nr contains 2\nf(x) := x"}});

  ASSERT_OK(infos);
  EXPECT_EQ(infos->at(0).path, "x.rego");
  EXPECT_THAT(infos->at(0).package, ElementsAre("a", "b"));
  EXPECT_TRUE(infos->at(0).imports_rego_v1);
  EXPECT_THAT(infos->at(0).rules, ElementsAre("f", "r"));
}

// Modules that must not be served, with a word of the reason.
struct Refused {
  const char* name;
  std::string rules;
  const char* reason;
};
class RefusedModuleTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedModuleTest, IsRefusedWhenItIsCompiled) {
  EXPECT_THAT(Compile(GetParam().rules),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().reason)));
}

std::string Chain(int functions) {
  std::string rules = "answer := f0(1)\n";
  for (int i = 0; i < functions; ++i) absl::StrAppend(&rules, "f", i, "(x) := f", i + 1, "(x)\n");
  return absl::StrCat(rules, "f", functions, "(x) := x\n");
}

std::string Sum(int terms) {
  std::string rules = "answer := 1";
  for (int i = 1; i < terms; ++i) rules += " +\n  1";
  return rules;
}

INSTANTIATE_TEST_SUITE_P(
    Modules, RefusedModuleTest,
    ::testing::Values(
        Refused{"RecursiveFunction", "answer := f(1)\nf(x) := f(x)", "recursion"},
        Refused{"MutualRecursion", "answer := f(1)\nf(x) := g(x)\ng(x) := f(x)", "recursion"},
        Refused{"RecursionByFullPath", "answer := f(1)\nf(x) := data.p.f(x)", "recursion"},
        Refused{"RecursionByQuotedPath", "answer := f(1)\nf(x) := data[\"p\"].f(x)", "recursion"},
        Refused{"ImportOfItself", "import data.p as me\nanswer := me.x\nx := 1", "import itself"},
        Refused{"RecursionInAComprehension", "answer := f(1)\nf(x) := [y | some z in x; y := f(z)]",
                "recursion"},
        Refused{"RecursionInElse", "answer := f(1)\nf(x) := 1 if x == 2\nelse := f(x)",
                "recursion"},
        Refused{"RecursionInEvery", "answer if f(1)\nf(x) if every y in [x] { f(y) }", "recursion"},
        Refused{"RecursionNobodyCalls", "answer := 1\nf(x) := f(x)", "recursion"},
        Refused{"RecursiveRules", "answer if a\na if b\nb if a", "recursion"},
        Refused{"RecursionThroughAllOfData", "answer if data[_].answer", "recursion"},
        Refused{"DeepCalls", Chain(100), "deep"}, Refused{"VeryDeepCalls", Chain(5000), "deep"},
        Refused{"LongSum", Sum(1000), "deep"},
        Refused{"UnknownFunction", "answer := nosuch(1)", "undefined function nosuch"},
        Refused{"UnknownVariable", "answer if nosuch", "nosuch"},
        Refused{"UnknownVariableInTheHead", "answer := nosuch if input.x",
                "undefined variable nosuch"},
        Refused{"UnknownVariableInAComprehension", "answer := [y | y := nosuch]",
                "undefined variable nosuch"},
        Refused{"With", "answer if input.x with input as {}", "with"},
        Refused{"Network", "answer := http.send({})", "http.send is refused"},
        Refused{"Random", "answer := rand.intn(\"x\", 9)", "rand.intn is refused"},
        Refused{"Clock", "answer := time.now_ns()", "time.now_ns is refused"},
        Refused{"Environment", "answer := opa.runtime()", "opa.runtime is refused"},
        Refused{"Uuid", "answer := uuid.rfc4122(\"x\")", "uuid.rfc4122 is refused"},
        Refused{"Range", "answer := numbers.range(1, input.n)", "numbers.range is refused"},
        Refused{"FormatFromInput", "answer := sprintf(input.x, [1])", "written out"},
        Refused{"WideFormat", "answer := sprintf(\"%99999d\", [1])", "width"},
        Refused{"WidthFromInput", "answer := sprintf(\"%*d\", [input.x, 1])", "width"},
        Refused{"ReplacementFromInput", "answer := replace(input.x, \"a\", input.y)",
                "written out"}),
    [](const auto& info) { return info.param.name; });

TEST(RegoProgramTest, CallsAsDeepAsAllowedAreFine) { EXPECT_OK(Compile(Chain(30))); }

TEST(RegoProgramTest, ALocalNameThatHidesARuleIsNotRecursion) {
  EXPECT_THAT(Answer("answer := limit(3)\nreplicas := limit(1)\nlimit(replicas) := replicas + 1"),
              IsOkAndHolds("4"));
}

TEST(RegoProgramTest, EveryWayToBindANameIsUnderstood) {
  EXPECT_THAT(Answer(R"(
import input.xs as numbers
answer := [a, b, c, d, e, f, k, n] if {
	a := 1
	[b, {"c": c}] := [2, {"c": 3}]
	some d in [4]
	some k, e in {"k": 5}
	f = 6
	numbers[n] == 20
	every i, v in [7] { v > i }
	input.xs[_] == 20
	data.p.seven == seven
}
seven := 7
)",
                     R"({"xs": [10, 20]})"),
              IsOkAndHolds(R"([1,2,3,4,5,6,"k",1])"));
}

TEST(RegoProgramTest, TestsMayUseWith) {
  EXPECT_OK(Compile("answer if input.x with input as {\"x\": true}", {}, "p/p_test.rego"));
}

TEST(RegoProgramTest, WhatAPolicyPrintsGoesNowhere) {
  ::testing::internal::CaptureStderr();

  EXPECT_THAT(Answer("answer if print(\"secret\")"), IsOkAndHolds("true"));

  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace capstan::policy
