// Inside of the action machine: approvals. One is bound to the digest of a plan; it counts while
// the plan stays what it was.
#pragma once

#include <string>
#include <string_view>

#include "core/machine/action_builder.h"

namespace capstan::machine {

// When an approval ends whose rule says nothing.
inline constexpr absl::Duration kApprovalTimeout = absl::Hours(1);

// Enough said yes to just this plan.
bool IsApproved(const ActionState& data, const v1::Plan& plan);

// Asks for an approval of `plan`, or goes on waiting for the one that is open for it; one for
// another plan becomes void.
Transition AwaitApproval(Builder builder, const v1::Plan& plan, absl::Time now);

// The open approval is too late.
bool IsExpired(const ActionState& data, absl::Time now);
Transition ExpireApproval(Builder builder, const Action& action, absl::Time now);

// Why a vote on an approval that is open does not count; empty when it does.
std::string WhyIgnored(const ActionState::Approval& approval, std::string_view requester,
                       const Signalled::Vote& vote);

// The event that takes note of a vote.
v1::ApprovalDecided DecidedOf(int number, const Signalled::Vote& vote, std::string ignored);

// "waits for 2 approvals by sre; 1 so far".
std::string WaitMessage(const ActionState::Approval& approval);

// Takes note of one vote. Returns the end of the execution if it is a counting no.
std::optional<Transition> CountVote(Builder& builder, const Action& action,
                                    const Signalled::Vote& vote);

}  // namespace capstan::machine
