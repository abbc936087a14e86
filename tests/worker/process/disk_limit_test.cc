#include "worker/process/disk_limit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/worker/process/process_fixture.h"
#include "worker/process/disk_use.h"

namespace capstan::process {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

constexpr std::int64_t kMib = 1 << 20;

class DiskUseTest : public ProcessFixture {
 protected:
  DiskUse Measure() {
    DiskWalk walk({workspace_.path()});
    EXPECT_TRUE(walk.Go(absl::InfiniteDuration()));
    return walk.use();
  }
};

TEST_F(DiskUseTest, AFileCountsByItsBlocks) {
  RunScript("head -c 3145728 /dev/zero > plain; truncate -s 1T sparse; mkdir d; touch d/empty");

  const DiskUse use = Measure();

  EXPECT_EQ(use.files, 4);
  EXPECT_THAT(use.bytes, AllOf(Ge(3 * kMib), Le(4 * kMib)));
}

TEST_F(DiskUseTest, AHardLinkCountsOnce) {
  RunScript("head -c 3145728 /dev/zero > one; ln one two; mkdir d; ln one d/three");

  const DiskUse use = Measure();

  EXPECT_EQ(use.files, 2);
  EXPECT_THAT(use.bytes, Le(4 * kMib));
}

TEST_F(DiskUseTest, LinksAreNotFollowed) {
  RunScript("ln -s / everything; ln -s . myself; ln -s /dev/zero zero");

  EXPECT_EQ(Measure().files, 3);
}

TEST_F(DiskUseTest, AFolderThatIsReplacedByALinkMeanwhileLeadsNowhere) {
  testing::TemporaryDirectory outside;
  for (int i = 0; i < 50; ++i) outside.Write("file-" + std::to_string(i), "x");
  RunScript("mkdir d && touch d/x");
  DiskWalk walk({workspace_.path()});
  while (walk.use().files == 0) walk.Go(absl::ZeroDuration());  // it has seen the name
  std::filesystem::remove_all(workspace_.path() + "/d");
  ASSERT_EQ(symlink(outside.path().c_str(), (workspace_.path() + "/d").c_str()), 0);

  while (!walk.Go(absl::ZeroDuration())) {
  }

  EXPECT_LE(walk.use().files, 2);
}

TEST_F(DiskUseTest, AFolderThatIsNotThereHoldsNothing) {
  DiskWalk walk({workspace_.path() + "/no/such"});

  EXPECT_TRUE(walk.Go(absl::InfiniteDuration()));
  EXPECT_EQ(walk.use().files, 0);
}

TEST_F(DiskUseTest, WhatIsTooDeepToNameIsSaid) {
  RunScript(
      "i=0; name=$(printf '%0200d' 0); while [ $i -lt 30 ]; do mkdir $name; cd $name; "
      "i=$((i+1)); done");

  EXPECT_TRUE(Measure().too_deep);
  RunScript("rm -rf 0*");
}

class DiskLimitTest : public ProcessFixture {
 protected:
  Spec Limited(const std::string& script) {
    Spec spec = Script(script);
    spec.limits.measured = {workspace_.path()};
    spec.limits.disk_bytes = 50 * kMib;
    spec.limits.disk_files = 1000;
    return spec;
  }
};

TEST_F(DiskLimitTest, I11_WhoWritesMoreIsStoppedWhileItRuns) {
  const Result result =
      Run(Limited("while :; do head -c 4194304 /dev/zero >> big; done & sleep 86400.03125 & wait"));

  EXPECT_EQ(result.end, Result::End::kDiskLimit) << result.message;
  EXPECT_THAT(result.message,
              AllOf(HasSubstr("the workspace holds "),
                    HasSubstr(" MiB, more than the 50 MiB that tasks.workspace_mib allows")));
  EXPECT_EQ(ProcessesWith("86400.03125"), 0) << "all of it";
}

TEST_F(DiskLimitTest, I11_WhoMakesMoreFilesIsStoppedWhileItRuns) {
  const Result result = Run(Limited("mkdir d; i=0; while :; do : > d/$i; i=$((i+1)); done"));

  EXPECT_EQ(result.end, Result::End::kDiskLimit) << result.message;
  EXPECT_THAT(result.message, HasSubstr("more than the 1000 that tasks.workspace_files allows"));
}

TEST_F(DiskLimitTest, I11_WhoEndsBeforeTheFirstLookIsFoundToo) {
  const Result result = Run(Limited("head -c 62914560 /dev/zero > big"));

  EXPECT_EQ(result.end, Result::End::kDiskLimit);
  EXPECT_THAT(result.message, HasSubstr("the workspace holds 60 MiB, more than the 50 MiB"));
}

TEST_F(DiskLimitTest, I11_WhatAWorkspaceLooksLikeIsNotWhatItHolds) {
  const Result result =
      Run(Limited("truncate -s 1T sparse; head -c 41943040 /dev/zero > a; ln a b"));

  EXPECT_EQ(result.end, Result::End::kExited) << result.message;
  EXPECT_EQ(result.exit_code, 0) << err_;
}

TEST_F(DiskLimitTest, WithoutALimitNothingIsLookedAt) {
  Spec spec = Limited("head -c 62914560 /dev/zero > big");
  spec.limits.disk_bytes = 0;

  EXPECT_EQ(Run(spec).end, Result::End::kExited);
}

TEST_F(DiskLimitTest, AStopIsAStop) {
  std::stop_source stop;

  const Result result = runner_->Run(
      Limited("trap 'head -c 62914560 /dev/zero > big; exit' TERM; echo ready; "
              "while :; do sleep 0.05; done"),
      [&](Stream, std::string_view) { stop.request_stop(); }, stop.get_token());

  EXPECT_EQ(result.end, Result::End::kStopped);
}

// The second look comes after ten times what the first one took.
TEST(DiskLimitLookTest, ALookLeavesTheDiskAloneForAWhile) {
  testing::TemporaryDirectory folder;
  Limits limits;
  limits.measured = {folder.path()};
  limits.disk_bytes = kMib;
  DiskLimit limit(limits);

  const absl::Duration wait = limit.Look(absl::Seconds(100));

  EXPECT_GE(wait, absl::Milliseconds(250));
  folder.Write("big", std::string(2 * kMib, 'x'));
  EXPECT_EQ(limit.Look(absl::Seconds(100) + wait / 2), wait / 2);
  EXPECT_EQ(limit.complaint(), "");
  limit.Look(absl::Seconds(100) + wait);
  EXPECT_THAT(limit.complaint(), HasSubstr("the workspace holds 2 MiB"));
}

}  // namespace
}  // namespace capstan::process
