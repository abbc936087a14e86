// Policies and inputs that want to hang or crash their worker, and shipped bundles with damage in
// them: none may allow, each is answered within its limit, and the process lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"
#include "worker/policy/bundle_loader.h"

namespace capstan::policy {
namespace {

// What a loaded machine, or one with sanitizers, may take; printed is what this one took.
constexpr absl::Duration kAnswered = absl::Seconds(20);

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

struct Bomb {
  const char* name;
  std::string rules;     // Of bundle a. What they say when they get to the end is a deny.
  nlohmann::json facts;  // Of the input.
};

void PrintTo(const Bomb& bomb, std::ostream* out) { *out << bomb.name; }

std::string Denies(const std::string& body) {
  return absl::StrCat("violations contains {\"id\": \"a/x\", \"message\": \"m\"} if {\n", body,
                      "\n}\n");
}

nlohmann::json Nested(int depth) {
  nlohmann::json value = nlohmann::json::array();
  for (int i = 0; i < depth; ++i) value = nlohmann::json::array({std::move(value)});
  return value;
}

// Rules each of which is eight times as long as the one before: the last has 2 GiB.
std::string TextThatGrows() {
  std::string rules = "x0 := \"0123456789abcdef\"\n";
  for (int i = 0; i < 9; ++i) {
    const std::string x = absl::StrCat("x", i);
    absl::StrAppend(&rules, "x", i + 1, " := concat(\"\", [", Repeat(x + ", ", 7), x, "])\n");
  }
  return rules + "\n" + Denies("\tcount(x9) > 1");
}

std::vector<Bomb> Bombs() {
  const std::vector<int> thousand(1000, 1);
  const std::string subject = std::string(200000, 'a');
  return {
      {"RegexOnALongSubject",
       Denies(R"(	not regex.match("^(a+)+b$", input.facts.text))"),
       {{"text", subject}}},
      {"RegexOfHugeSize",
       Denies(R"(	not regex.match("((a{1000}){1000}){1000}", input.facts.text))"),
       {{"text", subject}}},
      {"RegexFromTheInput",
       Denies("\tnot regex.match(input.facts.pattern, input.facts.text)"),
       {{"text", subject}, {"pattern", "(" + Repeat("(a|aa)+", 500) + ")b"}}},
      {"GlobOfManyAlternatives",
       Denies(R"(	not glob.match(input.facts.pattern, ["."], input.facts.text))"),
       {{"text", subject}, {"pattern", Repeat("{a,aa}*", 200) + "b"}}},
      {"Recursion", "f(x) := f(x)\n\n" + Denies("\tf(1) == 1"), {}},
      {"RecursionInACircle",
       "f(x) := g(x)\n\ng(x) := h(x)\n\nh(x) := f(x)\n\n" + Denies("\tf(1) == 1"),
       {}},
      {"RecursionOfRules", "p if q\n\nq if p\n\n" + Denies("\tp"), {}},
      {"AMillionElements",
       Denies("\tcount([1 | some a in input.facts.n; some b in input.facts.n; a == b]) > 1"),
       {{"n", thousand}}},
      {"ABillionElements",
       Denies("\tcount([1 | some a in input.facts.n; some b in input.facts.n; some c in "
              "input.facts.n; a + b == c]) == 0"),
       {{"n", thousand}}},
      {"ASetOfAMillionPairs",
       Denies("\tcount({[i, j] | some i, _ in input.facts.n; some j, _ in input.facts.n}) > 1"),
       {{"n", thousand}}},
      {"EveryInEvery",
       Denies("\tevery a in input.facts.n {\n\t\tevery b in input.facts.n {\n\t\t\tevery c in "
              "input.facts.n {\n\t\t\t\ta + b + c == 3\n\t\t\t}\n\t\t}\n\t}"),
       {{"n", thousand}}},
      {"DeepExpression", Denies("\t" + Repeat("[", 10000) + Repeat("]", 10000) + " != 1"), {}},
      {"DeepParentheses",
       Denies("\t" + Repeat("(", 10000) + "1" + Repeat(")", 10000) + " == 1"),
       {}},
      {"LongChainOfOperators", Denies("\t1" + Repeat(" + 1", 10000) + " > 1"), {}},
      {"DeepInput", Denies("\tinput.facts.deep"), {{"deep", Nested(10000)}}},
      {"DeepTextAsJson",
       Denies("\tjson.unmarshal(input.facts.text)"),
       {{"text", std::string(100000, '[') + std::string(100000, ']')}}},
      {"RangeOfABillion", Denies("\tcount(numbers.range(1, 1000000000)) > 1"), {}},
      {"WideText", Denies("\tsprintf(\"%1000000000d\", [1]) != \"\""), {}},
      {"TextThatGrows", TextThatGrows(), {}},
      {"WalkThroughALargeInput",
       Denies("\tcount([p | some p; walk(input, [p, _])]) > 1"),
       {{"n", std::vector<std::vector<int>>(300, std::vector<int>(300, 1))}}},
  };
}

// The most memory that this process has had since ForgetPeak().
std::int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word && word != "VmHWM:") {
  }
  std::int64_t kib = 0;
  status >> kib;
  return kib << 10;
}

