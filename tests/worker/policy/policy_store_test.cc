#include "worker/policy/policy_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

absl::Status CreateError(const PolicyStore::Options& options) {
  SystemClock clock;
  return PolicyStore::Create(options, clock, nullptr).status();
}

TEST(PolicyStoreTest, S2_32_AMissingDirectoryEndsTheStart) {
  const PolicyDirectory directory;
  PolicyStore::Options options = StoreOptions(directory, {});
  options.directory = "/nonexistent/policies";

  EXPECT_THAT(CreateError(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/policies")));
}

TEST(PolicyStoreTest, S2_32_ADirectoryWithoutARegoFileEndsTheStart) {
  const PolicyDirectory directory;
  directory.Write("a/readme.md", "text");

  EXPECT_THAT(CreateError(StoreOptions(directory, {})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no .rego file")));
}

TEST(PolicyStoreTest, S2_32_ACompileErrorEndsTheStart) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", "violations contains {");

  EXPECT_THAT(CreateError(StoreOptions(directory, {"a"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a/rules.rego")));
}

TEST(PolicyStoreTest, S2_32_AFailingTestEndsTheStart) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteTests("a", "test_x if false");

  EXPECT_THAT(CreateError(StoreOptions(directory, {"a"})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("test_x")));
}

TEST(PolicyStoreTest, ACheckThatCannotRunEndsTheStart) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  PolicyStore::Options options = StoreOptions(directory, {"a"});
  options.check_program = "/nonexistent/capstan-policy-check";

  EXPECT_THAT(CreateError(options),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/nonexistent")));
}

TEST(PolicyStoreTest, S2_32_ARequiredBundleThatIsMissingAtStartDeniesEverything) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a", "b"});

  const Decision decision = policies.Evaluate(ScaleInput());

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kUnavailable);
  EXPECT_THAT(decision.violations.at(0).message, HasSubstr("b"));
  EXPECT_THAT(policies.reloads().seen(), ElementsAre(PolicyReload::kUnavailable));
}

TEST(PolicyStoreTest, TheStatusNamesWhatIsInForce) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});

  const PolicyStatus status = policies.store().status();

  EXPECT_EQ(status.digest, ReadBundleFiles(directory.path(), {"a"})->digest);
  EXPECT_THAT(status.bundles, ElementsAre("a"));
  EXPECT_THAT(status.last_error, IsEmpty());
  EXPECT_GT(status.loaded_at, absl::UnixEpoch());
}

TEST(PolicyStoreTest, S2_33_ANewVersionIsInForceWithoutARestart) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});
  const Decision before = policies.Evaluate(ScaleInput());

  directory.WriteBundle("a", kDeny);
  policies.store().Poll();
  const Decision after = policies.Evaluate(ScaleInput());

  EXPECT_TRUE(before.allow);
  EXPECT_FALSE(after.allow);
  EXPECT_NE(before.bundle_digest, after.bundle_digest);
  EXPECT_THAT(policies.reloads().seen(), ElementsAre(PolicyReload::kLoaded, PolicyReload::kLoaded));
}

TEST(PolicyStoreTest, NothingHappensWhenNothingChanged) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});

  policies.store().Poll();

  EXPECT_THAT(policies.reloads().seen(), ElementsAre(PolicyReload::kLoaded));
}

// Bad versions of bundle "a": rules and tests.
struct BadVersion {
  const char* name;
  const char* rules;
  const char* tests;
};
class BadReloadTest : public ::testing::TestWithParam<BadVersion> {};

TEST_P(BadReloadTest, S2_33_TheLastGoodVersionStays) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});
  const std::string digest = policies.store().status().digest;

  directory.WriteBundle("a", GetParam().rules);
  directory.WriteTests("a", GetParam().tests);
  policies.store().Poll();
  policies.store().Poll();

  EXPECT_TRUE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_EQ(policies.store().status().digest, digest);
  EXPECT_THAT(policies.store().status().last_error, Not(IsEmpty()));
  EXPECT_THAT(policies.reloads().seen(),
              ElementsAre(PolicyReload::kLoaded, PolicyReload::kRejected));
}

