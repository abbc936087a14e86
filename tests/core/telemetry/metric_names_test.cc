// The names that dashboards and alerts rely on: tests/golden/metrics.txt lists every one of them,
// and the dashboards may use no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/telemetry/server_metrics.h"
#include "core/telemetry/store_metrics.h"
#include "core/telemetry/worker_metrics.h"
#include "tests/support/golden.h"

namespace capstan::telemetry {
namespace {

using ::testing::HasSubstr;

// Both programs' structs in one registry: no name may be declared by two of them.
struct AllMetrics {
  MetricsRegistry registry;
  StoreMetrics store{registry};
  ServerMetrics server{registry, {"capstan.v1.ExecutionService/ExecuteAction"}};
  WorkerMetrics worker{registry, {"ScaleDeployment"}};

  AllMetrics() { ExportBuildInfo(registry, "0"); }
};

TEST(MetricNamesTest, AreTheGoldenOnes) {
  AllMetrics all;
  std::string text;
  for (const MetricDescription& metric : all.registry.Describe()) {
    absl::StrAppend(&text, metric.name, " ", metric.type, " {", absl::StrJoin(metric.labels, ","),
                    "} ", metric.help, "\n");
  }

  EXPECT_TRUE(capstan::testing::MatchesGolden("metrics.txt", text));
}

TEST(MetricNamesTest, AreTheOnesThatTheOperationsGuideExplains) {
  AllMetrics all;
  std::set<std::string> declared;
  for (const MetricDescription& metric : all.registry.Describe()) declared.insert(metric.name);
  std::ifstream file(std::string(CAPSTAN_SOURCE_DIR) + "/docs/operations.md");
  const std::string guide{std::istreambuf_iterator<char>(file), {}};
  const std::regex name("`((?:capstan_|rpc_)[a-z_]+)`");

  std::set<std::string> explained;
  for (std::sregex_iterator it(guide.begin(), guide.end(), name), end; it != end; ++it) {
    explained.insert((*it)[1]);
  }

  EXPECT_EQ(explained, declared);
}

TEST(MetricNamesTest, FollowTheConventions) {
  AllMetrics all;
  const std::set<std::string> forbidden = {"execution", "id", "namespace", "message", "job"};

  for (const MetricDescription& metric : all.registry.Describe()) {
    EXPECT_TRUE(absl::StartsWith(metric.name, "capstan_") ||
                absl::StartsWith(metric.name, "rpc_server_"))
        << metric.name;
    EXPECT_EQ(metric.type == "counter", absl::EndsWith(metric.name, "_total")) << metric.name;
    EXPECT_TRUE(absl::EndsWith(metric.help, ".")) << metric.name;
    EXPECT_LE(metric.labels.size(), 2u) << metric.name;
    for (const std::string& label : metric.labels) {
      EXPECT_EQ(forbidden.count(label), 0u) << metric.name << " has label " << label;
    }
  }
}

// Of a counter that appears with its first increment, rates miss that increment.
TEST(MetricNamesTest, CountersBeginAtZeroWithEveryValueOfTheirLabels) {
  AllMetrics all;
  std::vector<std::string> expected = {"capstan_executions_swept_total 0\n"};
  for (const char* outcome : {"created", "existing", "refused", "overloaded", "failed"}) {
    expected.push_back(absl::StrCat("capstan_server_submits_total{outcome=\"", outcome, "\"} 0\n"));
  }
  for (const char* decision : {"allow", "deny", "error"}) {
    expected.push_back(
        absl::StrCat("capstan_policy_evaluations_total{decision=\"", decision, "\"} 0\n"));
  }
  for (const char* code : {"ABORTED", "UNAVAILABLE"}) {
    expected.push_back(absl::StrCat("capstan_store_retries_total{code=\"", code, "\"} 0\n"));
  }
  for (const char* verb : {"get", "list", "watch", "create", "patch", "delete", "log"}) {
    for (const char* code : {"403", "404", "409", "429", "none"}) {
      expected.push_back(absl::StrCat("capstan_kubernetes_requests_total{code=\"", code,
                                      "\",verb=\"", verb, "\"} 0\n"));
    }
  }
  const auto* reasons = v1::Execution::FailureReason_descriptor();
  for (int i = 1; i < reasons->value_count(); ++i) {
    const auto reason = static_cast<v1::Execution::FailureReason>(reasons->value(i)->number());
    expected.push_back(
        absl::StrCat("capstan_executions_total{action=\"ScaleDeployment\",outcome=\"",
                     OutcomeOf(reason), "\"} 0\n"));
  }

  const std::string text = all.registry.Text();

  for (const std::string& series : expected) EXPECT_THAT(text, HasSubstr(series));
}

TEST(MetricNamesTest, CallsBeginAtZeroWithEveryMethod) {
  AllMetrics all;

  EXPECT_THAT(all.registry.Text(), HasSubstr("rpc_server_call_duration_seconds_count{"
                                             "rpc_method=\"capstan.v1.ExecutionService/"
                                             "ExecuteAction\",rpc_response_status_code=\"OK\"} "
                                             "0\n"));
}

TEST(MetricNamesTest, OutcomesAreFailureReasonsInLowerCase) {
  EXPECT_EQ(OutcomeOf(v1::Execution::FAILURE_REASON_POLICY_DENIED), "policy_denied");
}

}  // namespace
}  // namespace capstan::telemetry
