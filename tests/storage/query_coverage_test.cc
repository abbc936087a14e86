// No query file is dead: each is run by some test of this program. Checked when all tests have run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/sql.h"
#include "tests/storage/store_fixture.h"

namespace capstan::storage {
namespace {

// Run while connecting, before figures are kept.
constexpr char kSettings[] = "session_settings";

class EveryQueryIsRun : public ::testing::Environment {
 public:
  void TearDown() override {
    const auto* unit = ::testing::UnitTest::GetInstance();
    if (unit->test_to_run_count() < unit->total_test_count() || unit->Failed())
      return;  // a selection, or failures
    std::vector<std::string> missed;
    const std::set<std::string> seen = StatementsSeen();
    for (const Statement* statement : sql::kAll) {
      if (statement->name != std::string(kSettings) && !seen.contains(statement->name))
        missed.emplace_back(statement->name);
    }
    EXPECT_THAT(missed, ::testing::IsEmpty()) << "no test runs these files of storage/queries";
  }
};

const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new EveryQueryIsRun);

TEST(QueryFiles, SayWhatTheyDoAndWhichIndexTheyRelyOn) {
  ASSERT_NE(kEnvironment, nullptr);
  for (const Statement* statement : sql::kAll) {
    const std::string text = statement->text;
    EXPECT_EQ(text.rfind("-- ", 0), 0u) << statement->name;
    EXPECT_NE(text.find("\n-- Index: "), std::string::npos) << statement->name;
    EXPECT_EQ(text.find("SELECT *"), std::string::npos) << statement->name;
  }
}

}  // namespace
}  // namespace capstan::storage