void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// What an evaluation may hold, doubled by a text that is made of it, and what is said about it.
constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;

class BombTest : public ::testing::TestWithParam<Bomb> {};

TEST_P(BombTest, S2_32_IsDeniedWithinItsLimit) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", GetParam().rules);
  SystemClock clock;
  PolicyInput input = ScaleInput();
  input.facts = GetParam().facts;
  const absl::Duration start = clock.BootTime();
  ForgetPeak();
  const std::int64_t before = PeakBytes();

  // Refused when it is loaded, or denied when it is evaluated.
  const auto store = PolicyStore::Create(StoreOptions(directory, {"a"}), clock, nullptr);
  if (store.ok()) {
    EXPECT_FALSE(RegoPolicyEngine(**store, clock).Evaluate(input).allow);
  } else {
    EXPECT_THAT(store, ::capstan::testing::StatusIs(absl::StatusCode::kInvalidArgument));
  }

  const absl::Duration took = clock.BootTime() - start;
  const std::int64_t held = PeakBytes() - before;
  std::printf("answered after %s with %lld MiB\n", absl::FormatDuration(took).c_str(),
              static_cast<long long>(held >> 20));
  EXPECT_LT(took, kAnswered);
  EXPECT_LT(held, kMostBytes);
}

INSTANTIATE_TEST_SUITE_P(Bombs, BombTest, ::testing::ValuesIn(Bombs()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MemoryTest, S2_32_WhatTakesTooMuchMemoryIsDeniedAndSaysSo) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", TextThatGrows());
  SystemClock clock;
  const auto store = PolicyStore::Create(StoreOptions(directory, {"a"}), clock, nullptr);
  ASSERT_TRUE(store.ok()) << store.status();

  const Decision decision = RegoPolicyEngine(**store, clock).Evaluate(ScaleInput());

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.error_message, ::testing::HasSubstr("takes more than 64 MiB"));
  const PolicyDirectory harmless;
  harmless.WriteBundle("a", "violations contains {\"id\": \"a/x\", \"message\": \"m\"} if false\n");
  const auto next = PolicyStore::Create(StoreOptions(harmless, {"a"}), clock, nullptr);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(RegoPolicyEngine(**next, clock).Evaluate(ScaleInput()).allow);
}

// Processor time, so that what else the machine does is not counted.
TEST(HangingRuleTest, S2_32_IsNotGivenItsTimeAgain) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", Denies("\tcount([1 | some a in input.facts.n; some b in "
                                    "input.facts.n; some c in input.facts.n]) == 0"));
  SystemClock clock;
  const auto store = PolicyStore::Create(StoreOptions(directory, {"a"}), clock, nullptr);
  ASSERT_OK(store);
  PolicyInput input = ScaleInput();
  input.facts = {{"n", std::vector<int>(1000, 1)}};
  const std::clock_t start = std::clock();

  const Decision decision = RegoPolicyEngine(**store, clock).Evaluate(input);

  const auto used = absl::Seconds(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  EXPECT_EQ(decision.error, Decision::Error::kTimeout);
  EXPECT_LT(used, 2 * RegoLimits{}.timeout);
}

// A bundle that ships, and inputs that it denies on its own.
struct Shipped {
  const char* bundle;
  std::vector<const char*> denied;
};

