#include "core/config/load.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>

#include "capstan/config/v1/server_config.pb.h"
#include "capstan/config/v1/worker_config.pb.h"
#include "core/config/validate.h"
#include "core/config/yaml.h"
#include "tests/support/status_matchers.h"

namespace capstan::config {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

std::string WriteFile(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

Environment Variables(std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

TEST(LoadTest, StartsFromTheDefaultsOfTheProto) {
  v1::WorkerConfig config;

  ASSERT_OK(Load({}, config));

  EXPECT_EQ(ToDuration(config.lease().ttl()), absl::Seconds(15));
  EXPECT_EQ(ToDuration(config.lease().heartbeat()), absl::Seconds(3));
  EXPECT_EQ(ToDuration(config.policy().timeout()), absl::Milliseconds(500));
  EXPECT_EQ(ToDuration(config.jobs().start_deadline()), absl::Seconds(120));
  EXPECT_EQ(config.lease().max_executions(), 256u);
  EXPECT_EQ(config.http().address(), "127.0.0.1:9464");
  EXPECT_EQ(config.policy().required_bundles_size(), 5);
}

TEST(LoadTest, EveryDefaultOfTheServerIsReadable) {
  v1::ServerConfig config;

  ASSERT_OK(Load({}, config));

  EXPECT_EQ(config.listen().address(), "127.0.0.1:50051");
  EXPECT_EQ(ToDuration(config.submit().queue_deadline()), absl::Hours(1));
  EXPECT_TRUE(config.reflection());
  EXPECT_FALSE(config.listen().has_tls());
}

TEST(LoadTest, EnvironmentWinsOverTheFileAndFlagsWinOverBoth) {
  const std::string file =
      WriteFile("layers.yaml", "threads: 1\ncatalog_dir: from-file\nlease: {ttl: 20s}\n");
  v1::WorkerConfig config;

  ASSERT_OK(Load({.file = file,
                  .environment = Variables(
                      {{"CAPSTAN_CATALOG_DIR", "from-environment"}, {"CAPSTAN_LEASE_TTL", "30s"}}),
                  .flags = {{"lease.ttl", "40s"}}},
                 config));

  EXPECT_EQ(config.threads(), 1u);
  EXPECT_EQ(config.catalog_dir(), "from-environment");
  EXPECT_EQ(ToDuration(config.lease().ttl()), absl::Seconds(40));
}

TEST(LoadTest, AnEmptyVariableCountsAsNotSet) {
  v1::WorkerConfig config;

  ASSERT_OK(Load({.environment = Variables({{"CAPSTAN_CATALOG_DIR", ""}})}, config));

  EXPECT_EQ(config.catalog_dir(), "catalog");
}

TEST(LoadTest, IgnoresVariablesThatAClusterSetsForAServiceOfItsName) {
  v1::ServerConfig config;

  EXPECT_OK(Load({.environment = Variables({{"CAPSTAN_PORT", "tcp://10.0.0.1:50051"},
                                            {"CAPSTAN_SERVICE_HOST", "10.0.0.1"}})},
                 config));
}

TEST(LoadTest, NamesTheVariableOrFlagThatIsWrong) {
  v1::WorkerConfig config;

  EXPECT_THAT(Load({.environment = Variables({{"CAPSTAN_LEASE_TTL", "15"}})}, config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("CAPSTAN_LEASE_TTL: got \"15\", want a duration")));
  EXPECT_THAT(Load({.flags = {{"threads", "x"}}}, config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--threads: got \"x\"")));
  EXPECT_THAT(Load({.flags = {{"lease", "x"}}}, config),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--lease: unknown flag")));
}

TEST(LoadTest, SaysWhichFileCannotBeRead) {
  v1::WorkerConfig config;

  EXPECT_THAT(Load({.file = "/nonexistent/worker.yaml"}, config),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/worker.yaml")));
}

TEST(LoadTest, SectionsThatAreUsedFromTheEnvironmentAreMade) {
  v1::ServerConfig config;

  ASSERT_OK(
      Load({.environment = Variables({{"CAPSTAN_LISTEN_TLS_CERT_FILE", "/tls/cert"}})}, config));

  EXPECT_EQ(config.listen().tls().cert_file(), "/tls/cert");
}

TEST(SettingsTest, NoTwoSettingsShareAVariable) {
  for (const auto* descriptor : {v1::ServerConfig::descriptor(), v1::WorkerConfig::descriptor()}) {
    std::set<std::string> variables;
    for (const Setting& setting : Settings(*descriptor)) {
      EXPECT_TRUE(variables.insert(setting.variable).second) << setting.variable;
    }
    EXPECT_GT(variables.size(), 15u);
  }
}

TEST(PrintTest, IsReadBackAsTheSameConfiguration) {
  v1::WorkerConfig config;
  ASSERT_OK(Load({.flags = {{"store.dsn_file", "/run/secrets/dsn: #1"},
                            {"kubernetes.runner_images", "kubectl=r/kubectl:1,a.b/c=r/c:2"},
                            {"kubernetes.qps", "0.5"},
                            {"tracing.sample_ratio", "0"},
                            {"policy.timeout", "1h0m1.5s"}}},
                 config));
  v1::WorkerConfig read_back;

  ASSERT_OK(MergeYaml(Print(config), "printed.yaml", read_back));

  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(config, read_back))
      << Print(config);
}

TEST(PrintTest, HidesSecrets) {
  v1::ServerConfig config;
  ASSERT_OK(Load({.flags = {{"store.dsn", "postgres://capstan:hunter2@db/capstan"}}}, config));

  const std::string printed = Print(config);

  EXPECT_THAT(printed, Not(HasSubstr("hunter2")));
  EXPECT_THAT(printed, HasSubstr("dsn: (set)"));
}

}  // namespace
}  // namespace capstan::config
