// A doctor and a simulated cluster that is as the manifests want it, or not quite.
#include "worker/doctor/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/catalog/admission_policy.h"
#include "core/clock.h"
#include "core/text.h"
#include "tests/support/kubesim/kubesim.h"

namespace capstan::doctor {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kScaler[] = "kubernetes-executor-scale-deployment";

// The simulator's caller is system:serviceaccount:capstan:capstan-worker.
catalog::ManifestOptions Manifests() {
  catalog::ManifestOptions options;
  options.system_namespace = "capstan";
  options.target_namespaces = {"shop"};
  return options;
}

class DoctorTest : public ::testing::Test {
 protected:
  DoctorTest() : catalog_(catalog::Catalog::Load("catalog/actions").value()) {
    kubesim::KubeSimOptions options;
    options.namespaces = {"capstan", "shop"};
    sim_ = kubesim::KubeSim::Start(options).value();
    kubernetes::ClientOptions client_options;
    client_options.queries_per_second = 100'000;
    client_options.burst = 100'000;
    client_ = kubernetes::Client::Create({.server = sim_->Url()}, clock_, client_options).value();
  }

  // What `capstan manifests | kubectl apply -f -` makes, but for one account and one right.
  void Apply(const std::string& without_account = "", const std::string& without_right_of = "") {
    const catalog::ManifestOptions options = Manifests();
    sim_->AddNamespace(options.actions_namespace,
                       {{"pod-security.kubernetes.io/enforce", "restricted"}});
    for (const catalog::AccountGrants& account : catalog::GrantsOf(catalog_, options)) {
      if (account.account != without_account)
        sim_->AddServiceAccount(account.name_space, account.account);
      for (const catalog::Grant& grant : account.grants) {
        if (account.account == without_right_of && grant.verb == "patch") continue;
        Grant(account.name_space, account.account, grant);
      }
    }
    const std::string name = catalog::AdmissionPolicyName(options);
    Create("validatingadmissionpolicies",
           {{"apiVersion", "admissionregistration.k8s.io/v1"},
            {"kind", "ValidatingAdmissionPolicy"},
            {"metadata", {{"name", name}}},
            {"spec", Json::parse(catalog::AdmissionPolicySpec(catalog_, options.images).dump())}});
    Create("validatingadmissionpolicybindings",
           {{"apiVersion", "admissionregistration.k8s.io/v1"},
            {"kind", "ValidatingAdmissionPolicyBinding"},
            {"metadata", {{"name", name}}},
            {"spec", {{"policyName", name}, {"validationActions", Json::array({"Deny"})}}}});
  }
  void Create(const std::string& resource, const Json& object) {
    EXPECT_TRUE(sim_->Create(resource, "", object).ok());
  }
  void Grant(const std::string& name_space, const std::string& account,
             const catalog::Grant& grant) {
    sim_->Grant(Cat("system:serviceaccount:", name_space, ":", account),
                {grant.verb, grant.api_group, grant.resource, grant.name_space});
  }

  // What is not as it has to be.
  std::vector<Check> Findings() {
    std::vector<Check> checks = Examine(*client_, catalog_, Manifests()).checks;
    EXPECT_THAT(checks, Contains(Field(&Check::finding, Finding::kNone)));
    std::erase_if(checks, [](const Check& check) { return check.finding == Finding::kNone; });
    return checks;
  }

