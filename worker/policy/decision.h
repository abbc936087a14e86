// The answer of a policy evaluation, and how it is read from what the rules returned. Everything
// strange is a deny.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace capstan::policy {

struct Violation {
  std::string id;  // "<bundle>/<rule>"; "capstan/…" when the engine itself denies.
  std::string message;
  friend bool operator==(const Violation&, const Violation&) = default;
};

// An approval that the action has to wait for. The worker's part: ask, wait, and evaluate again
// with what was recorded (PolicyInput::approval).
struct ApprovalObligation {
  int quorum = 1;                   // Approvers, different from each other; 1 to 100.
  std::vector<std::string> groups;  // An approver is in one of these; empty: anybody who may.
  absl::Duration timeout = absl::Hours(1);  // Then the execution fails; 1 s to 7 days.
  std::string reason;                       // For whoever is asked. May be empty.
  friend bool operator==(const ApprovalObligation&, const ApprovalObligation&) = default;
};

struct Decision {
  enum class Error {
    kNone,         // The rules answered.
    kUnavailable,  // A required bundle is missing or empty, or there is none at all.
    kTimeout,      // Every try ran into the time limit.
    kEvaluation,   // A rule raised an error, or the engine failed.
    kBadResult,    // Undefined, or not of the agreed shape.
    kBadInput,     // The input cannot be written as JSON or is too large.
  };

  bool allow = false;
  std::vector<Violation> violations;          // Never empty when `allow` is false.
  bool requires_approval = false;             // Whether `approvals` is not empty.
  std::vector<ApprovalObligation> approvals;  // Each has to be met. One at least when required.
  std::vector<std::string> warnings;
  std::string obligations_json = "[]";  // Array of objects, as the rules gave them.

  Error error = Error::kNone;
  std::string error_message;  // Empty when there is no error.

  // For the stored record: with these the decision can be replayed.
  std::string bundle_digest;  // SHA-256, hex; empty when no bundle was loaded.
  std::string input_json;
  std::string input_sha256;
  absl::Duration took;
};

// Name for metrics and logs: "none", "unavailable", "timeout", ….
std::string_view ErrorName(Decision::Error error);

// Whether a deny means that the rules could not answer (the execution ends POLICY_ERROR) and not
// that they, or the absence of a required bundle, said no (POLICY_DENIED).
bool IsPolicyError(const Decision& decision);

// Turns `decision` into a deny with this error; the message is also its only violation.
void Deny(Decision& decision, Decision::Error error, std::string message);

// As it is stored beside its input: {allow, violations, requires_approval, obligations, warnings,
// error}, one line of JSON, the same for the same decision.
std::string ResultJson(const Decision& decision);

// Reads the value of data.capstan.safety.decision into `decision`. Allows only when `allow` is
// true, there is no violation, and every field has the agreed type; anything else denies
// (kBadResult when the shape is wrong). So does an obligation that nobody here can meet: of an
// unknown type, with an unknown field, or a value out of bounds; and approvals by different groups
// at once.
void ReadDecision(std::string_view json, Decision& decision);

}  // namespace capstan::policy
