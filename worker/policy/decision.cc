#include "worker/policy/decision.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace capstan::policy {
namespace {

using nlohmann::json;

constexpr int kMaxQuorum = 100;
constexpr int kMaxApprovalSeconds = 7 * 24 * 3600;
constexpr std::size_t kMaxObligations = 32;
constexpr std::size_t kMaxGroups = 32;

const json* Find(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

bool ReadText(const json& object, const char* key, std::string& out) {
  const json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return false;
  out = value->get<std::string>();
  return !out.empty();
}

// Each reader returns what is wrong, or nothing.
std::string ReadViolations(const json& object, std::vector<Violation>& out) {
  const json* violations = Find(object, "violations");
  if (violations == nullptr || !violations->is_array()) return "violations is not an array";
  for (const json& item : *violations) {
    Violation violation;
    if (!item.is_object() || !ReadText(item, "id", violation.id) ||
        !ReadText(item, "message", violation.message)) {
      return absl::StrCat("a violation is not {id, message}: ", item.dump().substr(0, 200));
    }
    out.push_back(std::move(violation));
  }
  return "";
}

std::string ReadWarnings(const json& object, std::vector<std::string>& out) {
  const json* warnings = Find(object, "warnings");
  if (warnings == nullptr || !warnings->is_array()) return "warnings is not an array";
  for (const json& item : *warnings) {
    if (!item.is_string()) return "a warning is not a string";
    out.push_back(item.get<std::string>());
  }
  return "";
}

// A whole number from 1 to `max`; engines may write 2 as 2.0.
bool ReadCount(const json& value, int max, int& out) {
  if (!value.is_number()) return false;
  const double number = value.get<double>();
  if (!(number >= 1 && number <= max) || number != std::floor(number)) return false;
  out = static_cast<int>(number);
  return true;
}

bool ReadGroups(const json& value, std::vector<std::string>& out) {
  if (!value.is_array() || value.size() > kMaxGroups) return false;
  for (const json& group : value) {
    if (!group.is_string() || group.get_ref<const std::string&>().empty()) return false;
    out.push_back(group.get<std::string>());
  }
  return true;
}

// A field that is misspelt would be a demand that is not made, hence none is passed over.
std::string ReadApproval(const json& object, ApprovalObligation& out) {
  if (Find(object, "quorum") == nullptr) return "quorum is missing";
  for (const auto& [key, value] : object.items()) {
    bool good = key == "type";
    if (key == "quorum") good = ReadCount(value, kMaxQuorum, out.quorum);
    if (key == "groups") good = ReadGroups(value, out.groups);
    if (key == "reason") good = value.is_string();
    int seconds = 0;
    if (key == "timeout_seconds") good = ReadCount(value, kMaxApprovalSeconds, seconds);
    if (!good) return absl::StrCat(key, " is unknown or out of bounds");
    if (key == "reason") out.reason = value.get<std::string>();
    if (key == "timeout_seconds") out.timeout = absl::Seconds(seconds);
  }
  return "";
}

std::string ReadObligations(const json& object, Decision& decision) {
  const json* obligations = Find(object, "obligations");
  if (obligations == nullptr || !obligations->is_array()) return "obligations is not an array";
  if (obligations->size() > kMaxObligations) return "more obligations than can be met";
  for (const json& item : *obligations) {
    std::string type;
    if (!item.is_object() || !ReadText(item, "type", type)) return "an obligation has no type";
    if (type != "approval") return absl::StrCat("an obligation of unknown type ", type);
    ApprovalObligation approval;
    if (const std::string problem = ReadApproval(item, approval); !problem.empty()) {
      return absl::StrCat("an approval obligation: ", problem);
    }
    decision.approvals.push_back(std::move(approval));
  }
  decision.obligations_json = obligations->dump();
  return "";
}

bool AsksSeveralGroups(const std::vector<ApprovalObligation>& approvals) {
  const std::vector<std::string>* groups = nullptr;
  for (const ApprovalObligation& approval : approvals) {
    if (approval.groups.empty()) continue;
    if (groups != nullptr && *groups != approval.groups) return true;
    groups = &approval.groups;
  }
  return false;
}

std::string Read(const json& object, Decision& decision) {
  if (!object.is_object()) return "not an object";
  const json* allow = Find(object, "allow");
  if (allow == nullptr || !allow->is_boolean()) return "allow is not a boolean";
  const json* approval = Find(object, "requires_approval");
  if (approval == nullptr || !approval->is_boolean()) return "requires_approval is not a boolean";
  decision.requires_approval = approval->get<bool>();
  for (std::string problem :
       {ReadViolations(object, decision.violations), ReadWarnings(object, decision.warnings),
        ReadObligations(object, decision)}) {
    if (!problem.empty()) return problem;
  }
  if (decision.requires_approval && decision.approvals.empty()) decision.approvals.emplace_back();
  decision.requires_approval = !decision.approvals.empty();
  decision.allow = allow->get<bool>() && decision.violations.empty();
  if (decision.allow && AsksSeveralGroups(decision.approvals))
    return "it asks for approvals by different groups at once";
  if (!decision.allow && decision.violations.empty()) return "denied without a violation";
  return "";
}

}  // namespace

std::string_view ErrorName(Decision::Error error) {
  switch (error) {
    case Decision::Error::kNone:
      return "none";
    case Decision::Error::kUnavailable:
      return "unavailable";
    case Decision::Error::kTimeout:
      return "timeout";
    case Decision::Error::kEvaluation:
      return "evaluation";
    case Decision::Error::kBadResult:
      return "bad_result";
    case Decision::Error::kBadInput:
      return "bad_input";
  }
  return "unknown";
}

bool IsPolicyError(const Decision& decision) {
  return decision.error != Decision::Error::kNone &&
         decision.error != Decision::Error::kUnavailable;
}

void Deny(Decision& decision, Decision::Error error, std::string message) {
  decision.allow = false;
  decision.requires_approval = false;
  decision.approvals.clear();
  decision.warnings.clear();
  decision.obligations_json = "[]";
  decision.violations = {{absl::StrCat("capstan/policy-", std::string(ErrorName(error))), message}};
  decision.error = error;
  decision.error_message = std::move(message);
}

std::string ResultJson(const Decision& decision) {
  json violations = json::array();
  for (const Violation& violation : decision.violations) {
    violations.push_back({{"id", violation.id}, {"message", violation.message}});
  }
  return json{{"allow", decision.allow},
              {"violations", violations},
              {"requires_approval", decision.requires_approval},
              {"obligations", json::parse(decision.obligations_json, nullptr, false)},
              {"warnings", decision.warnings},
              {"error", decision.error_message}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

void ReadDecision(std::string_view text, Decision& decision) {
  const json parsed = json::parse(text, nullptr, false);
  const std::string problem = parsed.is_discarded() ? "not JSON" : Read(parsed, decision);
  if (!problem.empty()) {
    Deny(decision, Decision::Error::kBadResult,
         absl::StrCat("the decision of the policies is malformed: ", problem));
  }
}

}  // namespace capstan::policy
