#include "worker/doctor/doctor.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/text.h"

namespace capstan::doctor {
namespace {

using kubernetes::CallOptions;
using kubernetes::Client;
using kubernetes::Repeat;
using kubernetes::Resource;

CallOptions Repeated() {
  CallOptions options;
  options.repeat = Repeat::kAlways;  // a review changes nothing
  return options;
}

Json ReviewOf(const Question& question) {
  const catalog::Grant& grant = question.grant;
  Json attributes = {{"verb", grant.verb}, {"group", grant.api_group}};
  const std::size_t slash = grant.resource.find('/');
  attributes["resource"] = grant.resource.substr(0, slash);
  if (slash != std::string::npos) attributes["subresource"] = grant.resource.substr(slash + 1);
  if (!grant.name_space.empty()) attributes["namespace"] = grant.name_space;
  Json review = {{"apiVersion", "authorization.k8s.io/v1"},
                 {"kind", "SelfSubjectAccessReview"},
                 {"spec", {{"resourceAttributes", std::move(attributes)}}}};
  if (question.subject.is_self()) return review;
  const std::string& name_space = question.subject.name_space;
  review["kind"] = "SubjectAccessReview";
  review["spec"]["user"] = Cat("system:serviceaccount:", name_space, ":", question.subject.account);
  review["spec"]["groups"] = {"system:serviceaccounts", Cat("system:serviceaccounts:", name_space),
                              "system:authenticated"};
  return review;
}

Answer AnswerOf(const absl::StatusOr<Json>& review) {
  if (!review.ok()) return {Verdict::kUnknown, std::string(review.status().message())};
  const auto status = review->find("status");
  if (status == review->end() || !status->is_object() || !status->contains("allowed") ||
      !(*status)["allowed"].is_boolean()) {
    return {Verdict::kUnknown, "the answer to the access review has no status.allowed"};
  }
  return {(*status)["allowed"].get<bool>() ? Verdict::kAllowed : Verdict::kDenied, ""};
}

// Whoever may not ask one review of a kind may ask none of it.
std::vector<Answer> Ask(Client& client, const std::vector<Question>& questions) {
  std::map<bool, Answer> refused;  // by whether the review is about whoever asks
  std::vector<Answer> answers;
  for (const Question& question : questions) {
    const bool self = question.subject.is_self();
    if (const auto found = refused.find(self); found != refused.end()) {
      answers.push_back(found->second);
      continue;
    }
    const absl::StatusOr<Json> review = client.Create(
        self ? kubernetes::kSelfSubjectAccessReviews : kubernetes::kSubjectAccessReviews, "",
        ReviewOf(question).dump(), Repeated());
    answers.push_back(AnswerOf(review));
    // A server that is away for one is away for the next, after the same long patience.
    if (!review.ok()) refused.emplace(self, answers.back());
  }
  return answers;
}

}  // namespace

Report Examine(Client& client, const catalog::Catalog& catalog,
               const catalog::ManifestOptions& options) {
  Report report;
  const Read actions = client.Get(kubernetes::kNamespaces, "", options.actions_namespace);
  report.checks.push_back(JudgeNamespace(options.actions_namespace, actions));
  if (actions.ok()) report.checks.push_back(JudgePodSecurity(options.actions_namespace, actions));
  for (const std::string& name : options.target_namespaces)
    report.checks.push_back(JudgeNamespace(name, client.Get(kubernetes::kNamespaces, "", name)));

  const std::vector<catalog::AccountGrants> accounts = catalog::GrantsOf(catalog, options);
  for (const catalog::AccountGrants& each : accounts) {
    report.checks.push_back(
        JudgeAccount(each.name_space, each.account,
                     client.Get(kubernetes::kServiceAccounts, each.name_space, each.account)));
  }

  const std::string admission = catalog::AdmissionPolicyName(options);
  report.checks.push_back(JudgeAdmissionPolicy(
      admission, client.Get(kubernetes::kValidatingAdmissionPolicies, "", admission), catalog,
      options.images));
  report.checks.push_back(JudgeAdmissionBinding(
      admission, client.Get(kubernetes::kValidatingAdmissionPolicyBindings, "", admission)));
  for (Check& check : JudgeImages(catalog, options.images))
    report.checks.push_back(std::move(check));

  const std::vector<Question> questions = QuestionsOf(accounts, options.actions_namespace);
  for (Check& check : JudgeRights(questions, Ask(client, questions)))
    report.checks.push_back(std::move(check));
  return report;
}

Arguments TakeArguments(int argc, const char* const* argv) {
  Arguments out;
  const bool asked = std::any_of(argv, argv + argc,
                                 [](const char* word) { return word == std::string("doctor"); });
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const bool ours = name == "-o" || name == "--output" || name == "--system-namespace" ||
                      name == "--worker-account" || name == "--target-namespace";
    if (!asked || !ours) {
      out.rest.push_back(argv[i]);
      continue;
    }
    if (equals == std::string::npos && i + 1 == argc) {
      out.error = Cat(name, ": want a value");
      break;
    }
    const std::string value = equals == std::string::npos ? argv[++i] : word.substr(equals + 1);
    if (name == "--system-namespace") {
      out.system_namespace = value;
    } else if (name == "--worker-account") {
      out.worker_account = value;
    } else if (name == "--target-namespace") {
      out.target_namespaces.push_back(value);
    } else if (value == "json" || value == "text") {
      out.json = value == "json";
    } else {
      out.error = Cat(name, ": got \"", value, "\", want text or json");
    }
  }
  return out;
}

}  // namespace capstan::doctor
