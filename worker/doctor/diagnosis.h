// What `capstan-worker doctor` asks of a cluster, and what the answers mean. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/catalog/catalog.h"
#include "core/catalog/manifests.h"
#include "nlohmann/json.hpp"

namespace capstan::doctor {

using Json = nlohmann::json;

enum class Finding {
  kNone,
  kMissingNamespace,
  kPodSecurity,       // the actions namespace does not enforce the restricted standard
  kMissingAccount,    // a ServiceAccount is not there
  kMissingRole,       // an action's account may not do what its action needs
  kWorkerDenied,      // the worker may not do what it needs
  kTooManyRights,     // an account may do what nobody here must be able to do
  kMissingAdmission,  // the admission policy or its binding is not there, or does not protect
  kImageNotPinned,
  kNotChecked,  // there was no answer, most often for want of rights of whoever asks
};

// "missing_account".
std::string_view FindingName(Finding finding);

// One line of the report.
struct Check {
  std::string subject;  // "serviceaccount capstan-system/capstan-worker"
  std::string what;     // "patch deployments.apps in shop"
  Finding finding = Finding::kNone;
  std::string message;  // what was found, and what to do about it
};

// Whose right is asked about. Without an account: that of whoever asks.
struct Subject {
  std::string name_space;
  std::string account;
  bool is_worker = false;  // else an action's

  bool is_self() const { return account.empty(); }
};

struct Question {
  Subject subject;
  catalog::Grant grant;
  bool wanted = true;  // whether the answer has to be yes; else it has to be no
};

enum class Verdict { kAllowed, kDenied, kUnknown };

struct Answer {
  Verdict verdict = Verdict::kUnknown;
  std::string why;  // of kUnknown
};

// `accounts` as catalog::GrantsOf() gives them, the worker's first. For each account what it has to
// be allowed and what it must not be; the worker's questions come twice, about its account and
// about whoever asks. What must not be is asked everywhere and in the actions namespace.
std::vector<Question> QuestionsOf(const std::vector<catalog::AccountGrants>& accounts,
                                  const std::string& actions_namespace);

// `answers` in the order of `questions`, one each. A line for each subject whose answers are all as
// they have to be, else one for each answer that is not; unknown ones are gathered in one line.
// Whoever may ask about others is an administrator: nothing is too much for him.
std::vector<Check> JudgeRights(const std::vector<Question>& questions,
                               const std::vector<Answer>& answers);

// What was read of an object: it, NOT_FOUND, or why it could not be read.
using Read = absl::StatusOr<Json>;

Check JudgeAccount(const std::string& name_space, const std::string& account, const Read& read);
Check JudgeNamespace(const std::string& name, const Read& read);
// The actions namespace: its Pod Security label.
Check JudgePodSecurity(const std::string& name, const Read& read);
// The policy refuses what does not match, and knows the images in use.
Check JudgeAdmissionPolicy(const std::string& name, const Read& read,
                           const catalog::Catalog& catalog, const catalog::RunnerImages& images);
Check JudgeAdmissionBinding(const std::string& name, const Read& read);
// A line for each image that the catalog uses.
std::vector<Check> JudgeImages(const catalog::Catalog& catalog,
                               const catalog::RunnerImages& images);

}  // namespace capstan::doctor
