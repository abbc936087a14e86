// What the real API server says to each account that the manifests make: yes to what the catalog
// grants, no to everything else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/catalog/catalog.h"
#include "core/catalog/manifests.h"
#include "tests/e2e/api_client.h"
#include "tests/e2e/cluster_under_test.h"

namespace capstan::testing {
namespace {

using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr kubernetes::Resource kReviews{"/apis/authorization.k8s.io/v1", "subjectaccessreviews"};
constexpr char kActions[] = "capstan-actions";
constexpr int kThreads = 8;

const std::vector<std::pair<std::string, std::string>> kResources = {
    {"", "bindings"},
    {"", "configmaps"},
    {"", "endpoints"},
    {"", "events"},
    {"", "namespaces"},
    {"", "nodes"},
    {"", "nodes/proxy"},
    {"", "nodes/status"},
    {"", "persistentvolumes"},
    {"", "pods"},
    {"", "pods/attach"},
    {"", "pods/ephemeralcontainers"},
    {"", "pods/eviction"},
    {"", "pods/exec"},
    {"", "pods/log"},
    {"", "pods/portforward"},
    {"", "secrets"},
    {"", "serviceaccounts"},
    {"", "serviceaccounts/token"},
    {"", "services"},
    {"admissionregistration.k8s.io", "validatingadmissionpolicies"},
    {"admissionregistration.k8s.io", "mutatingwebhookconfigurations"},
    {"apiextensions.k8s.io", "customresourcedefinitions"},
    {"apps", "daemonsets"},
    {"apps", "deployments"},
    {"apps", "deployments/scale"},
    {"apps", "replicasets"},
    {"apps", "statefulsets"},
    {"autoscaling", "horizontalpodautoscalers"},
    {"batch", "cronjobs"},
    {"batch", "jobs"},
    {"certificates.k8s.io", "certificatesigningrequests"},
    {"policy", "poddisruptionbudgets"},
    {"rbac.authorization.k8s.io", "clusterroles"},
    {"rbac.authorization.k8s.io", "clusterrolebindings"},
    {"rbac.authorization.k8s.io", "roles"},
    {"rbac.authorization.k8s.io", "rolebindings"},
};
const std::vector<std::string> kVerbs = {"get",    "list",  "watch",  "create",
                                         "update", "patch", "delete", "deletecollection"};

// Verbs that lead to rights of others.
const std::vector<catalog::Grant> kWaysUp = {
    {"impersonate", "", "users", ""},
    {"impersonate", "", "groups", ""},
    {"impersonate", "", "serviceaccounts", kActions},
    {"impersonate", "authentication.k8s.io", "userextras/scopes", ""},
    {"escalate", "rbac.authorization.k8s.io", "clusterroles", ""},
    {"escalate", "rbac.authorization.k8s.io", "roles", kActions},
    {"bind", "rbac.authorization.k8s.io", "clusterroles", ""},
    {"bind", "rbac.authorization.k8s.io", "roles", kActions},
    {"approve", "certificates.k8s.io", "signers", ""},
    {"sign", "certificates.k8s.io", "signers", ""},
    {"attest", "certificates.k8s.io", "signers", ""},
    {"use", "policy", "podsecuritypolicies", ""},
    {"*", "*", "*", ""},
};

// Everything that is asked: in the actions namespace, and in another.
std::vector<catalog::Grant> Questions() {
  std::vector<catalog::Grant> all = kWaysUp;
  for (const auto& [group, resource] : kResources) {
    for (const std::string& verb : kVerbs) {
      for (const char* name_space : {kActions, "default"}) {
        all.push_back({verb, group, resource, name_space});
      }
    }
  }
  return all;
}

bool IsGranted(const catalog::AccountGrants& account, const catalog::Grant& asked) {
  return std::any_of(account.grants.begin(), account.grants.end(), [&](const auto& grant) {
    return grant.verb == asked.verb && grant.api_group == asked.api_group &&
           grant.resource == asked.resource &&
           (grant.name_space.empty() || grant.name_space == asked.name_space);
  });
}

std::string Review(const catalog::AccountGrants& account, const catalog::Grant& asked) {
  const std::vector<std::string> resource = absl::StrSplit(asked.resource, '/');
  Json attributes = {{"verb", asked.verb},
                     {"group", asked.api_group},
                     {"resource", resource[0]},
                     {"namespace", asked.name_space}};
  if (resource.size() > 1) attributes["subresource"] = resource[1];
  return Json{
      {"apiVersion", "authorization.k8s.io/v1"},
      {"kind", "SubjectAccessReview"},
      {"spec",
       {{"user", absl::StrCat("system:serviceaccount:", account.name_space, ":", account.account)},
        {"groups",
         {"system:serviceaccounts", absl::StrCat("system:serviceaccounts:", account.name_space),
          "system:authenticated"}},
        {"resourceAttributes", attributes}}}}
      .dump();
}

std::string Described(const catalog::Grant& grant) {
  return absl::StrCat(grant.verb, " ", grant.resource, ".", grant.api_group, " in \"",
                      grant.name_space, "\"");
}

// What the API server says otherwise than it should, and how many it refused.
struct Answers {
  std::vector<std::string> wrong;
  int refused = 0;
};

Answers Ask(const catalog::AccountGrants& account, const std::vector<catalog::Grant>& questions) {
  const auto client = ConnectToCluster();
  Answers answers;
  std::mutex mu;
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++; at < questions.size(); at = next++) {
        const catalog::Grant& asked = questions[at];
        const auto review = client->Create(kReviews, "", Review(account, asked));
        const std::lock_guard lock(mu);
        if (!review.ok()) {
          answers.wrong.push_back(std::string(review.status().message()));
          continue;
        }
        const bool allowed = (*review)["status"].value("allowed", false);
        answers.refused += allowed ? 0 : 1;
        if (allowed == IsGranted(account, asked)) continue;
        answers.wrong.push_back(absl::StrCat(allowed ? "may " : "may not ", Described(asked)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

std::vector<catalog::AccountGrants> Accounts() {
  return catalog::GrantsOf(*catalog::Catalog::Load("catalog/actions"), {});
}

std::string NameOf(const ::testing::TestParamInfo<catalog::AccountGrants>& info) {
  return absl::StrReplaceAll(info.param.account, {{"-", "_"}});
}

class RbacMatrixTest : public ::testing::TestWithParam<catalog::AccountGrants> {
 protected:
  static void SetUpTestSuite() { Install(); }
};

TEST_P(RbacMatrixTest, S2_46_S2_47_MayWhatTheCatalogGrants) {
  EXPECT_FALSE(GetParam().grants.empty());
  EXPECT_THAT(Ask(GetParam(), GetParam().grants).wrong, IsEmpty());
}

TEST_P(RbacMatrixTest, S2_46_S2_47_MayNothingElse) {
  const Answers answers = Ask(GetParam(), Questions());

  EXPECT_THAT(answers.wrong, IsEmpty());
  EXPECT_GE(answers.refused, 500);
}

TEST_P(RbacMatrixTest, S2_47_IsAnswered403WhenItTries) {
  const auto client = ConnectToCluster(TokenOf(GetParam().account, GetParam().name_space));
  const kubernetes::Resource role_bindings{"/apis/rbac.authorization.k8s.io/v1",
                                           "clusterrolebindings"};
  const std::vector<absl::Status> tries = {
      client->List({.resource = kubernetes::kSecrets, .name_space = "kube-system"}).status(),
      client->List({.resource = kubernetes::kSecrets, .name_space = kActions}).status(),
      client->List({.resource = role_bindings}).status(),
      client->Get(kubernetes::kConfigMaps, "capstan-system", "none").status(),
      client->Create(role_bindings, "", R"({"metadata": {"name": "me"}})").status(),
      client->Create(kubernetes::kPods, kActions, R"({"metadata": {"name": "me"}})").status()};

  const bool reads_config_maps = IsGranted(GetParam(), {"get", "", "configmaps", "default"});
  for (size_t i = 0; i < tries.size(); ++i) {
    if (i == 3 && reads_config_maps) continue;
    EXPECT_EQ(tries[i].code(), absl::StatusCode::kPermissionDenied) << i << " " << tries[i];
    EXPECT_EQ(kubernetes::ApiErrorOf(tries[i]).value_or(kubernetes::ApiError()).http_code, 403);
  }
}

INSTANTIATE_TEST_SUITE_P(Accounts, RbacMatrixTest, ::testing::ValuesIn(Accounts()), NameOf);

}  // namespace
}  // namespace capstan::testing
