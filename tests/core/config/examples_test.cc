// The files of deploy/examples are configurations that the programs take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "core/config/load.h"
#include "core/config/validate.h"
#include "tests/support/status_matchers.h"

namespace capstan::config {
namespace {

using ::testing::StartsWith;

template <class Config>
absl::Status LoadAndValidate(const std::filesystem::path& file) {
  Config config;
  absl::Status loaded = Load({.file = file.string()}, config);
  return loaded.ok() ? Validate(config) : loaded;
}

TEST(ExamplesTest, EveryFileIsAValidConfiguration) {
  std::set<std::string> servers;
  std::set<std::string> workers;
  const std::filesystem::path folder =
      std::filesystem::path(CAPSTAN_SOURCE_DIR) / "deploy/examples";

  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const bool is_server = name.rfind("server", 0) == 0;
    (is_server ? servers : workers).insert(name);
    if (is_server) {
      EXPECT_OK(LoadAndValidate<v1::ServerConfig>(entry.path())) << name;
    } else {
      EXPECT_THAT(name, StartsWith("worker"));
      EXPECT_OK(LoadAndValidate<v1::WorkerConfig>(entry.path())) << name;
    }
  }

  EXPECT_FALSE(servers.empty());
  EXPECT_FALSE(workers.empty());
}

}  // namespace
}  // namespace capstan::config
