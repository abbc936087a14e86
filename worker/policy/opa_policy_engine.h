// PolicyEngine on an OPA server, for those who run OPA centrally or want the reference engine. The
// server has the bundles and the decision module (capstan-policy-check --decision-module);
// docs/policies.md says how to start one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/clock.h"
#include "worker/policy/opa_client.h"
#include "worker/policy/policy_engine.h"

namespace capstan::policy {

// Denies whatever the Rego engine would: an error of the server, an undefined or odd result, a
// time-out, a server that cannot be reached. A decision in which a required bundle took no part
// denies too.
class OpaPolicyEngine final : public PolicyEngine {
 public:
  // Tries of one evaluation that timed out or broke off, as long as its budget lasts: BudgetOf().
  static constexpr int kMaxTries = 3;

  struct Options {
    OpaClient::Options client;
    std::vector<std::string> required_bundles;
    absl::Duration timeout = absl::Milliseconds(500);  // Of one try.
    std::size_t max_input_bytes = 2 << 20;
  };

  // INVALID_ARGUMENT when the URL is bad. Does not ask the server: it may come up later, and until
  // then everything is denied.
  static absl::StatusOr<std::unique_ptr<OpaPolicyEngine>> Create(Options options, Clock& clock);

  // `bundle_digest` is the SHA-256 of the revisions that the server names, empty when its bundles
  // have none.
  Decision Evaluate(const PolicyInput& input) override;

 private:
  OpaPolicyEngine(Options options, std::unique_ptr<OpaClient> client, Clock& clock);

  void Decide(Decision& decision);
  absl::StatusOr<OpaReply> Ask(const std::string& body);
  void ReadReply(const OpaReply& reply, Decision& decision) const;

  const Options options_;
  const std::unique_ptr<OpaClient> client_;
  Clock& clock_;
};

}  // namespace capstan::policy
