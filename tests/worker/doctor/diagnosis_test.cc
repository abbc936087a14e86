// What the answers of a cluster mean.
#include "worker/doctor/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "worker/doctor/report.h"

namespace capstan::doctor {
namespace {

using catalog::AccountGrants;
using catalog::Grant;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const Grant kPatch{"patch", "apps", "deployments", "shop"};
const Grant kReadSecrets{"get", "", "secrets", ""};

std::vector<AccountGrants> TwoAccounts() {
  return {{"system", "worker", {{"create", "batch", "jobs", "actions"}}},
          {"actions", "scaler", {kPatch}}};
}

// Every right is as it has to be, but for what `change` says.
std::vector<Check> Judge(const std::vector<AccountGrants>& accounts,
                         const std::function<void(const Question&, Answer&)>& change) {
  const std::vector<Question> questions = QuestionsOf(accounts, "actions");
  std::vector<Answer> answers;
  for (const Question& question : questions) {
    Answer& answer =
        answers.emplace_back(Answer{question.wanted ? Verdict::kAllowed : Verdict::kDenied, ""});
    change(question, answer);
  }
  return JudgeRights(questions, answers);
}

auto IsCheck(const std::string& subject, Finding finding, const std::string& what = "") {
  return AllOf(Field(&Check::subject, subject), Field(&Check::finding, finding),
               Field(&Check::what, HasSubstr(what)));
}

TEST(Diagnosis, AnAccountWhoseRightsAreAsTheyHaveToBeIsOneLine) {
  EXPECT_THAT(Judge(TwoAccounts(), [](const Question&, Answer&) {}),
              ElementsAre(IsCheck("this program", Finding::kNone, "rights"),
                          IsCheck("serviceaccount system/worker", Finding::kNone, "rights"),
                          IsCheck("serviceaccount actions/scaler", Finding::kNone, "rights")));
}

TEST(Diagnosis, S2_48_ADeniedRightIsAMissingRoleOfAnActionAndADenialOfTheWorker) {
  const std::vector<Check> checks =
      Judge(TwoAccounts(), [](const Question& question, Answer& answer) {
        if (question.wanted) answer.verdict = Verdict::kDenied;
      });

  EXPECT_THAT(checks, Contains(IsCheck("serviceaccount actions/scaler", Finding::kMissingRole,
                                       "patch deployments.apps in shop")));
  EXPECT_THAT(checks, Contains(IsCheck("serviceaccount system/worker", Finding::kWorkerDenied,
                                       "create jobs.batch in actions")));
  EXPECT_THAT(checks, Contains(IsCheck("this program", Finding::kWorkerDenied)));
}

TEST(Diagnosis, S2_48_AnAccountThatIsMissingIsAnotherFindingThanAMissingRole) {
  const Check missing = JudgeAccount("actions", "scaler", absl::NotFoundError("no"));
  const Check there = JudgeAccount("actions", "scaler", Json::object());
  const Check unknown = JudgeAccount("actions", "scaler", absl::PermissionDeniedError("forbidden"));

  EXPECT_THAT(missing, IsCheck("serviceaccount actions/scaler", Finding::kMissingAccount));
  EXPECT_EQ(there.finding, Finding::kNone);
  EXPECT_EQ(unknown.finding, Finding::kNotChecked);
  EXPECT_EQ(unknown.message, "forbidden");
}

TEST(Diagnosis, WhatNobodyMayDoIsAskedForEveryAccount) {
  const std::vector<Check> checks = Judge(
      TwoAccounts(), [](const Question&, Answer& answer) { answer.verdict = Verdict::kAllowed; });

  for (const char* right :
       {"escalate roles.rbac.authorization.k8s.io in actions",
        "escalate clusterroles.rbac.authorization.k8s.io everywhere",
        "bind clusterroles.rbac.authorization.k8s.io everywhere", "impersonate users everywhere",
        "create pods/exec in actions", "create serviceaccounts/token everywhere"}) {
    EXPECT_THAT(checks,
                Contains(IsCheck("serviceaccount actions/scaler", Finding::kTooManyRights, right)));
  }
  EXPECT_THAT(checks, Contains(IsCheck("serviceaccount system/worker", Finding::kTooManyRights,
                                       "list secrets everywhere")));
  EXPECT_THAT(
      checks,
      Not(Contains(IsCheck("serviceaccount actions/scaler", Finding::kTooManyRights, "secrets"))));
}

TEST(Diagnosis, WhatAnAdministratorMayDoIsNotTooMuch) {
  const auto everything = [](const Question& question, Answer& answer) {
    if (question.subject.is_self()) answer.verdict = Verdict::kAllowed;
  };
  const auto only_about_itself = [](const Question& question, Answer& answer) {
    answer.verdict = question.subject.is_self() ? Verdict::kAllowed : Verdict::kUnknown;
  };

  EXPECT_THAT(Judge(TwoAccounts(), everything),
              Not(Contains(Field(&Check::finding, Finding::kTooManyRights))));
  EXPECT_THAT(Judge(TwoAccounts(), only_about_itself),
              Contains(IsCheck("this program", Finding::kTooManyRights, "get secrets")));
}

TEST(Diagnosis, ARightThatTheCatalogGrantsIsNotTooMuch) {
  std::vector<AccountGrants> accounts = TwoAccounts();
  accounts[0].grants.push_back(kReadSecrets);

  const std::vector<Check> checks =
      Judge(accounts, [](const Question&, Answer& answer) { answer.verdict = Verdict::kAllowed; });

  EXPECT_THAT(checks, Not(Contains(IsCheck("serviceaccount system/worker", Finding::kTooManyRights,
                                           "get secrets everywhere"))));
}

TEST(Diagnosis, RightsThatCouldNotBeAskedAboutAreOneLineWithTheReason) {
  const std::vector<Check> checks =
      Judge(TwoAccounts(), [](const Question& question, Answer& answer) {
        if (!question.subject.is_self()) answer = {Verdict::kUnknown, "forbidden"};
      });

  EXPECT_THAT(checks, ElementsAre(IsCheck("this program", Finding::kNone),
                                  IsCheck("serviceaccount system/worker", Finding::kNotChecked),
                                  IsCheck("serviceaccount actions/scaler", Finding::kNotChecked)));
  EXPECT_EQ(checks[1].message, "forbidden");
}

TEST(Diagnosis, TheActionsNamespaceHasToEnforceTheRestrictedStandard) {
  const auto with = [](const std::string& level) {
    return Json{{"metadata", {{"labels", {{"pod-security.kubernetes.io/enforce", level}}}}}};
  };

  EXPECT_EQ(JudgePodSecurity("a", with("restricted")).finding, Finding::kNone);
  EXPECT_EQ(JudgePodSecurity("a", with("baseline")).finding, Finding::kPodSecurity);
  EXPECT_THAT(JudgePodSecurity("a", with("baseline")).message,
              HasSubstr("got \"baseline\", want \"restricted\""));
  EXPECT_THAT(JudgePodSecurity("a", Json::object()).message, HasSubstr("got nothing"));
  EXPECT_EQ(JudgeNamespace("a", absl::NotFoundError("")).finding, Finding::kMissingNamespace);
}

TEST(Diagnosis, TheAdmissionPolicyHasToRefuseAndToKnowTheImages) {
  const catalog::Catalog catalog = catalog::Catalog::Load("catalog/actions").value();
  const catalog::RunnerImages images = catalog::DefaultRunnerImages();
  std::string known;
  for (const auto& [alias, image] : images) known += Json(image).dump();
  Json policy = {{"spec",
                  {{"failurePolicy", "Fail"},
                   {"variables", Json::array({{{"name", "images"}, {"expression", known}}})}}}};
  catalog::RunnerImages others = images;
  for (auto& [alias, image] : others) image = "registry.example/other:1.2.3";

  EXPECT_EQ(JudgeAdmissionPolicy("p", policy, catalog, images).finding, Finding::kNone);
  EXPECT_THAT(JudgeAdmissionPolicy("p", policy, catalog, others).message,
              HasSubstr("does not know the image registry.example/other:1.2.3"));
  EXPECT_EQ(JudgeAdmissionPolicy("p", absl::NotFoundError(""), catalog, images).finding,
            Finding::kMissingAdmission);
  policy["spec"]["failurePolicy"] = "Ignore";
  EXPECT_THAT(JudgeAdmissionPolicy("p", policy, catalog, images).message,
              HasSubstr("failurePolicy: got \"Ignore\", want \"Fail\""));
}

TEST(Diagnosis, TheBindingHasToDeny) {
  Json binding = {{"spec", {{"policyName", "p"}, {"validationActions", {"Deny"}}}}};

  EXPECT_EQ(JudgeAdmissionBinding("p", binding).finding, Finding::kNone);
  EXPECT_EQ(JudgeAdmissionBinding("p", absl::NotFoundError("")).finding,
            Finding::kMissingAdmission);
  binding["spec"]["validationActions"] = Json::array({"Warn"});
  EXPECT_EQ(JudgeAdmissionBinding("p", binding).finding, Finding::kMissingAdmission);
}

TEST(Diagnosis, RunnerImagesHaveToBePinned) {
  const catalog::Catalog catalog = catalog::Catalog::Load("catalog/actions").value();
  catalog::RunnerImages images = catalog::DefaultRunnerImages();
  images["kubectl"] = "registry.example/kubectl:latest";
  images.erase("capstan-action");

  const std::vector<Check> checks = JudgeImages(catalog, images);

  EXPECT_THAT(checks, Contains(IsCheck("runner image kubectl", Finding::kImageNotPinned)));
  EXPECT_THAT(checks, Contains(IsCheck("runner image capstan-action", Finding::kImageNotPinned)));
  EXPECT_THAT(JudgeImages(catalog, catalog::DefaultRunnerImages()),
              Not(Contains(Field(&Check::finding, Finding::kImageNotPinned))));
}

TEST(Diagnosis, AReportIsATableOrJson) {
  const Report good{{{"namespace a", "exists", Finding::kNone, ""}}};
  const Report bad{{{"namespace a", "exists", Finding::kMissingNamespace, "there\nis none"},
                    {"runner image x", "pinned", Finding::kNone, ""}}};

  EXPECT_TRUE(good.ok());
  EXPECT_THAT(good.Text(), AllOf(StartsWith("RESULT  SUBJECT "), EndsWith("\nall is well\n")));
  EXPECT_FALSE(bad.ok());
  EXPECT_THAT(bad.Text(), HasSubstr("missing_namespace  namespace a     exists  there is none\n"));
  EXPECT_THAT(bad.Text(), EndsWith("\n1 finding\n"));
  const Json json = Json::parse(bad.ToJson());
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["checks"][0]["finding"], "missing_namespace");
  EXPECT_EQ(json["checks"][1]["finding"], "ok");
}

}  // namespace
}  // namespace capstan::doctor
