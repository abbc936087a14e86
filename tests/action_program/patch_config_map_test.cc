#include "tests/action_program/program_fixture.h"

namespace capstan::action_program {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class PatchConfigMapTest : public ProgramTest {
 protected:
  PatchConfigMapTest() {
    sim_->AddConfigMap("shop", "web", {{"mode", "fast"}, {"old", "1"}});
    read_ = Version("configmaps", "web");
  }

  std::vector<std::string> Patch(const std::string& version, const std::string& patch = kPatch) {
    return {"patch-config-map",
            "--namespace=shop",
            "--resource-version=" + version,
            "--patch=" + patch,
            "--",
            "web"};
  }
  Json Data() { return sim_->Get("configmaps", "shop", "web").value("data", Json::object()); }

  static constexpr char kPatch[] =
      R"([{"op":"replace","path":"/data/mode","value":"slow, [safe]"},)"
      R"({"op":"add","path":"/data/new","value":"2"},{"op":"remove","path":"/data/old"}])";
  const Json wanted_ = {{"mode", "slow, [safe]"}, {"new", "2"}};
  std::string read_;
};

TEST_F(PatchConfigMapTest, ThePatchIsAppliedAndTheKeysAreNamed) {
  const Result result = Run(Patch(read_));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Data(), wanted_);
  EXPECT_EQ(result.out, "configmap/web patched, resource version " + Version("configmaps", "web") +
                            "\n  data.mode changed\n  data.new added\n  data.old removed\n");
}

TEST_F(PatchConfigMapTest, TheSameAgainChangesNothing) {
  Run(Patch(read_));
  const std::string version = Version("configmaps", "web");

  const Result again = Run(Patch(read_));

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("unchanged"));
  EXPECT_EQ(Version("configmaps", "web"), version);
}

TEST_F(PatchConfigMapTest, AnObjectThatChangedSinceItWasReadIsLeftAlone) {
  ASSERT_OK(sim_->PatchExternally("configmaps", "shop", "web", {{"data", {{"mode", "by hand"}}}}));

  const Result result = Run(Patch(read_));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("configmap shop/web changed since it was read"),
                                HasSubstr("want " + read_), HasSubstr("nothing was changed")));
  EXPECT_EQ(Data()["mode"], "by hand");
}

TEST_F(PatchConfigMapTest, AChangeBetweenTheReadAndThePatchIsSeen) {
  const int held = Hold("patch", "configmaps");
  auto run = RunInBackground(Patch(read_));
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->FaultHits(held) == 1; }));
  ASSERT_OK(sim_->PatchExternally("configmaps", "shop", "web", {{"data", {{"mode", "mine"}}}}));

  sim_->ReleaseFault(held);

  const Result result = run.get();
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("configmap shop/web changed since it was read"));
  EXPECT_EQ(Data()["mode"], "mine");
}

TEST_F(PatchConfigMapTest, ALostReplyIsNoConflict) {
  LoseReply("patch", "configmaps");

  const Result result = Run(Patch(read_));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Data(), wanted_);
}

TEST_F(PatchConfigMapTest, AnImmutableOneIsRefused) {
  ASSERT_OK(sim_->PatchExternally("configmaps", "shop", "web", {{"immutable", true}}));

  const Result result = Run(Patch(Version("configmaps", "web")));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("configmap shop/web is immutable"));
}

TEST_F(PatchConfigMapTest, APatchThatDoesNotApplyNamesItsOperation) {
  const Result result = Run(Patch(read_, R"([{"op":"add","path":"/data/a","value":"b"},)"
                                         R"({"op":"remove","path":"/data/none"}])"));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("operation 2 (remove /data/none)"));
  EXPECT_FALSE(Data().contains("a"));
}

TEST_F(PatchConfigMapTest, OnlyDataMayBeTouched) {
  const Result result = Run(Patch(read_, R"([{"op":"add","path":"/metadata/labels","value":{}}])"));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("--patch: operation 1: path"),
                                HasSubstr("want /data or /binaryData")));
}

TEST_F(PatchConfigMapTest, TooMuchDataIsRefusedByTheServer) {
  const Json patch = Json::array(
      {{{"op", "add"}, {"path", "/data/big"}, {"value", std::string(1024 * 1024, 'x')}}});

  const Result result = Run(Patch(read_, patch.dump()));

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(Invalid)"), HasSubstr("Too long")));
}

TEST_F(PatchConfigMapTest, AMissingOneIsNamed) {
  std::vector<std::string> args = Patch(read_);
  args.back() = "absent";

  const Result result = Run(args);

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(NotFound)"), HasSubstr("shop/absent")));
}

}  // namespace
}  // namespace capstan::action_program
