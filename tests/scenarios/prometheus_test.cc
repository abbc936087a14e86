// The metrics as an operator's Prometheus has them: a real one scrapes server and worker while
// they work, what it stored is compared with the golden list, and every query of every dashboard
// is put to it.
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"
#include "tests/scenarios/system.h"
#include "tests/scenarios/tasks.h"
#include "tests/scenarios/tool.h"

namespace capstan::testing {
namespace {

using ::nlohmann::json;
using ::testing::IsEmpty;
using ::testing::Not;
using v1::Execution;

constexpr char kScrape[] = "250ms";
constexpr absl::Duration kPoll = absl::Milliseconds(100);
constexpr absl::Duration kPatience = absl::Seconds(30);
const std::filesystem::path kSource = CAPSTAN_SOURCE_DIR;

// Prometheus on a loopback port of its choice, with its data among the files of `system`.
class Prometheus {
 public:
  // `targets`: job to host:port.
  Prometheus(const std::string& program, const System& system,
             const std::map<std::string, std::string>& targets) {
    const std::string config = system.LogFile("prometheus.yaml");
    std::ofstream file(config);
    file << "global: {scrape_interval: " << kScrape << ", scrape_timeout: " << kScrape << "}\n"
         << "scrape_configs:\n";
    for (const auto& [job, target] : targets) {
      file << "- {job_name: " << job << ", static_configs: [{targets: ['" << target << "']}]}\n";
    }
    file.close();
    process_ = *Process::Start({program, "--config.file", config, "--storage.tsdb.path",
                                system.LogFile("prometheus"), "--web.listen-address=127.0.0.1:0"},
                               {}, system.LogFile("prometheus.log"));
    CAPSTAN_CHECK(process_->WaitForLog("Server is ready"));
    url_ = absl::StrCat("http://", FromLog(*process_, "msg=\"Listening on\" address=", "\n"));
  }

  // The whole answer to /api/v1/<path>?<parameter>=<value>.
  json Ask(const std::string& path, const std::string& parameter = "",
           const std::string& value = "") const {
    CURL* curl = curl_easy_init();
    std::string url = absl::StrCat(url_, "/api/v1/", path);
    if (!parameter.empty()) {
      char* escaped = curl_easy_escape(curl, value.c_str(), 0);
      absl::StrAppend(&url, "?", parameter, "=", escaped);
      curl_free(escaped);
    }
    std::string body;
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(
        curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* to) {
          static_cast<std::string*>(to)->append(data, size * count);
          return size * count;
        });
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) return {{"status", curl_easy_strerror(code)}};
    return json::parse(body);
  }

  // Until `query` gives at least one series: Prometheus tells nobody when it has scraped.
  bool WaitFor(const std::string& query) const {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      const json answer = Ask("query", "query", query);
      if (answer["status"] == "success" && !answer["data"]["result"].empty()) return true;
      absl::SleepFor(kPoll);
    }
    return false;
  }

  std::string Log() const { return process_->Log(); }

 private:
  std::unique_ptr<Process> process_;
  std::string url_;
};

// One server, one worker and Prometheus for the whole suite. Everything on the dashboard has
// happened once after the first scrapes: an action, a denial, a task, a call that fails.
class PrometheusTest : public ::testing::Test {
 protected:
  struct Installation {
    std::unique_ptr<System> system = System::Make();
    TaskRoom room;
    Server server = system->StartServer();
    std::unique_ptr<Process> worker;
    std::unique_ptr<Prometheus> prometheus;
  };

  static void SetUpTestSuite() {
    running_ = new Installation();
    Installation& all = *running_;
    all.room.SetScript(
        "default: {answer: {status: complete}, usage: {model: scripted, input_tokens: 100,"
        " output_tokens: 10, cost_microusd: 1000}}");
    all.worker = all.system->StartWorker({}, all.room.WorkerFlags());
    const std::string worker =
        absl::StrCat("127.0.0.1:", FromLog(*all.worker, "\"http_port\":\"", "\""));
    all.prometheus = std::make_unique<Prometheus>(
        *Tool("prometheus"), *all.system,
        std::map<std::string, std::string>{
            {"capstan-server", all.server.http.substr(std::string("http://").size())},
            {"capstan-worker", worker}});
    CAPSTAN_CHECK(all.prometheus->WaitFor(Scraped(2)));

    CAPSTAN_CHECK(Execute(all.server, Scale(3)).End().to() == Execution::STATE_SUCCEEDED);
    CAPSTAN_CHECK(Execute(all.server, Scale(0, "kube-system", "coredns")).End().to() ==
                  Execution::STATE_FAILED);
    PutWorkflow(all.server,
                "name: one\nsteps: [{name: write, llm: {prompt: Write., schema: "
                "'{\"type\":\"object\",\"properties\":{\"status\":{\"type\":\"string\"}}}'}}]");
    CAPSTAN_CHECK(RunToEnd(all.server, Task("one", &all.room)).End().to() ==
                  Execution::STATE_SUCCEEDED);
    CAPSTAN_CHECK(
        !Watch(all.server, "executions/00000000-0000-7000-8000-000000000000").status.ok());
    const json before = all.prometheus->Ask("query", "query", "min(count_over_time(up[1h]))");
    const int scrapes = std::stoi(before["data"]["result"][0]["value"][1].get<std::string>());
    CAPSTAN_CHECK(all.prometheus->WaitFor(Scraped(scrapes + 3)));
  }

