#include "worker/policy/bundle_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string DigestOf(const PolicyDirectory& directory,
                     const std::vector<std::string>& required = {}) {
  return ReadBundleFiles(directory.path(), required).value().digest;
}

TEST(BundleFilesTest, EveryFolderIsABundle) {
  const PolicyDirectory directory;
  directory.Write("one/x.rego", "x");
  directory.Write("one/x_test.rego", "t");
  directory.Write("two/y.rego", "y");

  const absl::StatusOr<BundleFiles> read = ReadBundleFiles(directory.path(), {"one"});

  ASSERT_OK(read);
  EXPECT_THAT(read->bundles, ElementsAre("one", "two"));
  EXPECT_THAT(read->missing, IsEmpty());
  ASSERT_EQ(read->files.size(), 3u);
  EXPECT_EQ(read->files[0].path, "one/x.rego");
  EXPECT_TRUE(read->files[1].is_test());
}

TEST(BundleFilesTest, S2_32_ARequiredBundleThatIsAbsentIsMissing) {
  const PolicyDirectory directory;
  directory.Write("one/x.rego", "x");

  EXPECT_THAT(ReadBundleFiles(directory.path(), {"one", "two"})->missing, ElementsAre("two"));
  EXPECT_THAT(MissingBundles(directory.path(), {"one", "two"}), ElementsAre("two"));
}

TEST(BundleFilesTest, S2_32_ARequiredBundleWithoutRulesIsMissing) {
  const PolicyDirectory directory;
  directory.Write("empty/readme.md", "text");
  directory.Write("tests/x_test.rego", "test");
  directory.Write("truncated/x.rego", "");

  EXPECT_THAT(ReadBundleFiles(directory.path(), {"empty", "tests", "truncated"})->missing,
              ElementsAre("empty", "tests", "truncated"));
  EXPECT_THAT(MissingBundles(directory.path(), {"empty", "tests", "truncated"}),
              ElementsAre("empty", "tests", "truncated"));
}

TEST(BundleFilesTest, S2_32_ADirectoryThatIsNotThereIsNamed) {
  EXPECT_THAT(ReadBundleFiles("/nonexistent/policies", {}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonexistent/policies")));
  EXPECT_THAT(MissingBundles("/nonexistent/policies", {"one"}), ElementsAre("one"));
}

TEST(BundleFilesTest, WhatCouldBeOverlookedIsRefused) {
  const PolicyDirectory outside, nested, data, name, test_name;
  outside.Write("x.rego", "x");
  nested.Write("one/deeper/x.rego", "x");
  data.Write("one/data.json", "{}");
  name.Write("One_Two/x.rego", "x");
  test_name.Write("one-test/x.rego", "x");

  const auto refused = [](const char* why) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why));
  };
  EXPECT_THAT(ReadBundleFiles(outside.path(), {}), refused("not in the folder of a bundle"));
  EXPECT_THAT(ReadBundleFiles(nested.path(), {}), refused("no folders inside"));
  EXPECT_THAT(ReadBundleFiles(data.path(), {}), refused("data files"));
  EXPECT_THAT(ReadBundleFiles(name.path(), {}), refused("One_Two"));
  EXPECT_THAT(ReadBundleFiles(test_name.path(), {}), refused("one-test"));
}

TEST(BundleFilesTest, AFileOverTheLimitIsRefused) {
  const PolicyDirectory directory;
  directory.Write("one/x.rego", std::string(kMaxPolicyFileBytes + 1, ' '));

  EXPECT_THAT(ReadBundleFiles(directory.path(), {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(BundleFilesTest, TooManyFilesAreRefused) {
  const PolicyDirectory directory;
  for (std::size_t i = 0; i <= kMaxPolicyFiles; ++i)
    directory.Write("one/x" + std::to_string(i) + ".rego", "x");

  EXPECT_THAT(ReadBundleFiles(directory.path(), {}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(BundleFilesTest, TheDigestChangesWithEverythingThatDecides) {
  const PolicyDirectory directory;
  directory.Write("one/x.rego", "x");
  const std::string before = DigestOf(directory);

  EXPECT_EQ(DigestOf(directory), before);
  EXPECT_NE(DigestOf(directory, {"one"}), before);

  directory.Write("one/x.rego", "y");
  const std::string changed = DigestOf(directory);
  EXPECT_NE(changed, before);

  directory.Write("one/z.rego", "z");
  EXPECT_NE(DigestOf(directory), changed);
}

TEST(BundleFilesTest, AMountedConfigMapIsReadThroughItsLinks) {
  const PolicyDirectory directory;
  directory.Write("..2026_01_01/one/x.rego", "x");
  std::filesystem::create_directory_symlink("..2026_01_01", directory.path() + "/..data");
  std::filesystem::create_directory_symlink("..data/one", directory.path() + "/one");

  const absl::StatusOr<BundleFiles> read = ReadBundleFiles(directory.path(), {"one"});

  ASSERT_OK(read);
  EXPECT_THAT(read->bundles, ElementsAre("one"));
  EXPECT_THAT(read->missing, IsEmpty());
  EXPECT_THAT(MissingBundles(directory.path(), {"one"}), IsEmpty());
}

TEST(BundleFilesTest, DashesBecomeUnderscoresInThePackage) {
  EXPECT_EQ(PackageName("namespace-restrictions"), "namespace_restrictions");
}

}  // namespace
}  // namespace capstan::policy
