// Stored policy decisions beside what other rules say to the same inputs: what differs, and how it
// is shown. Pure.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "capstan/v1/admin_service.pb.h"

namespace capstan::cli {

// The answer of `capstan-policy-check --replay` to one input.
struct Replayed {
  std::string bundle_digest;
  nlohmann::json result;  // as StoredPolicyDecision.result_json
};

// INVALID_ARGUMENT for anything else.
absl::StatusOr<Replayed> ParseReplayed(const std::string& line);

// How a decision changed; the first that is true.
enum class Flip {
  kNone,
  kAllowToDeny,
  kDenyToAllow,
  kApprovalAdded,      // allowed both times; now only with an approval
  kApprovalRemoved,    // allowed both times; an approval is asked for no more
  kApprovalChanged,    // by others, by more or fewer, within another time
  kViolationsChanged,  // denied both times, by other rules
};
inline constexpr std::array kFlips = {Flip::kAllowToDeny,     Flip::kDenyToAllow,
                                      Flip::kApprovalAdded,   Flip::kApprovalRemoved,
                                      Flip::kApprovalChanged, Flip::kViolationsChanged};

// "allow -> deny", and "allow_to_deny" for JSON.
std::string FlipText(Flip flip);
std::string FlipKey(Flip flip);

// Violations are compared by their ids: other words for the same refusal are no flip. Neither are
// warnings.
Flip Compare(const nlohmann::json& stored, const nlohmann::json& replayed);

// Gathers what a replay finds. Keeps the decisions that flip, not the others.
class ReplayReport {
 public:
  // INVALID_ARGUMENT: the stored result is not JSON.
  absl::Status Add(const v1::StoredPolicyDecision& stored, const Replayed& replayed);

  bool clean() const { return flips_.empty(); }
  // A table of the flips, then the counts.
  std::string Text() const;
  // {bundle_digest, decisions, counts: {allow_to_deny, …}, flips: [{execution, number, time,
  // action, flip, stored, replayed}]}
  std::string Json() const;

 private:
  struct Row {
    std::string execution;
    std::int32_t number = 0;
    std::string time;
    std::string action;
    Flip flip = Flip::kNone;
    nlohmann::json stored;
    nlohmann::json replayed;
  };
  std::size_t Count(Flip flip) const;

  std::string bundle_digest_;
  std::size_t decisions_ = 0;
  std::vector<Row> flips_;
};

// One decision beside its replay: whether result and digest agree.
struct Explanation {
  bool same_rules = false;   // the digests are equal
  bool same_result = false;  // the results are equal, word for word
  std::string text;
  std::string json;
};

// INVALID_ARGUMENT: the stored result is not JSON.
absl::StatusOr<Explanation> Explain(const v1::StoredPolicyDecision& stored,
                                    const Replayed& replayed);

}  // namespace capstan::cli
