#include <set>
#include <utility>

#include "core/ids.h"
#include "core/text.h"
#include "tests/proof/life.h"

namespace capstan::proof {
namespace {

using kubesim::AuditEntry;
using v1::Execution;
using v1::ExecutionEvent;

class WaitingChecker {
 public:
  WaitingChecker(const Life& life, const History& history) : life_(life), history_(history) {}

  std::vector<Violation> Run() {
    CheckApprovals();
    CheckBlocked();
    return std::move(violations_);
  }

 private:
  template <class... Parts>
  void Violate(Property property, const Parts&... parts) {
    violations_.push_back({property, life_.name, Cat(parts...)});
  }

  // ---- 9

  void CheckApprovals() {
    Asked asked;
    bool needed = false;
    std::string job_digest;
    for (const ExecutionEvent* event : life_.events) {
      if (event->has_policy_evaluated()) {
        needed = event->policy_evaluated().decision().requires_approval();
      } else if (event->has_approval_requested()) {
        if (asked.open) Ask(*event, "asks while people are asked");
        asked = {.request = event, .open = true};
      } else if (event->has_approval_decided()) {
        CountVote(*event, asked);
      } else if (event->has_approval_ended()) {
        EndApproval(*event, asked);
      } else if (event->has_artifact_stored() && event->artifact_stored().artifact() == "job") {
        job_digest = event->artifact_stored().digest();
        Launch(*event, asked, needed, job_digest);
      } else if (event->has_job_created() || event->has_job_armed()) {
        Launch(*event, asked, needed, job_digest);
      }
    }
    if (asked.open && life_.end != nullptr) Ask(*life_.end, "ended and people are still asked");
  }

  struct Asked {
    const ExecutionEvent* request = nullptr;
    bool open = false;
    bool given = false;
    std::set<std::string> yes = {};
  };

  void Ask(const ExecutionEvent& event, const char* what) {
    Violate(Property::kPeopleAreHeard, "event ", event.seq(), " ", what);
  }

  void CountVote(const ExecutionEvent& event, Asked& asked) {
    const v1::ApprovalDecided& decided = event.approval_decided();
    if (!decided.ignored().empty()) return;
    if (!asked.open) Ask(event, "counts a vote and nobody is asked");
    if (life_.accepted != nullptr && decided.decision().caller() == life_.accepted->caller())
      Ask(event, "counts the requester's own vote");
    if (decided.decision().approve()) asked.yes.insert(decided.decision().caller());
  }

  void EndApproval(const ExecutionEvent& event, Asked& asked) {
    const v1::ApprovalEnded& ended = event.approval_ended();
    if (asked.request == nullptr ||
        ended.number() != asked.request->approval_requested().number() ||
        !(asked.open || asked.given)) {
      Ask(event, "ends an approval that is not open");
      return;
    }
    const bool given = ended.state() == v1::ApprovalSummary::STATE_APPROVED;
    const int quorum = asked.request->approval_requested().rule().quorum();
    if (given && static_cast<int>(asked.yes.size()) < quorum)
      Ask(event, "approves with fewer votes than the quorum");
    for (const AuditEntry* create : life_.creates) {
      if (asked.open && create->time > TimeOf(*asked.request) && create->time < TimeOf(event))
        Ask(event, "ends an approval during which its Job was created");
    }
    asked.open = false;
    asked.given = given;
  }

  void Launch(const ExecutionEvent& event, const Asked& asked, bool needed,
              const std::string& job_digest) {
    if (asked.open) Ask(event, "launches while people are asked");
    if (!needed) return;
    if (!asked.given) {
      Ask(event, "launches without the approval that the rules want");
    } else if (Sha256Hex(asked.request->approval_requested().plan().rendered_job()) != job_digest) {
      Ask(event, "launches another Job than the approved one");
    }
  }

  // ---- 10

  void CheckBlocked() {
    const ExecutionEvent* blocked = nullptr;
    for (const ExecutionEvent* event : life_.events) {
      if (blocked != nullptr && (event->has_policy_evaluated() || event->has_artifact_stored() ||
                                 event->has_job_created() || event->has_job_armed())) {
        Violate(Property::kBlockedIsStill, "event ", event->seq(), " goes on while it is BLOCKED");
      }
      if (!event->has_state_changed()) continue;
      const v1::StateChanged& changed = event->state_changed();
      const bool blocks = changed.to() == Execution::STATE_BLOCKED;
      if (blocks != (changed.block_reason() != Execution::BLOCK_REASON_UNSPECIFIED)) {
        Violate(
            Property::kBlockedIsStill, "event ", event->seq(),
            blocks ? " does not say for what it is BLOCKED" : " says for what and is not BLOCKED");
      }
      if (blocked != nullptr) CheckStill(*blocked, *event);
      blocked = blocks ? event : nullptr;
      if (blocks && life_.accepted != nullptr &&
          history_.reads.contains(life_.accepted->action()) &&
          WaitsForTarget(changed.block_reason())) {
        Violate(Property::kBlockedIsStill, "only reads and waits for its target");
      }
    }
  }

  static bool WaitsForTarget(Execution::BlockReason reason) {
    return reason != Execution::BLOCK_REASON_APPROVAL &&
           reason != Execution::BLOCK_REASON_STOPPED &&
           reason != Execution::BLOCK_REASON_PARENT_LIMIT;
  }

  void CheckStill(const ExecutionEvent& from, const ExecutionEvent& until) {
    for (const auto* calls : {&life_.creates, &life_.patches}) {
      for (const AuditEntry* call : *calls) {
        if (call->time > TimeOf(from) && call->time < TimeOf(until)) {
          Violate(Property::kBlockedIsStill, "its Job got a ", call->verb, " while it was BLOCKED");
        }
      }
    }
  }

  const Life& life_;
  const History& history_;
  std::vector<Violation> violations_;
};

}  // namespace

std::vector<Violation> CheckWaiting(const Life& life, const History& history) {
  return WaitingChecker(life, history).Run();
}

}  // namespace capstan::proof
