#include "tests/action_program/program_fixture.h"

namespace capstan::action_program {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DeletePodTest : public ProgramTest {
 protected:
  DeletePodTest() {
    sim_->AddDeployment("shop", "web", 1);
    EXPECT_TRUE(sim_->WaitFor([&] { return !sim_->List("pods", "shop").empty(); }));
    pod_ = sim_->List("pods", "shop").front();
    EXPECT_TRUE(sim_->WaitFor([&] {
      return sim_->Get("pods", "shop", pod_["metadata"]["name"])["status"]["phase"] == "Running";
    }));
  }

  std::string Name() { return pod_["metadata"]["name"]; }
  std::string Uid() { return pod_["metadata"]["uid"]; }
  std::vector<std::string> Delete(const std::string& uid) {
    return {"delete-pod", "--namespace=shop", "--uid=" + uid, "--grace=7", "--", Name()};
  }

  Json pod_;
};

TEST_F(DeletePodTest, ThePodOfThatUidIsGoneAfterwards) {
  const Result result = Run(Delete(Uid()));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("deleted, 7 s to stop"), HasSubstr("is gone")));
  EXPECT_TRUE(sim_->Get("pods", "shop", Name()).is_null());
  EXPECT_EQ(sim_->CountCalls("delete", "pods", Name()), 1);
}

TEST_F(DeletePodTest, ItWaitsWhileThePodStops) {
  sim_->HoldPodTermination();
  auto run = RunInBackground(Delete(Uid()));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->CountCalls("get", "pods", Name()) >= 4; }));
  EXPECT_EQ(sim_->Get("pods", "shop", Name())["metadata"]["deletionGracePeriodSeconds"], 7);

  sim_->ReleasePodTermination();

  const Result result = run.get();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(sim_->CountCalls("delete", "pods", Name()), 1);
}

TEST_F(DeletePodTest, ARequestToStopEndsTheWait) {
  sim_->HoldPodTermination();
  auto run = RunInBackground(Delete(Uid()));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->CountCalls("delete", "pods", Name()) == 1; }));

  stop_.request_stop();

  EXPECT_EQ(run.get().code, 1);
  sim_->ReleasePodTermination();
}

TEST_F(DeletePodTest, APodThatIsGoneIsDone) {
  ASSERT_EQ(Run(Delete(Uid())).code, 0);

  const Result again = Run(Delete(Uid()));

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(sim_->CountCalls("delete", "pods", Name()), 1);
}

TEST_F(DeletePodTest, APodWithAnotherUidIsLeftAlone) {
  const Result result = Run(Delete("00000000-0000-0000-0000-000000000000"));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("another one has its name"));
  EXPECT_EQ(sim_->CountCalls("delete", "pods"), 0);
}

TEST_F(DeletePodTest, APodReplacedBetweenTheReadAndTheDeleteIsLeftAlone) {
  const int held = Hold("delete", "pods");
  auto run = RunInBackground(Delete(Uid()));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->FaultHits(held) == 1; }));
  ASSERT_OK(sim_->DeletePodExternally("shop", Name()));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->Get("pods", "shop", Name()).is_null(); }));
  Json namesake = {{"metadata", {{"name", Name()}}}, {"spec", pod_["spec"]}};
  ASSERT_OK(sim_->Create("pods", "shop", namesake));

  sim_->ReleaseFault(held);

  const Result result = run.get();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("another one has its name"));
  EXPECT_FALSE(sim_->Get("pods", "shop", Name())["metadata"].contains("deletionTimestamp"));
}

TEST_F(DeletePodTest, S2_48_AMissingRightNamesVerbAndResource) {
  sim_->Forbid("delete", "pods");

  const Result result = Run(Delete(Uid()));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(Forbidden)"), HasSubstr("cannot delete resource"),
                                HasSubstr("\"pods\"")));
}

}  // namespace
}  // namespace capstan::action_program
