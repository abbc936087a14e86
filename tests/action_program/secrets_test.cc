#include <fstream>

#include "absl/strings/escaping.h"
#include "tests/action_program/program_fixture.h"

namespace capstan::action_program {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCanary[] = "canary-3f9a-old";
constexpr char kNewCanary[] = "canary-77c1-new";

class SecretsTest : public ProgramTest {
 protected:
  SecretsTest() {
    sim_->AddSecret("shop", "db", {{"password", kCanary}, {"user", "shop-user"}});
    sim_->AddNamespace("backups");
    patch_file_ = kubeconfig_ + "-patch";
    WritePatch(Json::array({{{"op", "replace"},
                             {"path", "/data/password"},
                             {"value", absl::Base64Escape(kNewCanary)}}})
                   .dump());
  }
  ~SecretsTest() override { std::remove(patch_file_.c_str()); }

  void WritePatch(const std::string& text) { std::ofstream(patch_file_) << text; }

  // Everything the program printed in this test, checked when it ends.
  Result Checked(Result result) {
    for (const char* canary : {kCanary, kNewCanary}) {
      EXPECT_THAT(result.out + result.err, Not(HasSubstr(canary)));
      EXPECT_THAT(result.out + result.err, Not(HasSubstr(absl::Base64Escape(canary))));
    }
    return result;
  }
  Result Backup() {
    return Checked(Run({"backup-secret", "--namespace=shop", "--to-namespace=backups",
                        "--to=backup-1", "--", "db"}));
  }
  Result Patch() {
    return Checked(
        Run({"patch-secret", "--namespace=shop", "--patch-file=" + patch_file_, "--", "db"}));
  }
  Result Restore() {
    return Checked(Run({"restore-secret", "--namespace=shop", "--from-namespace=backups",
                        "--from=backup-1", "--", "db"}));
  }
  std::string Password(const std::string& name_space = "shop", const std::string& name = "db") {
    std::string password;
    const Json secret = sim_->Get("secrets", name_space, name);
    absl::Base64Unescape(secret["data"].value("password", ""), &password);
    return password;
  }
  void RefuseWith(const std::string& verb, int code, const std::string& message) {
    kubesim::Fault fault;
    fault.verb = verb;
    fault.resource = "secrets";
    fault.code = code;
    fault.message = message;
    sim_->InjectFault(fault);
  }

  std::string patch_file_;
};

TEST_F(SecretsTest, ABackupHoldsTheDataAndSaysWhatItIs) {
  const Result result = Backup();

  EXPECT_EQ(result.code, 0) << result.err;
  const Json backup = sim_->Get("secrets", "backups", "backup-1");
  EXPECT_EQ(backup["data"], sim_->Get("secrets", "shop", "db")["data"]);
  EXPECT_EQ(backup["immutable"], true);
  EXPECT_EQ(backup["metadata"]["labels"]["capstan.dev/backup-of"], "shop.db");
}

TEST_F(SecretsTest, ABackupMadeBeforeTheChangeStays) {
  Backup();
  Patch();

  const Result again = Backup();

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("unchanged"));
  EXPECT_EQ(Password("backups", "backup-1"), kCanary);
}

TEST_F(SecretsTest, ALostReplyOfABackupIsNoError) {
  LoseReply("create", "secrets");

  EXPECT_EQ(Backup().code, 0);
}

TEST_F(SecretsTest, AForeignSecretInTheBackupsPlaceIsLeftAlone) {
  sim_->AddSecret("backups", "backup-1", {{"password", "someone else's"}});

  const Result result = Backup();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("secret backups/backup-1 is no backup of secret shop/db"));
  EXPECT_EQ(Password("backups", "backup-1"), "someone else's");
}

TEST_F(SecretsTest, APatchChangesTheValueAndPrintsDigestsOnly) {
  const Result result = Patch();

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Password(), kNewCanary);
  EXPECT_THAT(result.out, AllOf(HasSubstr("secret/db patched"),
                                HasSubstr("data.password changed, sha256 "), HasSubstr(" -> ")));
}

TEST_F(SecretsTest, TheSamePatchAgainChangesNothing) {
  Patch();
  const std::string version = Version("secrets", "db");

  const Result again = Patch();

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("unchanged"));
  EXPECT_EQ(Version("secrets", "db"), version);
}