void PrintTo(const Shipped& shipped, std::ostream* out) { *out << shipped.bundle; }

std::string ReadShipped(const std::string& name) {
  std::ifstream stream(CAPSTAN_SOURCE_DIR "/catalog/policies/" + name);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string Damaged(std::string text, int kind, std::mt19937& random) {
  const std::size_t at = random() % text.size();
  switch (kind % 4) {
    case 0:
      text.resize(at);
      break;
    case 1:
      text[at] = static_cast<char>(random() % 128);
      break;
    case 2:
      text.erase(at, 1 + random() % 40);
      break;
    default:  // A word of the language gets lost.
      for (const char* word : {"not ", " > ", "is_number", "input.", "contains", "protected"}) {
        const std::size_t found = text.find(word, at);
        if (found != std::string::npos) return text.erase(found, std::string(word).size());
      }
      text.resize(at);
  }
  return text;
}

class DamagedBundleTest : public ::testing::TestWithParam<Shipped> {};

// The bundle's own tests refuse what still compiles and would not deny any more.
TEST_P(DamagedBundleTest, S2_34_FortyDamagedCopiesAllowNothing) {
  const std::string bundle = GetParam().bundle;
  const std::string file = PackageName(bundle);
  const std::string rules = ReadShipped(bundle + "/" + file + ".rego");
  const PolicyDirectory directory;
  directory.Write(bundle + "/" + file + "_test.rego",
                  ReadShipped(bundle + "/" + file + "_test.rego"));
  std::mt19937 random(1);
  int accepted = 0;
  int allowed = 0;

  for (int i = 0; i < 40; ++i) {
    directory.Write(bundle + "/" + file + ".rego", Damaged(rules, i, random));
    const absl::StatusOr<BundleFiles> files = ReadBundleFiles(directory.path(), {bundle});
    if (!files.ok() || !files->missing.empty() || !TestBundles(*files, {}).ok()) continue;
    ++accepted;
    const absl::StatusOr<RegoProgram> program = CompileBundles(*files, {});
    ASSERT_OK(program);
    for (const char* input : GetParam().denied) {
      const absl::StatusOr<std::string> result = program->Evaluate(kDecisionRule, input);
      Decision decision;
      if (result.ok()) ReadDecision(*result, decision);
      if (decision.allow) ++allowed;
    }
  }

  EXPECT_EQ(allowed, 0);
  EXPECT_LT(accepted, 40);  // The damage is real.
}

INSTANTIATE_TEST_SUITE_P(
    Bundles, DamagedBundleTest,
    ::testing::Values(
        Shipped{"action-allowlist", {R"({"action":"DeleteNamespace"})", R"({"action":1})", "{}"}},
        Shipped{
            "namespace-restrictions",
            {R"({"target_resource":{"kind":"Pod","namespace":"kube-system"},"metadata":{"execution_namespace":"x"}})",
             R"({"target_resource":{"kind":"Pod","namespace":"x"},"metadata":{"execution_namespace":"x"}})",
             "{}"}},
        Shipped{
            "node-safety",
            {R"({"action":"CordonNode","facts":{"node":{"control_plane":true},"cluster":{"other_schedulable_nodes":2}}})",
             R"({"action":"DrainNode","facts":{"node":{"control_plane":false},"cluster":{"total_nodes":2,"other_schedulable_nodes":1}}})",
             R"({"action":"DrainNode"})"}},
        Shipped{"production",
                {R"({"environment":"production","action":"DrainNode"})",
                 R"({"environment":"production","action":"RestartDeployment"})",
                 R"({"environment":1})"}},
        Shipped{
            "resource-limits",
            {R"({"action":"ScaleDeployment","parameters":{"replicas":111}})",
             R"({"action":"PatchConfigMap","parameters":{"patch":"[]"},"facts":{"config_map":{"size_bytes":2000000}}})",
             R"({"action":"PatchConfigMap"})"}},
        Shipped{
            "scale-safety",
            {R"({"action":"ScaleDeployment","parameters":{"replicas":0},"target_resource":{"labels":{"critical":"true"}}})",
             R"({"action":"ScaleDeployment","parameters":{"replicas":"0"}})",
             R"({"action":"ScaleDeployment"})"}}));

}  // namespace
}  // namespace capstan::policy
