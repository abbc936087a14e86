#include "core/config/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "capstan/config/v1/server_config.pb.h"
#include "core/config/validate.h"

namespace capstan::config {
namespace {

using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Optional;

class ProgramTest : public ::testing::Test {
 protected:
  StartUp Run(std::vector<const char*> words) {
    words.insert(words.begin(), "capstan-server");
    const Program program = {
        "capstan-server", "accepts executions", "1.2.3", {{"migrate", "change the schema"}}};
    return Begin(
        program, static_cast<int>(words.size()), words.data(), config_,
        [this] { return Validate(config_); }, [](const std::string&) { return std::nullopt; }, out_,
        err_);
  }

  v1::ServerConfig config_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ProgramTest, RunsWithoutACommand) {
  StartUp start = Run({"--store.dsn=host=/tmp"});

  EXPECT_FALSE(start.exit_code.has_value()) << err_.str();
  EXPECT_EQ(start.command, "");
  EXPECT_EQ(config_.store().dsn(), "host=/tmp");
}

TEST_F(ProgramTest, HandsItsOwnCommandsToTheMain) {
  StartUp start = Run({"migrate", "--store.dsn=host=/tmp"});

  EXPECT_FALSE(start.exit_code.has_value()) << err_.str();
  EXPECT_EQ(start.command, "migrate");
}

TEST_F(ProgramTest, ValidatesTheConfiguration) {
  EXPECT_THAT(Run({"config", "validate", "--store.dsn=host=/tmp"}).exit_code, Optional(kExitOk));
  EXPECT_THAT(out_.str(), HasSubstr("valid"));
}

TEST_F(ProgramTest, RefusesAConfigurationThatIsNotValid) {
  EXPECT_THAT(Run({"config", "validate"}).exit_code, Optional(kExitUsage));
  EXPECT_EQ(err_.str(),
            "capstan-server: store: want exactly one of store.dsn and store.dsn_file\n");
}

TEST_F(ProgramTest, PrintsTheEffectiveConfigurationWithoutSecrets) {
  EXPECT_THAT(Run({"config", "print", "--store.dsn=password=hunter2"}).exit_code,
              Optional(kExitOk));
  EXPECT_THAT(out_.str(), HasSubstr("dsn: (set)"));
  EXPECT_THAT(out_.str(), ::testing::Not(HasSubstr("hunter2")));
}

TEST_F(ProgramTest, HelpListsEverySettingWithVariableAndDefault) {
  EXPECT_THAT(Run({"--help"}).exit_code, Optional(kExitOk));
  EXPECT_THAT(out_.str(), HasSubstr("watch.heartbeat_interval"));
  EXPECT_THAT(out_.str(), HasSubstr("CAPSTAN_WATCH_HEARTBEAT_INTERVAL"));
  EXPECT_THAT(out_.str(), HasSubstr("migrate"));
}

TEST_F(ProgramTest, SaysItsVersion) {
  EXPECT_THAT(Run({"--version"}).exit_code, Optional(kExitOk));
  EXPECT_EQ(out_.str(), "capstan-server 1.2.3\n");
}

TEST_F(ProgramTest, RefusesUnknownCommandsAndFlags) {
  EXPECT_THAT(Run({"migrat"}).exit_code, Optional(kExitUsage));
  EXPECT_THAT(err_.str(), HasSubstr("unknown command \"migrat\""));
  EXPECT_THAT(Run({"-x"}).exit_code, Optional(kExitUsage));
  EXPECT_THAT(Run({"--nothing"}).exit_code, Optional(kExitUsage));
  EXPECT_THAT(Run({"--listen.adress=x"}).exit_code, Optional(kExitUsage));
  EXPECT_THAT(err_.str(), HasSubstr("--listen.adress: unknown flag"));
}

TEST_F(ProgramTest, RefusesAConfigFlagWithoutAFile) {
  EXPECT_THAT(Run({"--config"}).exit_code, Optional(kExitUsage));
  EXPECT_THAT(err_.str(), HasSubstr("--config: want a file"));
}

}  // namespace
}  // namespace capstan::config
