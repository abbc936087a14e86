#include "worker/git/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace capstan::git {
namespace {

using ::testing::Each;
using testing::IsOk;
using ::testing::Not;

template <class Names, class Check>
std::vector<absl::Status> Checked(const Names& names, Check check) {
  std::vector<absl::Status> results;
  for (const std::string& name : names) results.push_back(check(name));
  return results;
}

TEST(NamesTest, IdsAreLowerCaseLettersDigitsAndDashes) {
  const std::vector<std::string> good = {"a", "01jd-8", "0190c9f2-7a3e-7cc0-8000-0123456789ab"};
  const std::vector<std::string> bad = {
      "", "-a", "A", "a/b", "..", "a.b", "a b", "a\n", "a\\b", "ü", std::string(65, 'a')};

  EXPECT_THAT(Checked(good, CheckId), Each(IsOk()));
  EXPECT_THAT(Checked(bad, CheckId), Each(Not(IsOk())));
}

TEST(NamesTest, RefsCannotBeOptionsOrPathsOutOrExpressions) {
  const std::vector<std::string> good = {"main", "v1.2.3", "feature/a_b-c", "origin/main",
                                         "0123456789abcdef0123456789abcdef01234567"};
  const std::vector<std::string> bad = {"",       "-b",       "--upload-pack=x",
                                        "a..b",   "../x",     "a//b",
                                        "/a",     "a/",       "a.",
                                        "a.lock", "a^{tree}", "a@{1}",
                                        "HEAD~1", "a:b",      "a b",
                                        "a\n",    "a\tb",     "a;b",
                                        "$(x)",   "a/.b",     ":/commit",
                                        "a\\b",   "*",        "a?",
                                        ".a",     "a[b",      std::string(201, 'a')};

  EXPECT_THAT(Checked(good, CheckRef), Each(IsOk()));
  EXPECT_THAT(Checked(bad, CheckRef), Each(Not(IsOk())));
}

TEST(NamesTest, CommitIdsAreWhole) {
  EXPECT_TRUE(IsCommitId("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_TRUE(IsCommitId(std::string(64, 'a')));
  EXPECT_FALSE(IsCommitId("0123456"));
  EXPECT_FALSE(IsCommitId(std::string(40, 'G')));
}

TEST(NamesTest, PathsAreAbsoluteAndPlain) {
  const std::vector<std::string> bad = {"", "/", "a", "/a/../b", "/a/./b", "/a\nb", "/a\rb"};

  EXPECT_OK(CheckPath("path", "/srv/a b/c"));
  EXPECT_THAT(Checked(bad, [](const std::string& path) { return CheckPath("path", path); }),
              Each(Not(IsOk())));
}

}  // namespace
}  // namespace capstan::git