  SystemClock clock_;
  const catalog::Catalog catalog_;
  std::unique_ptr<kubesim::KubeSim> sim_;
  std::unique_ptr<kubernetes::Client> client_;
};

auto IsCheck(const std::string& subject, Finding finding, const std::string& what = "") {
  return AllOf(Field(&Check::subject, subject), Field(&Check::finding, finding),
               Field(&Check::what, HasSubstr(what)));
}

TEST_F(DoctorTest, AnInstallationAsTheManifestsWantItIsWell) {
  Apply();

  EXPECT_THAT(Findings(), IsEmpty());
}

TEST_F(DoctorTest, S2_48_AMissingAccountIsNamed) {
  Apply(/*without_account=*/kScaler);

  EXPECT_THAT(Findings(), ElementsAre(IsCheck(Cat("serviceaccount capstan-actions/", kScaler),
                                              Finding::kMissingAccount)));
}

TEST_F(DoctorTest, S2_48_AMissingRoleIsNamedWithItsVerb) {
  Apply(/*without_account=*/"", /*without_right_of=*/kScaler);

  EXPECT_THAT(Findings(),
              ElementsAre(IsCheck(Cat("serviceaccount capstan-actions/", kScaler),
                                  Finding::kMissingRole, "patch deployments/scale.apps in shop")));
}

TEST_F(DoctorTest, S2_48_AVerbThatTheWorkerIsDeniedIsNamedForItsAccountAndForThisProgram) {
  Apply();
  sim_->Forbid("create", "jobs", "capstan-actions");

  EXPECT_THAT(Findings(),
              ElementsAre(IsCheck("this program", Finding::kWorkerDenied,
                                  "create jobs.batch in capstan-actions"),
                          IsCheck("serviceaccount capstan/capstan-worker", Finding::kWorkerDenied,
                                  "create jobs.batch in capstan-actions")));
}

TEST_F(DoctorTest, TooManyRightsAreNamed) {
  Apply();
  Grant("capstan", "capstan-worker", {"list", "", "secrets", "capstan-actions"});
  Grant("capstan-actions", kScaler, {"create", "", "pods/exec", ""});

  EXPECT_THAT(Findings(),
              ElementsAre(IsCheck("serviceaccount capstan/capstan-worker", Finding::kTooManyRights,
                                  "list secrets in capstan-actions"),
                          IsCheck(Cat("serviceaccount capstan-actions/", kScaler),
                                  Finding::kTooManyRights, "create pods/exec everywhere"),
                          IsCheck(Cat("serviceaccount capstan-actions/", kScaler),
                                  Finding::kTooManyRights, "create pods/exec in capstan-actions")));
}

TEST_F(DoctorTest, NothingAppliedIsNamedPieceByPiece) {
  sim_->Grant("somebody", {"get", "", "pods", ""});  // so that reviews say no

  const std::vector<Check> findings = Findings();

  EXPECT_THAT(findings, Contains(IsCheck("namespace capstan-actions", Finding::kMissingNamespace)));
  EXPECT_THAT(findings,
              Contains(IsCheck("serviceaccount capstan/capstan-worker", Finding::kMissingAccount)));
  EXPECT_THAT(findings, Contains(IsCheck("validatingadmissionpolicy capstan-actions.capstan.dev",
                                         Finding::kMissingAdmission)));
  EXPECT_THAT(findings,
              Contains(IsCheck("validatingadmissionpolicybinding capstan-actions.capstan.dev",
                               Finding::kMissingAdmission)));
  EXPECT_THAT(findings, Contains(Field(&Check::finding, Finding::kMissingRole)));
  EXPECT_THAT(findings, Contains(Field(&Check::finding, Finding::kWorkerDenied)));
}

// As the worker itself: it has no right to ask about others, nor to read accounts and policies.
TEST_F(DoctorTest, WhatMayNotBeAskedIsSaidAndIsNotWell) {
  Apply();
  sim_->Forbid("create", "subjectaccessreviews");
  sim_->Forbid("get", "serviceaccounts");
  sim_->Forbid("get", "validatingadmissionpolicies");
  sim_->Forbid("get", "validatingadmissionpolicybindings");

  const std::vector<Check> findings = Findings();

  EXPECT_THAT(findings, Each(Field(&Check::finding, Finding::kNotChecked)));
  EXPECT_THAT(findings, Contains(AllOf(IsCheck(Cat("serviceaccount capstan-actions/", kScaler),
                                               Finding::kNotChecked, "rights"),
                                       Field(&Check::message, HasSubstr("forbidden")))));
  EXPECT_EQ(sim_->CountCalls("create", "subjectaccessreviews"), 0) << "reviews are no objects";
}

TEST(DoctorArguments, AreTakenOutOfTheCommandLineOfTheDoctorAlone) {
  const char* line[] = {"capstan-worker",
                        "doctor",
                        "--config",
                        "w.yaml",
                        "-o",
                        "json",
                        "--target-namespace",
                        "shop",
                        "--system-namespace=capstan",
                        "--worker-account=w",
                        "--target-namespace=blog",
                        "--lease.ttl=15s"};

  const Arguments taken = TakeArguments(std::size(line), line);

  EXPECT_THAT(taken.rest, ElementsAre(line[0], line[1], line[2], line[3], line[11]));
  EXPECT_TRUE(taken.json);
  EXPECT_EQ(taken.system_namespace, "capstan");
  EXPECT_EQ(taken.worker_account, "w");
  EXPECT_THAT(taken.target_namespaces, ElementsAre("shop", "blog"));
  EXPECT_THAT(taken.error, IsEmpty());

  const char* serve[] = {"capstan-worker", "-o", "json"};
  EXPECT_EQ(TakeArguments(std::size(serve), serve).rest.size(), 3u);
}

TEST(DoctorArguments, AreCheckedAsAnyOther) {
  const char* bad[] = {"capstan-worker", "doctor", "-o", "xml"};
  const char* missing[] = {"capstan-worker", "doctor", "--worker-account"};

  EXPECT_EQ(TakeArguments(std::size(bad), bad).error, "-o: got \"xml\", want text or json");
  EXPECT_EQ(TakeArguments(std::size(missing), missing).error, "--worker-account: want a value");
}

}  // namespace
}  // namespace capstan::doctor
