#include "core/machine/approvals.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/machine/action_builder.h"

namespace capstan::machine {
namespace {

using Approval = ActionState::Approval;
using v1::ApprovalSummary;

absl::Time ExpiryOf(const Approval& approval) { return absl::FromUnixMicros(approval.expires()); }

}  // namespace

std::string WaitMessage(const Approval& approval) {
  return absl::StrCat(
      "waits for ", approval.quorum(), approval.quorum() == 1 ? " approval" : " approvals",
      approval.groups().empty() ? "" : " by ", absl::StrJoin(approval.groups(), " or "), "; ",
      approval.approvers_size(), " so far");
}

std::string WhyIgnored(const Approval& approval, std::string_view requester,
                       const Signalled::Vote& vote) {
  if (vote.plan_digest != approval.plan_digest()) return "it is about another plan";
  if (vote.time >= ExpiryOf(approval)) return "it came too late";
  if (vote.caller == requester) return "the requester does not approve";
  if (!approval.groups().empty() &&
      std::none_of(vote.groups.begin(), vote.groups.end(), [&](const std::string& group) {
        return std::find(approval.groups().begin(), approval.groups().end(), group) !=
               approval.groups().end();
      })) {
    return absl::StrCat("not in ", absl::StrJoin(approval.groups(), " or "));
  }
  if (vote.approve && std::find(approval.approvers().begin(), approval.approvers().end(),
                                vote.caller) != approval.approvers().end()) {
    return "said so before";
  }
  return "";
}

v1::ApprovalDecided DecidedOf(int number, const Signalled::Vote& vote, std::string ignored) {
  v1::ApprovalDecided decided;
  decided.set_number(number);
  v1::ApprovalDecision& decision = *decided.mutable_decision();
  decision.set_caller(vote.caller);
  decision.set_approve(vote.approve);
  decision.set_reason(vote.reason);
  *decision.mutable_time() = ToProto(vote.time);
  decided.set_ignored(std::move(ignored));
  return decided;
}

bool IsApproved(const ActionState& data, const v1::Plan& plan) {
  return data.approval().given() && data.approval().plan_digest() == plan.digest();
}

Transition AwaitApproval(Builder builder, const v1::Plan& plan, absl::Time now) {
  ActionState& data = builder.data();
  if (!ApprovalIsOpen(data) || data.approval().plan_digest() != plan.digest()) {
    if (data.has_approval() && !data.approval().ended()) {
      builder.EndApproval(ApprovalSummary::STATE_VOID,
                          "what was to be approved has changed: the rules, the target or the plan");
    }
    const v1::ApprovalRule& rule = plan.policy_decision().approval();
    const absl::Duration timeout =
        rule.timeout().seconds() > 0 ? absl::Seconds(rule.timeout().seconds()) : kApprovalTimeout;
    Approval approval;
    approval.set_number(data.approval().number() + 1);
    approval.set_plan_digest(plan.digest());
    approval.set_expires(absl::ToUnixMicros(now + timeout));
    approval.set_quorum(std::max(1, rule.quorum()));
    *approval.mutable_groups() = rule.groups();
    v1::ApprovalRequested& requested = *builder.Event().mutable_approval_requested();
    requested.set_number(approval.number());
    requested.set_plan_digest(plan.digest());
    *requested.mutable_rule() = rule;
    requested.mutable_rule()->set_quorum(approval.quorum());
    *requested.mutable_expire_time() = ToProto(ExpiryOf(approval));
    *requested.mutable_plan() = plan;
    *data.mutable_approval() = approval;
    builder.Approval({approval.number(), ApprovalSummary::STATE_PENDING, ExpiryOf(approval),
                      approval.plan_digest()});
  }
  const Approval approval = data.approval();
  return builder.Block(Execution::BLOCK_REASON_APPROVAL, WaitMessage(approval), ExpiryOf(approval),
                       now);
}

bool IsExpired(const ActionState& data, absl::Time now) {
  return ApprovalIsOpen(data) && now >= ExpiryOf(data.approval());
}

Transition ExpireApproval(Builder builder, const Action& action, absl::Time now) {
  builder.EndApproval(ApprovalSummary::STATE_EXPIRED, "not enough approvals in time");
  const Approval approval = builder.data().approval();
  return Finish(std::move(builder), action, Execution::STATE_FAILED,
                Execution::FAILURE_REASON_APPROVAL_TIMEOUT,
                absl::StrCat(approval.approvers_size(), " of ", approval.quorum(),
                             " approvals came in time"));
}

std::optional<Transition> CountVote(Builder& builder, const Action& action,
                                    const Signalled::Vote& vote) {
  ActionState& data = builder.data();
  std::string ignored = ApprovalIsOpen(data)
                            ? WhyIgnored(data.approval(), action.request.caller(), vote)
                            : "no approval is open";
  const bool counts = ignored.empty();
  *builder.Event().mutable_approval_decided() =
      DecidedOf(data.approval().number(), vote, std::move(ignored));
  if (!counts) return std::nullopt;
  if (!vote.approve) {
    builder.EndApproval(ApprovalSummary::STATE_REJECTED, vote.reason);
    return Finish(std::move(builder), action, Execution::STATE_FAILED,
                  Execution::FAILURE_REASON_APPROVAL_REJECTED,
                  absl::StrCat("rejected by ", vote.caller, ": ", vote.reason));
  }
  Approval& approval = *data.mutable_approval();
  approval.add_approvers(vote.caller);
  if (approval.approvers_size() >= approval.quorum()) {
    approval.set_given(true);
    builder.EndApproval(ApprovalSummary::STATE_APPROVED,
                        absl::StrCat("approved by ", absl::StrJoin(approval.approvers(), ", ")));
  }
  return std::nullopt;
}

}  // namespace capstan::machine
