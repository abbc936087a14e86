#include "core/find_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/status_matchers.h"

namespace capstan {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;

TEST(FindProgramTest, TheProgramIsLookedForBesideTheRunningOneAndOnThePath) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");

  EXPECT_THAT(FindProgram(self.filename().string()), IsOkAndHolds(self.string()));
  EXPECT_THAT(FindProgram("sh"), IsOkAndHolds(HasSubstr("/sh")));
  EXPECT_THAT(FindProgram("./elsewhere/check"), IsOkAndHolds("./elsewhere/check"));
  EXPECT_THAT(FindProgram("no-such-program"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no-such-program")));
}

}  // namespace
}  // namespace capstan