INSTANTIATE_TEST_SUITE_P(
    Versions, BadReloadTest,
    ::testing::Values(
        BadVersion{"DoesNotParse", "violations contains {", "test_x if true"},
        BadVersion{"Truncated", "violations contains {\"id\": \"a", "test_x if true"},
        BadVersion{"FailsItsTest", kDeny, "test_x if false"},
        BadVersion{"Recurses", "violations contains 1 if f(1)\nf(x) := f(x)", "test_x if true"},
        BadVersion{"DeclaresNothing", "other := 1", "test_x if true"},
        BadVersion{"CallsTheNetwork", "violations contains 1 if http.send({})", "test_x if true"}),
    [](const auto& info) { return info.param.name; });

TEST(PolicyStoreTest, S2_33_ACheckThatCrashesKeepsTheLastGoodVersion) {
  const PolicyDirectory directory, scripts;
  directory.WriteBundle("a", kAllow);
  const std::string program = scripts.path() + "/check";
  std::filesystem::create_symlink(CAPSTAN_POLICY_CHECK, program);
  PolicyStore::Options options = StoreOptions(directory, {"a"});
  options.check_program = program;
  Policies policies(options);

  scripts.Remove("check");
  scripts.Write("check", "#!/bin/sh\nkill -SEGV $$\n");
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  directory.WriteBundle("a", kDeny);
  policies.store().Poll();

  EXPECT_TRUE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_THAT(policies.store().status().last_error, HasSubstr("crashed"));
}

TEST(PolicyStoreTest, ACheckThatCouldNotRunIsTriedAgain) {
  const PolicyDirectory directory, scripts;
  directory.WriteBundle("a", kAllow);
  const std::string program = scripts.path() + "/check";
  std::filesystem::create_symlink(CAPSTAN_POLICY_CHECK, program);
  PolicyStore::Options options = StoreOptions(directory, {"a"});
  options.check_program = program;
  Policies policies(options);

  directory.WriteBundle("a", kDeny);
  scripts.Remove("check");
  policies.store().Poll();
  std::filesystem::create_symlink(CAPSTAN_POLICY_CHECK, program);
  policies.store().Poll();

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_THAT(policies.store().status().last_error, IsEmpty());
}

TEST(PolicyStoreTest, S2_33_AGoodVersionAfterABadOneIsLoaded) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});
  directory.WriteBundle("a", "violations contains {");
  policies.store().Poll();

  directory.WriteBundle("a", kDeny);
  policies.store().Poll();

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_THAT(policies.store().status().last_error, IsEmpty());
}

TEST(PolicyStoreTest, S2_32_AnEmptiedDirectoryDeniesTheNextEvaluation) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});
  ASSERT_TRUE(policies.Evaluate(ScaleInput()).allow);

  directory.Remove("a");
  const Decision at_once = policies.Evaluate(ScaleInput());
  policies.store().Poll();
  const Decision later = policies.Evaluate(ScaleInput());

  EXPECT_FALSE(at_once.allow);
  EXPECT_EQ(at_once.error, Decision::Error::kUnavailable);
  EXPECT_THAT(at_once.error_message, HasSubstr("missing or empty: a"));
  EXPECT_FALSE(later.allow);
  EXPECT_THAT(policies.store().status().unavailable, HasSubstr("a"));
  EXPECT_THAT(policies.store().status().digest, IsEmpty());
}

TEST(PolicyStoreTest, S2_32_ADirectoryThatDisappearsDeniesAndComesBack) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});

  directory.Remove("");
  const Decision gone = policies.Evaluate(ScaleInput());
  policies.store().Poll();
  directory.WriteBundle("a", kAllow);
  policies.store().Poll();
  const Decision back = policies.Evaluate(ScaleInput());

  EXPECT_FALSE(gone.allow);
  EXPECT_TRUE(back.allow);
  EXPECT_THAT(
      policies.reloads().seen(),
      ElementsAre(PolicyReload::kLoaded, PolicyReload::kUnavailable, PolicyReload::kLoaded));
}

TEST(PolicyStoreTest, S2_32_OneRequiredBundleOfTwoRemovedDenies) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteBundle("b", kAllow);
  Policies policies(directory, {"a", "b"});

  directory.Write("b/rules.rego", "");
  const Decision decision = policies.Evaluate(ScaleInput());

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.error_message, HasSubstr("missing or empty: b"));
}

