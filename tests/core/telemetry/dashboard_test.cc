// The dashboards of deploy/dashboards: importable, documented, and asking only for series that
// exist (tests/golden/metrics.txt).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace capstan::telemetry {
namespace {

using ::nlohmann::json;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

const std::filesystem::path kSource = CAPSTAN_SOURCE_DIR;

// The series of tests/golden/metrics.txt ("name type {label,label} help") with their labels.
std::map<std::string, std::set<std::string>> KnownSeries() {
  std::map<std::string, std::set<std::string>> known;
  std::ifstream file(kSource / "tests/golden/metrics.txt");
  for (std::string name, type, list, rest; file >> name >> type >> list; getline(file, rest)) {
    std::set<std::string> labels = {"job", "instance"};  // added by Prometheus
    std::stringstream names(list.substr(1, list.size() - 2));
    for (std::string label; getline(names, label, ',');) labels.insert(label);
    if (type != "histogram") {
      known[name] = labels;
      continue;
    }
    known[name + "_sum"] = labels;
    known[name + "_count"] = labels;
    labels.insert("le");
    known[name + "_bucket"] = labels;
  }
  return known;
}

std::vector<std::string> Matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.push_back((*it)[1]);
  }
  return found;
}

std::vector<std::filesystem::path> Dashboards() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "deploy/dashboards")) {
    files.push_back(entry.path());
  }
  return files;
}

class DashboardTest : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    std::ifstream file(GetParam());
    dashboard_ = json::parse(file);
    for (const json& panel : dashboard_["panels"]) {
      if (panel["type"] != "row") panels_.push_back(panel);
    }
  }

  json dashboard_;
  std::vector<json> panels_;
};

TEST_P(DashboardTest, CanBeImportedAgainAndAgain) {
  EXPECT_GE(dashboard_["schemaVersion"], 39);
  EXPECT_THAT(dashboard_["uid"].get<std::string>(), Not(IsEmpty()));
  EXPECT_THAT(dashboard_["title"].get<std::string>(), Not(IsEmpty()));
  EXPECT_FALSE(dashboard_["editable"]);
  EXPECT_FALSE(dashboard_.contains("id")) << "an id belongs to one Grafana";
}

TEST_P(DashboardTest, LetsTheReaderChooseSourceJobAndInstance) {
  std::vector<std::string> names;
  for (const json& variable : dashboard_["templating"]["list"]) names.push_back(variable["name"]);

  EXPECT_THAT(names, ::testing::ElementsAre("datasource", "job", "instance"));
}

TEST_P(DashboardTest, EveryPanelSaysWhatItShowsInWhichUnit) {
  std::set<int> ids;
  ASSERT_FALSE(panels_.empty());

  for (const json& panel : panels_) {
    const std::string title = panel["title"];
    EXPECT_THAT(title, Not(IsEmpty()));
    EXPECT_THAT(panel["description"].get<std::string>(), ::testing::EndsWith(".")) << title;
    EXPECT_THAT(panel["fieldConfig"]["defaults"]["unit"].get<std::string>(), Not(IsEmpty()))
        << title;
    EXPECT_EQ(panel["datasource"]["uid"], "${datasource}") << title;
    EXPECT_FALSE(panel["targets"].empty()) << title;
    EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second) << title;
  }
}

TEST_P(DashboardTest, PanelsDoNotOverlap) {
  std::set<std::pair<int, int>> taken;

  for (const json& panel : dashboard_["panels"]) {
    const json& place = panel["gridPos"];
    const int x = place["x"], y = place["y"], w = place["w"], h = place["h"];
    EXPECT_LE(x + w, 24) << panel["title"];
    for (int column = x; column < x + w; ++column) {
      for (int line = y; line < y + h; ++line) {
        EXPECT_TRUE(taken.insert({column, line}).second) << panel["title"];
      }
    }
  }
}

TEST_P(DashboardTest, EveryQueryAsksForKnownSeriesByKnownLabels) {
  const std::map<std::string, std::set<std::string>> known = KnownSeries();
  const std::regex selector(R"(([a-zA-Z_:][a-zA-Z0-9_:]*\{[^}]*\}))");
  const std::regex metric(R"(^([a-zA-Z_:][a-zA-Z0-9_:]*))");
  const std::regex label(R"(([a-zA-Z_][a-zA-Z0-9_]*) *(?:=~|!~|!=|=))");
  const std::regex grouping(R"(by \(([^)]*)\))");
  const std::regex word(R"(([a-zA-Z_][a-zA-Z0-9_]*))");

  for (const json& panel : panels_) {
    for (const json& target : panel["targets"]) {
      const std::string query = target["expr"];
      const std::vector<std::string> selectors = Matches(query, selector);
      ASSERT_EQ(selectors.size(), 1u) << query;
      const std::string name = Matches(selectors[0], metric).at(0);
      ASSERT_THAT(known, Contains(::testing::Key(name))) << query;

      std::vector<std::string> labels = Matches(selectors[0], label);
      EXPECT_THAT(labels, ::testing::IsSupersetOf({"job", "instance"})) << query;
      for (const std::string& group : Matches(query, grouping)) {
        for (const std::string& by : Matches(group, word)) labels.push_back(by);
      }
      for (const std::string& used : labels) EXPECT_THAT(known.at(name), Contains(used)) << query;
    }
  }
}

TEST_P(DashboardTest, CountersAreShownAsRatesAndRatesAreOfCounters) {
  const std::regex ranged(R"((?:rate|increase)\(([a-zA-Z_]+))");
  const std::regex counter(R"(([a-zA-Z_]+_(?:total|count|sum|bucket))\{)");

  for (const json& panel : panels_) {
    for (const json& target : panel["targets"]) {
      const std::string query = target["expr"];
      EXPECT_EQ(Matches(query, ranged), Matches(query, counter)) << query;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, DashboardTest, ::testing::ValuesIn(Dashboards()),
                         [](const auto& info) { return info.param.stem().string(); });

// What a person on call looks for first.
TEST(CapstanDashboardTest, ShowsTheFiguresOfAnInstallationsHealth) {
  std::ifstream file(kSource / "deploy/dashboards/capstan.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};

  for (const char* name :
       {"capstan_executions_total", "capstan_queue_depth", "capstan_queue_oldest_age_seconds",
        "capstan_workers_live", "capstan_lease_takeovers_total", "capstan_store_feed_lag_seconds",
        "capstan_store_oldest_xmin_age_seconds", "capstan_policy_evaluations_total",
        "capstan_policy_info", "capstan_job_create_duration_seconds_bucket",
        "capstan_job_completion_duration_seconds_bucket", "rpc_server_call_duration_seconds_bucket",
        "rpc_server_call_duration_seconds_count", "capstan_executions_swept_total"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(name));
  }
}

}  // namespace
}  // namespace capstan::telemetry