  static void TearDownTestSuite() { delete running_; }

  // Both targets were scraped at least so often, and answered.
  static std::string Scraped(int times) {
    return absl::StrCat("count(sum_over_time(up[1h]) >= ", times, ") == 2");
  }

  static const Prometheus& prometheus() { return *running_->prometheus; }

  static Installation* running_;
};

PrometheusTest::Installation* PrometheusTest::running_ = nullptr;

// Its series, one for a statement and how it failed, begin when that first happens.
constexpr char kOnlyAfterErrors[] = "capstan_store_statement_errors_total";

// "name type help", of tests/golden/metrics.txt, which has the labels too.
std::string GoldenMetrics() {
  std::string golden;
  std::ifstream file(kSource / "tests/golden/metrics.txt");
  for (std::string name, type, labels, help; file >> name >> type >> labels;) {
    std::getline(file, help);
    if (name == kOnlyAfterErrors) continue;
    absl::StrAppend(&golden, name, " ", type, help, "\n");
  }
  return golden;
}

TEST_F(PrometheusTest, WhatItScrapesIsTheGoldenListAndNothingElse) {
  const json metadata = prometheus().Ask("metadata")["data"];
  std::string seen;
  for (const auto& [name, entries] : metadata.items()) {
    if (name == kOnlyAfterErrors) continue;
    ASSERT_EQ(entries.size(), 1u) << name << ": server and worker disagree";
    absl::StrAppend(&seen, name, " ", entries[0]["type"].get<std::string>(), " ",
                    entries[0]["help"].get<std::string>(), "\n");
  }

  EXPECT_EQ(seen, GoldenMetrics());
}

TEST_F(PrometheusTest, TheDashboardsVariablesOfferBothPrograms) {
  const json jobs = prometheus().Ask("label/job/values", "match[]", "capstan_build_info")["data"];

  EXPECT_EQ(jobs, json({"capstan-server", "capstan-worker"}));
}

struct Query {
  std::string panel;
  std::string expression;  // as Grafana would send it with "All" chosen
};

std::vector<Query> QueriesOf(const json& dashboard) {
  std::vector<Query> queries;
  for (const json& panel : dashboard["panels"]) {
    if (!panel.contains("targets")) continue;
    for (const json& target : panel["targets"]) {
      queries.push_back({panel["title"], absl::StrReplaceAll(target["expr"].get<std::string>(),
                                                             {{"$job", ".+"},
                                                              {"$instance", ".+"},
                                                              {"$__rate_interval", "1m"},
                                                              {"$__range", "1h"}})});
    }
  }
  return queries;
}

bool HasNumber(const json& series) {
  return std::any_of(series.begin(), series.end(), [](const json& one) {
    return !std::isnan(std::stod(one["value"][1].get<std::string>()));
  });
}

TEST_F(PrometheusTest, EveryQueryOfEveryDashboardIsAnsweredWithNumbers) {
  int queries = 0;
  for (const auto& file : std::filesystem::directory_iterator(kSource / "deploy/dashboards")) {
    std::ifstream text(file.path());
    for (const Query& query : QueriesOf(json::parse(text))) {
      SCOPED_TRACE(absl::StrCat(query.panel, ": ", query.expression));
      EXPECT_THAT(query.expression, Not(::testing::HasSubstr("$"))) << "an unknown variable";

      const json answer = prometheus().Ask("query", "query", query.expression);

      ASSERT_EQ(answer["status"], "success") << answer;
      if (query.expression.find(kOnlyAfterErrors) != std::string::npos) continue;
      EXPECT_TRUE(HasNumber(answer["data"]["result"])) << answer;
      ++queries;
    }
  }
  EXPECT_GT(queries, 0);
}

TEST_F(PrometheusTest, TheFirstOccurrenceIsInTheRate) {
  for (const char* query :
       {"increase(capstan_executions_total{outcome=\"succeeded\"}[1h])",
        "increase(capstan_executions_total{outcome=\"policy_denied\"}[1h])",
        "increase(capstan_policy_evaluations_total{decision=\"deny\"}[1h])",
        "increase(capstan_server_submits_total{outcome=\"created\"}[1h])",
        "increase(capstan_kubernetes_requests_total{verb=\"create\", code=\"201\"}[1h])"}) {
    const json answer = prometheus().Ask("query", "query", absl::StrCat(query, " > 0"));

    EXPECT_THAT(answer["data"]["result"], Not(IsEmpty())) << query;
  }
}

TEST_F(PrometheusTest, BothProgramsAreUpAndNothingTheySayIsRefused) {
  const json answer = prometheus().Ask("query", "query", "up == 1");

  EXPECT_EQ(answer["data"]["result"].size(), 2u) << answer;
  EXPECT_THAT(prometheus().Log(), Not(::testing::HasSubstr("level=warn")));
}

}  // namespace
}  // namespace capstan::testing

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const absl::StatusOr<std::string> tool = capstan::testing::Tool("prometheus");
  if (tool.ok()) return RUN_ALL_TESTS();
  std::printf("NOT RUN: %d tests: %s\n", testing::UnitTest::GetInstance()->total_test_count(),
              tool.status().ToString().c_str());
  return capstan::testing::kNotRun;
}