TEST(PolicyStoreTest, S2_32_NoRequiredBundleAndNoneThereDenies) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {});

  directory.Remove("a");
  policies.store().Poll();

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
}

TEST(PolicyStoreTest, ABundleThatIsNotRequiredCountsAsWell) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  directory.WriteBundle("b", kDeny);
  Policies policies(directory, {"a"});

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
}

TEST(PolicyStoreTest, S2_33_TheWatchLoadsAChangedFile) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});
  policies.store().Start();

  directory.WriteBundle("a", kDeny);
  policies.reloads().WaitFor(2);

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_THAT(policies.reloads().seen(), ElementsAre(PolicyReload::kLoaded, PolicyReload::kLoaded));
}

TEST(PolicyStoreTest, S2_33_TheWatchFollowsTheSwapOfAConfigMap) {
  const PolicyDirectory directory;
  directory.Write("..v1/a/rules.rego", PolicyDirectory::Module("a", kAllow));
  std::filesystem::create_directory_symlink("..v1", directory.path() + "/..data");
  std::filesystem::create_directory_symlink("..data/a", directory.path() + "/a");
  Policies policies(directory, {"a"});
  policies.store().Start();

  directory.Write("..v2/a/rules.rego", PolicyDirectory::Module("a", kDeny));
  std::filesystem::create_directory_symlink("..v2", directory.path() + "/..data_tmp");
  std::filesystem::rename(directory.path() + "/..data_tmp", directory.path() + "/..data");
  policies.reloads().WaitFor(2);

  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
  EXPECT_THAT(policies.reloads().seen(), ElementsAre(PolicyReload::kLoaded, PolicyReload::kLoaded));
}

TEST(PolicyStoreTest, S2_33_TheWatchLooksAgainEvenWithoutAnEvent) {
  const PolicyDirectory directory, elsewhere;
  elsewhere.Write("rules.rego", PolicyDirectory::Module("a", kAllow));
  std::filesystem::create_directory(directory.path() + "/a");
  std::filesystem::create_symlink(elsewhere.path() + "/rules.rego",
                                  directory.path() + "/a/rules.rego");
  PolicyStore::Options options = StoreOptions(directory, {"a"});
  options.poll_interval = absl::Milliseconds(10);
  Policies policies(options);
  policies.store().Start();

  elsewhere.Write("rules.rego", PolicyDirectory::Module("a", kDeny));
  policies.reloads().WaitFor(2);

  policies.store().Stop();
  EXPECT_FALSE(policies.Evaluate(ScaleInput()).allow);
}

TEST(PolicyStoreTest, StartAndStopMayBeRepeated) {
  const PolicyDirectory directory;
  directory.WriteBundle("a", kAllow);
  Policies policies(directory, {"a"});

  policies.store().Start();
  policies.store().Start();
  policies.store().Stop();
  policies.store().Stop();

  EXPECT_TRUE(policies.Evaluate(ScaleInput()).allow);
}

// Version n denies with two violations that carry n: an evaluation that saw half of one version and
// half of another would show two numbers.
TEST(PolicyStoreTest, S2_33_TheSwapIsAtomicUnderConcurrentEvaluation) {
  const auto version = [](int n) {
    return absl::StrCat("violations contains {\"id\": \"a/x\", \"message\": \"", n, "\"}\n\n",
                        "violations contains {\"id\": \"a/y\", \"message\": \"", n, "\"}");
  };
  const PolicyDirectory directory;
  directory.WriteBundle("a", version(0));
  Policies policies(directory, {"a"});
  std::atomic<bool> done = false;
  std::atomic<int> evaluations = 0;
  std::atomic<int> torn = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!done) {
        const Decision decision = policies.Evaluate(ScaleInput());
        const bool whole = decision.error == Decision::Error::kNone &&
                           decision.violations.size() == 2 &&
                           decision.violations[0].message == decision.violations[1].message;
        if (!whole && decision.error != Decision::Error::kTimeout) ++torn;
        ++evaluations;
      }
    });
  }

  for (int n = 1; n <= 10; ++n) {
    directory.WriteBundle("a", version(n));
    policies.store().Poll();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(torn, 0);
  EXPECT_GT(evaluations, 10);
  EXPECT_EQ(policies.Evaluate(ScaleInput()).violations.at(0).message, "10");
}

}  // namespace
}  // namespace capstan::policy
