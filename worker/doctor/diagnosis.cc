#include "worker/doctor/diagnosis.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/text.h"

namespace capstan::doctor {
namespace {

using catalog::AccountGrants;
using catalog::Grant;

constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr std::string_view kApply = "apply what `capstan manifests` prints";
constexpr std::string_view kEnforce = "pod-security.kubernetes.io/enforce";

// What leads to the rights of somebody else.
std::vector<Grant> NeverGranted(const std::string& name_space) {
  std::vector<Grant> never;
  auto add = [&](std::string_view verb, std::string_view group,
                 std::initializer_list<std::string_view> resources) {
    for (std::string_view resource : resources) {
      never.push_back({std::string(verb), std::string(group), std::string(resource), name_space});
    }
  };
  add("escalate", kRbac, {"roles"});
  add("bind", kRbac, {"roles"});
  add("impersonate", "", {"serviceaccounts"});
  add("create", "", {"pods/exec", "serviceaccounts/token"});
  if (!name_space.empty()) return never;
  add("escalate", kRbac, {"clusterroles"});
  add("bind", kRbac, {"clusterroles"});
  add("impersonate", "", {"users", "groups"});
  return never;
}

void AddForbidden(const Subject& subject, const std::set<Grant>& granted,
                  const std::string& name_space, std::vector<Question>* questions) {
  std::vector<Grant> never = NeverGranted(name_space);
  if (subject.is_worker) {
    for (const char* verb : {"get", "list", "watch"})
      never.push_back({verb, "", "secrets", name_space});
  }
  for (Grant& grant : never) {
    if (granted.count(grant) == 0) questions->push_back({subject, std::move(grant), false});
  }
}

void AddQuestions(const Subject& subject, const AccountGrants& account,
                  const std::string& actions_namespace, std::vector<Question>* questions) {
  for (const Grant& grant : account.grants) questions->push_back({subject, grant, true});
  const std::set<Grant> granted(account.grants.begin(), account.grants.end());
  AddForbidden(subject, granted, "", questions);
  AddForbidden(subject, granted, actions_namespace, questions);
}

std::string AccountText(std::string_view name_space, std::string_view account) {
  return Cat("serviceaccount ", name_space, "/", account);
}

std::string SubjectText(const Subject& subject) {
  return subject.is_self() ? "this program" : AccountText(subject.name_space, subject.account);
}

std::string GrantText(const Grant& grant) {
  return Cat(grant.verb, " ", grant.resource, grant.api_group.empty() ? "" : ".", grant.api_group,
             grant.name_space.empty() ? " everywhere" : Cat(" in ", grant.name_space));
}

Finding FindingOf(const Question& question, Verdict verdict) {
  if (question.wanted && verdict == Verdict::kDenied)
    return question.subject.is_worker ? Finding::kWorkerDenied : Finding::kMissingRole;
  if (!question.wanted && verdict == Verdict::kAllowed) return Finding::kTooManyRights;
  return Finding::kNone;
}

std::string MessageOf(Finding finding) {
  switch (finding) {
    case Finding::kMissingRole:
      return Cat("denied: the action would be refused part way; ", kApply);
    case Finding::kWorkerDenied:
      return Cat("denied: the worker needs it; ", kApply);
    default:
      return "allowed, and must not be: take back the role that grants it";
  }
}

bool SameSubject(const Question& a, const Question& b) {
  return a.subject.name_space == b.subject.name_space && a.subject.account == b.subject.account;
}

// Lines about questions [first, last), which are about one subject.
void JudgeSubject(const std::vector<Question>& questions, const std::vector<Answer>& answers,
                  std::size_t first, std::size_t last, bool is_administrator,
                  std::vector<Check>* checks) {
  const Subject& subject = questions[first].subject;
  const std::string text = SubjectText(subject);
  std::size_t good = 0, unknown = 0, bad = 0;
  std::string why;
  for (std::size_t i = first; i < last; ++i) {
    if (subject.is_self() && is_administrator && !questions[i].wanted) continue;
    if (answers[i].verdict == Verdict::kUnknown) {
      if (unknown++ == 0) why = answers[i].why;
      continue;
    }
    const Finding finding = FindingOf(questions[i], answers[i].verdict);
    ++(finding == Finding::kNone ? good : bad);
    if (finding == Finding::kNone) continue;
    checks->push_back({text, GrantText(questions[i].grant), finding, MessageOf(finding)});
  }
  if (unknown > 0)
    checks->push_back({text, Cat(unknown, " rights"), Finding::kNotChecked, std::move(why)});
  if (good > 0 && bad == 0)
    checks->push_back({text, Cat(good, " rights"), Finding::kNone, "as they have to be"});
}

Check NotChecked(std::string subject, std::string what, const absl::Status& status) {
  return {std::move(subject), std::move(what), Finding::kNotChecked, std::string(status.message())};
}

// The value at a path of keys; null where there is none.
const Json& At(const Json& object, std::initializer_list<std::string_view> path) {
  static const Json kNull;
  const Json* at = &object;
  for (std::string_view key : path) {
    if (!at->is_object()) return kNull;
    const auto found = at->find(std::string(key));
    if (found == at->end()) return kNull;
    at = &*found;
  }
  return *at;
}

std::set<std::string> ImagesInUse(const catalog::Catalog& catalog,
                                  const catalog::RunnerImages& images) {
  std::set<std::string> used;
  for (const catalog::ActionDefinition& action : catalog.List()) {
    for (const catalog::ContainerDefinition& container : action.containers) {
      const auto image = images.find(container.image);
      if (image != images.end()) used.insert(image->second);
    }
  }
  return used;
}

// What an admission policy knows: the expressions of its variables, one after the other.
std::string VariablesOf(const Json& policy) {
  std::string text;
  const Json& variables = At(policy, {"spec", "variables"});
  if (!variables.is_array()) return text;
  for (const Json& variable : variables) {
    const Json& expression = At(variable, {"expression"});
    if (expression.is_string()) Append(&text, expression.get<std::string>(), "\n");
  }
  return text;
}

}  // namespace

std::string_view FindingName(Finding finding) {
  switch (finding) {
    case Finding::kNone:
      return "ok";
    case Finding::kMissingNamespace:
      return "missing_namespace";
    case Finding::kPodSecurity:
      return "pod_security";
    case Finding::kMissingAccount:
      return "missing_account";
    case Finding::kMissingRole:
      return "missing_role";
    case Finding::kWorkerDenied:
      return "worker_denied";
    case Finding::kTooManyRights:
      return "too_many_rights";
    case Finding::kMissingAdmission:
      return "missing_admission";
    case Finding::kImageNotPinned:
      return "image_not_pinned";
    case Finding::kNotChecked:
      return "not_checked";
  }
  return "unknown";
}

std::vector<Question> QuestionsOf(const std::vector<AccountGrants>& accounts,
                                  const std::string& actions_namespace) {
  std::vector<Question> questions;
  for (const AccountGrants& account : accounts) {
    const bool is_worker = &account == &accounts.front();
    if (is_worker) AddQuestions({"", "", true}, account, actions_namespace, &questions);
    AddQuestions({account.name_space, account.account, is_worker}, account, actions_namespace,
                 &questions);
  }
  return questions;
}

std::vector<Check> JudgeRights(const std::vector<Question>& questions,
                               const std::vector<Answer>& answers) {
  bool is_administrator = false;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    is_administrator = is_administrator ||
                       (!questions[i].subject.is_self() && answers[i].verdict != Verdict::kUnknown);
  }
  std::vector<Check> checks;
  for (std::size_t first = 0, last = 0; first < questions.size(); first = last) {
    while (last < questions.size() && SameSubject(questions[first], questions[last])) ++last;
    JudgeSubject(questions, answers, first, last, is_administrator, &checks);
  }
  return checks;
}

