#include "worker/policy/opa_policy_engine.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/ids.h"
#include "core/status_macros.h"
#include "worker/policy/rego_program.h"

namespace capstan::policy {
namespace {

using nlohmann::json;
using Error = Decision::Error;

// Without strict errors OPA takes a builtin that fails for undefined: a rule that would deny does
// not.
constexpr char kTarget[] =
    "/v1/data/capstan/safety/decision?strict-builtin-errors=true&provenance=true";
constexpr int kOk = 200;
constexpr std::size_t kMaxMessageBytes = 4096;

Error ErrorOf(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) ? Error::kTimeout : Error::kEvaluation;
}

// What the server says about itself in an error: {"code", "message", "errors": [{"message"}]}.
std::string ServerError(const OpaReply& reply) {
  const json body = json::parse(reply.body, nullptr, false);
  std::vector<std::string> parts = {absl::StrCat("OPA answered HTTP ", reply.code)};
  if (body.is_object()) {
    if (const auto message = body.find("message"); message != body.end() && message->is_string()) {
      parts.push_back(message->get<std::string>());
    }
    if (const auto errors = body.find("errors"); errors != body.end() && errors->is_array()) {
      for (const json& error : *errors) {
        if (error.is_object() && error.contains("message") && error["message"].is_string()) {
          parts.push_back(error["message"].get<std::string>());
        }
      }
    }
  }
  return absl::StrJoin(parts, ": ").substr(0, kMaxMessageBytes);
}

// {"provenance": {"bundles": {name: {"revision": …}}}}: the revisions in order of the names.
std::string DigestOf(const json& reply) {
  const auto provenance = reply.find("provenance");
  if (provenance == reply.end() || !provenance->is_object()) return "";
  const auto bundles = provenance->find("bundles");
  if (bundles == provenance->end() || !bundles->is_object()) return "";
  json revisions = json::array();
  for (const json& bundle : *bundles) {
    if (bundle.is_object() && bundle.contains("revision")) revisions.push_back(bundle["revision"]);
  }
  return revisions.empty() ? "" : Sha256Hex(revisions.dump());
}

// Required bundles that the decision does not name among its "bundles".
std::vector<std::string> Missing(const json& result, const std::vector<std::string>& required) {
  std::vector<std::string> missing = required;
  const auto bundles = result.find("bundles");
  if (bundles == result.end() || !bundles->is_array()) return missing;
  std::erase_if(missing, [&](const std::string& name) {
    return std::find(bundles->begin(), bundles->end(), json(name)) != bundles->end();
  });
  return missing;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OpaPolicyEngine>> OpaPolicyEngine::Create(Options options,
                                                                         Clock& clock) {
  CAPSTAN_ASSIGN_OR_RETURN(std::unique_ptr<OpaClient> client, OpaClient::Create(options.client));
  return std::unique_ptr<OpaPolicyEngine>(
      new OpaPolicyEngine(std::move(options), std::move(client), clock));
}

OpaPolicyEngine::OpaPolicyEngine(Options options, std::unique_ptr<OpaClient> client, Clock& clock)
    : options_(std::move(options)), client_(std::move(client)), clock_(clock) {}

Decision OpaPolicyEngine::Evaluate(const PolicyInput& input) {
  return DecideOn(input, clock_, [this](Decision& decision) { Decide(decision); });
}

void OpaPolicyEngine::Decide(Decision& decision) {
  if (decision.input_json.size() > options_.max_input_bytes) {
    return Deny(decision, Error::kBadInput,
                absl::StrCat("input is ", decision.input_json.size(), " bytes, at most ",
                             options_.max_input_bytes, " are taken"));
  }
  const absl::StatusOr<OpaReply> reply = Ask(absl::StrCat("{\"input\":", decision.input_json, "}"));
  if (reply.ok()) return ReadReply(*reply, decision);
  Deny(decision, ErrorOf(reply.status()),
       absl::StrCat("OPA: ", std::string(reply.status().message())));
}

absl::StatusOr<OpaReply> OpaPolicyEngine::Ask(const std::string& body) {
  const absl::Duration start = clock_.BootTime();
  absl::StatusOr<OpaReply> reply = client_->Post(kTarget, body, options_.timeout);
  for (int tries = 1; tries < kMaxTries; ++tries) {
    if (!absl::IsDeadlineExceeded(reply.status()) && !absl::IsUnavailable(reply.status())) break;
    const absl::Duration left = BudgetOf(options_.timeout) - (clock_.BootTime() - start);
    if (left <= absl::ZeroDuration()) break;
    reply = client_->Post(kTarget, body, std::min(left, options_.timeout));
  }
  return reply;
}

void OpaPolicyEngine::ReadReply(const OpaReply& reply, Decision& decision) const {
  if (reply.code != kOk) return Deny(decision, Error::kEvaluation, ServerError(reply));
  const json body = json::parse(reply.body, nullptr, false);
  if (!body.is_object()) {
    return Deny(decision, Error::kBadResult, "OPA answered something else than a JSON object");
  }
  const auto result = body.find("result");
  if (result == body.end()) {
    return Deny(decision, Error::kBadResult, "data.capstan.safety.decision is undefined in OPA");
  }
  decision.bundle_digest = DigestOf(body);
  const std::vector<std::string> missing = Missing(*result, options_.required_bundles);
  if (result->is_object() && !missing.empty()) {
    return Deny(decision, Error::kUnavailable,
                absl::StrCat("required policy bundles take no part in OPA's decision: ",
                             absl::StrJoin(missing, ", ")));
  }
  ReadDecision(result->dump(), decision);
}

}  // namespace capstan::policy
