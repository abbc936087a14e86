#include "worker/policy/bundle_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

BundleCheck CheckOf(const PolicyDirectory& directory, std::vector<std::string> required = {}) {
  const std::string digest = ReadBundleFiles(directory.path(), required).value().digest;
  return {CAPSTAN_POLICY_CHECK, directory.path(), std::move(required), digest};
}

// A program that stands in for the check.
std::string Script(const PolicyDirectory& directory, const std::string& commands) {
  const std::string path = directory.path() + "/../" +
                           std::filesystem::path(directory.path()).filename().string() + ".sh";
  std::ofstream(path) << "#!/bin/sh\n" << commands << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

TEST(BundleCheckTest, GoodPoliciesPass) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteTests("a", "test_x if true");

  EXPECT_OK(CheckInChild(CheckOf(directory, {"a"})));
}

TEST(BundleCheckTest, S2_33_ATestThatFailsIsNamed) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteTests("a", "test_x if false");

  EXPECT_THAT(CheckInChild(CheckOf(directory)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("test_x")));
}

TEST(BundleCheckTest, S2_32_ACompileErrorIsNamed) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", "violations contains {");

  EXPECT_THAT(CheckInChild(CheckOf(directory)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a/rules.rego")));
}

TEST(BundleCheckTest, ARequiredBundleThatIsMissingIsNamed) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);

  EXPECT_THAT(CheckInChild(CheckOf(directory, {"a", "b"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing or empty: b")));
}

TEST(BundleCheckTest, FilesThatChangedAreReadAgain) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  const BundleCheck check = CheckOf(directory);
  directory.WriteBundle("a", kDeny);

  EXPECT_THAT(CheckInChild(check), StatusIs(absl::StatusCode::kAborted));
}

// Calls and comprehensions that nest as deep as a module may overflow the small stack of the child:
// only it dies.
TEST(BundleCheckTest, S2_33_PoliciesThatCrashTheEngineAreRefused) {
  const PolicyDirectory directory;
  std::string rules = "violations contains {\"id\": \"a/x\", \"message\": \"m\"} if f0(1) == 2\n";
  for (int i = 0; i < 26; ++i) {
    std::string body = absl::StrCat("f", i + 1, "(x)");
    for (int depth = 0; depth < 14; ++depth)
      body = absl::StrCat("[y", depth, " | y", depth, " := ", body, "][0]");
    absl::StrAppend(&rules, "f", i, "(x) := ", body, "\n");
  }
  directory.WriteBundle("a", rules + "f26(x) := x");
  directory.WriteTests("a", "test_x if count(data.capstan.safety.rules.a.violations) == 0");

  EXPECT_THAT(CheckInChild(CheckOf(directory)), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(BundleCheckTest, AChildThatIsKilledByASignalIsACrash) {
  const PolicyDirectory directory;
  BundleCheck check = CheckOf(directory);
  check.program = Script(directory, "kill -SEGV $$");

  EXPECT_THAT(CheckInChild(check),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("signal 11")));
  std::filesystem::remove(check.program);
}

TEST(BundleCheckTest, AChildThatHangsIsKilled) {
  const PolicyDirectory directory;
  BundleCheck check = CheckOf(directory);
  check.program = Script(directory, "exec tail -f /dev/null");
  check.timeout = absl::Milliseconds(50);

  EXPECT_THAT(CheckInChild(check), StatusIs(absl::StatusCode::kDeadlineExceeded));
  std::filesystem::remove(check.program);
}

TEST(BundleCheckTest, AChildThatFloodsItsOutputIsCutShort) {
  const PolicyDirectory directory;
  BundleCheck check = CheckOf(directory);
  check.program = Script(directory, "head -c 1000000 /dev/zero | tr '\\0' x; exit 1");

  const absl::Status status = CheckInChild(check);

  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_LT(status.message().size(), 100000u);
  std::filesystem::remove(check.program);
}

TEST(BundleCheckTest, AProgramThatIsNotThereIsNamed) {
  const PolicyDirectory directory;
  BundleCheck check = CheckOf(directory);
  check.program = "/nonexistent/capstan-policy-check";

  EXPECT_THAT(CheckInChild(check),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/nonexistent")));
}

}  // namespace
}  // namespace capstan::policy