Check JudgeAccount(const std::string& name_space, const std::string& account, const Read& read) {
  const std::string subject = AccountText(name_space, account);
  if (read.ok()) return {subject, "exists", Finding::kNone, ""};
  if (!absl::IsNotFound(read.status())) return NotChecked(subject, "exists", read.status());
  return {subject, "exists", Finding::kMissingAccount,
          Cat("there is no such account: Jobs that use it get no pod; ", kApply)};
}

Check JudgeNamespace(const std::string& name, const Read& read) {
  const std::string subject = Cat("namespace ", name);
  if (read.ok()) return {subject, "exists", Finding::kNone, ""};
  if (!absl::IsNotFound(read.status())) return NotChecked(subject, "exists", read.status());
  return {subject, "exists", Finding::kMissingNamespace,
          Cat("there is no such namespace; ", kApply)};
}

Check JudgePodSecurity(const std::string& name, const Read& read) {
  const std::string subject = Cat("namespace ", name);
  const std::string what = "pod security";
  if (!read.ok()) return NotChecked(subject, what, read.status());
  const Json& label = At(*read, {"metadata", "labels", kEnforce});
  if (label == "restricted") return {subject, what, Finding::kNone, "restricted"};
  return {subject, what, Finding::kPodSecurity,
          Cat("label ", kEnforce, ": got ", label.is_null() ? "nothing" : label.dump(),
              ", want \"restricted\"; ", kApply)};
}