TEST_F(SecretsTest, ASecretThatChangesMeanwhileIsLeftAlone) {
  const int held = Hold("patch", "secrets");
  auto run = RunInBackground(
      {"patch-secret", "--namespace=shop", "--patch-file=" + patch_file_, "--", "db"});
  ASSERT_TRUE(sim_->WaitFor([&] { return sim_->FaultHits(held) == 1; }));
  ASSERT_OK(
      sim_->PatchExternally("secrets", "shop", "db", {{"stringData", {{"user", "someone"}}}}));

  sim_->ReleaseFault(held);

  const Result result = Checked(run.get());
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("secret shop/db changed since it was read"));
  EXPECT_EQ(Password(), kCanary);
}

TEST_F(SecretsTest, ALostReplyOfAPatchIsNoConflict) {
  LoseReply("patch", "secrets");

  EXPECT_EQ(Patch().code, 0);

  EXPECT_EQ(Password(), kNewCanary);
}

TEST_F(SecretsTest, A5_WhatTheServerSaysOfAnInvalidPatchIsWithheld) {
  RefuseWith("patch", 422, std::string("data: Invalid value: ") + kNewCanary);

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(Invalid)"), HasSubstr("patch secrets shop/db"),
                                HasSubstr("withheld")));
}

TEST_F(SecretsTest, A5_AWebhookThatQuotesTheValueIsCutShort) {
  RefuseWith(
      "patch", 403,
      std::string("admission webhook denied ") + absl::Base64Escape(kNewCanary) + " of " + kCanary);

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(Forbidden)"),
                                HasSubstr("admission webhook denied [withheld] of [withheld]")));
}

TEST_F(SecretsTest, AFileThatIsNoPatchIsRefusedWithoutQuotingIt) {
  WritePatch(std::string("{\"password\": \"") + kNewCanary + "\"}");

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("want a JSON Patch"));
}

TEST_F(SecretsTest, AValueThatIsNoBase64IsRefusedWithoutQuotingIt) {
  WritePatch(std::string(R"([{"op":"add","path":"/data/password","value":"%)") + kNewCanary +
             R"("}])");

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("/data/password: the value is no base64"));
}

TEST_F(SecretsTest, AFailedTestOfThePatchDoesNotQuoteTheValue) {
  WritePatch(
      Json::array(
          {{{"op", "test"}, {"path", "/data/password"}, {"value", absl::Base64Escape(kNewCanary)}},
           {{"op", "remove"}, {"path", "/data/password"}}})
          .dump());

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("operation 1 (test /data/password): the value there is"));
}

TEST_F(SecretsTest, OnlyDataOfASecretMayBeTouched) {
  WritePatch(R"([{"op":"replace","path":"/type","value":"x"}])");

  EXPECT_THAT(Patch().err, HasSubstr("operation 1: path: got \"/type\", want /data"));
}

TEST_F(SecretsTest, AMissingPatchFileIsNamed) {
  std::remove(patch_file_.c_str());

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr(patch_file_));
}

TEST_F(SecretsTest, ARestoreGivesTheOldDataBack) {
  Backup();
  const Json before = sim_->Get("secrets", "shop", "db")["data"];
  WritePatch(R"([{"op":"remove","path":"/data/user"},)"
             R"({"op":"add","path":"/data/extra","value":"eA=="}])");
  Patch();

  const Result result = Restore();

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(sim_->Get("secrets", "shop", "db")["data"], before);
  EXPECT_THAT(result.out, AllOf(HasSubstr("data.extra removed"), HasSubstr("data.user added")));
}

TEST_F(SecretsTest, TheSameRestoreAgainChangesNothing) {
  Backup();
  Patch();
  Restore();
  const std::string version = Version("secrets", "db");

  const Result again = Restore();

  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("unchanged"));
  EXPECT_EQ(Version("secrets", "db"), version);
}

TEST_F(SecretsTest, TheBackupOfAnotherSecretIsNotRestored) {
  Backup();
  sim_->AddSecret("shop", "cache", {{"password", "other"}});

  const Result result = Run({"restore-secret", "--namespace=shop", "--from-namespace=backups",
                             "--from=backup-1", "--", "cache"});

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("is no backup of secret shop/cache"));
}

TEST_F(SecretsTest, AMissingBackupIsNamed) {
  const Result result = Restore();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("(NotFound)"), HasSubstr("backups/backup-1")));
}

TEST_F(SecretsTest, S2_48_AMissingRightNamesVerbAndResource) {
  sim_->Forbid("patch", "secrets");

  const Result result = Patch();

  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("(Forbidden)"), HasSubstr("cannot patch resource \"secrets\"")));
}

}  // namespace
}  // namespace capstan::action_program