Check JudgeAdmissionPolicy(const std::string& name, const Read& read,
                           const catalog::Catalog& catalog, const catalog::RunnerImages& images) {
  Check check{Cat("validatingadmissionpolicy ", name), "exists", Finding::kNone, ""};
  if (absl::IsNotFound(read.status())) {
    check.finding = Finding::kMissingAdmission;
    check.message = Cat("there is none: whoever may create Jobs may use every account; ", kApply);
    return check;
  }
  if (!read.ok()) return NotChecked(check.subject, check.what, read.status());
  check.what = "protects the accounts";
  const Json& failure = At(*read, {"spec", "failurePolicy"});
  if (!failure.is_null() && failure != "Fail") {  // absent: Fail
    check.finding = Finding::kMissingAdmission;
    check.message = Cat("spec.failurePolicy: got ", failure.dump(), ", want \"Fail\"; ", kApply);
    return check;
  }
  const std::string known = VariablesOf(*read);
  for (const std::string& image : ImagesInUse(catalog, images)) {
    if (known.find(Json(image).dump()) != std::string::npos) continue;
    check.finding = Finding::kMissingAdmission;
    check.message = Cat("it does not know the image ", image,
                        " and refuses Jobs that use it: print the manifests with the --image of "
                        "the worker's runner_images and apply them");
    return check;
  }
  return check;
}

Check JudgeAdmissionBinding(const std::string& name, const Read& read) {
  Check check{Cat("validatingadmissionpolicybinding ", name), "exists", Finding::kNone, ""};
  if (absl::IsNotFound(read.status())) {
    check.finding = Finding::kMissingAdmission;
    check.message = Cat("there is none: the policy is not in force; ", kApply);
    return check;
  }
  if (!read.ok()) return NotChecked(check.subject, check.what, read.status());
  check.what = "denies";
  const Json& actions = At(*read, {"spec", "validationActions"});
  const bool denies =
      actions.is_array() && std::find(actions.begin(), actions.end(), "Deny") != actions.end();
  if (denies && At(*read, {"spec", "policyName"}) == name) return check;
  check.finding = Finding::kMissingAdmission;
  check.message = Cat("want policyName ", name, " and validationActions with Deny; ", kApply);
  return check;
}

std::vector<Check> JudgeImages(const catalog::Catalog& catalog,
                               const catalog::RunnerImages& images) {
  std::set<std::string> aliases;
  for (const catalog::ActionDefinition& action : catalog.List()) {
    for (const catalog::ContainerDefinition& container : action.containers)
      aliases.insert(container.image);
  }
  std::vector<Check> checks;
  for (const std::string& alias : aliases) {
    const auto image = images.find(alias);
    Check& check =
        checks.emplace_back(Check{Cat("runner image ", alias), "pinned", Finding::kNone, ""});
    const absl::Status pinned =
        image == images.end() ? absl::NotFoundError(Cat("kubernetes.runner_images has no ", alias))
                              : catalog::ValidateRunnerImage(alias, image->second);
    if (!pinned.ok()) check.finding = Finding::kImageNotPinned;
    check.message = pinned.ok() ? image->second : std::string(pinned.message());
  }
  return checks;
}

}  // namespace capstan::doctor
