#include "tests/proof/history.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "core/ids.h"
#include "core/kubernetes_names.h"
#include "core/machine/states.h"
#include "core/text.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "tests/proof/life.h"

namespace capstan::proof {
namespace {

using kubesim::AuditEntry;
using kubesim::PodRun;
using kubesim::ScaleRecord;
using machine::StateName;
using v1::Execution;
using v1::ExecutionEvent;

// The same bytes for equal messages, maps included.
std::string Bytes(const ExecutionEvent& event) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  event.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

class Checker {
 public:
  explicit Checker(const History& history) : history_(history) {}

  std::vector<Violation> Run() {
    Join();
    for (Life& life : lives_) {
      CheckLife(life);
      CheckOutcome(life);
      CheckDecisions(life);
      CheckLaunch(life);
      CheckEffect(life);
      CheckSuccess(life);
      CheckNotAllowed(life);
      CheckEnd(life);
      TakeHold(life);
      Append(CheckWaiting(life, history_));
      Append(CheckRecords(life, history_));
    }
    CheckRollbacks();
    CheckTargets();
    Append(CheckArmed(lives_, history_));
    CheckSubmits();
    CheckOwners();
    CheckWatched();
    CheckLoad();
    return std::move(violations_);
  }

 private:
  template <class... Parts>
  void Violate(Property property, const std::string& execution, const Parts&... parts) {
    violations_.push_back({property, execution, Cat(parts...)});
  }

  void Append(const std::vector<Violation>& some) {
    violations_.insert(violations_.end(), some.begin(), some.end());
  }

  Life* Find(const std::string& execution) {
    const auto found = by_name_.find(execution);
    return found == by_name_.end() ? nullptr : &lives_[found->second];
  }
  Life* FindJob(const std::string& job) {
    const auto found = by_job_.find(job);
    return found == by_job_.end() ? nullptr : &lives_[found->second];
  }

  void Join() {
    for (const ExecutionEvent& event : history_.events) {
      const auto [found, is_new] = by_name_.try_emplace(event.execution(), lives_.size());
      if (is_new) {
        lives_.emplace_back().name = event.execution();
        if (const auto id = ParseExecutionName(event.execution())) {
          by_job_.emplace(Cat(kJobNamePrefix, id->ToHex()), found->second);
        }
      }
      lives_[found->second].events.push_back(&event);
    }
    for (const DecisionRow& row : history_.decisions) {
      if (Life* life = Find(row.execution)) {
        life->decisions.push_back(&row);
      } else {
        Violate(Property::kOneAllowedEffect, row.execution, "a decision of no execution");
      }
    }
    for (const OutcomeRow& row : history_.outcomes) {
      if (Life* life = Find(row.execution)) {
        life->outcomes.push_back(&row);
      } else {
        Violate(Property::kLifeIsLegal, row.execution, "an outcome of no execution");
      }
    }
    for (const AuditRow& row : history_.records) {
      if (Life* life = Find(row.execution)) {
        life->records.push_back(&row);
      } else if (!row.execution.empty()) {
        Violate(Property::kWrittenDown, row.execution, "audited as ", row.kind, " and not stored");
      }
    }
    JoinCluster();
  }

  void JoinCluster() {
    for (const AuditEntry& entry : history_.audit) {
      if (entry.verb == "get" && entry.actor_job.empty() && entry.code == 200) {
        std::optional<absl::Time>& last =
            last_read_[Cat(entry.resource, "/", entry.namespace_name, "/", entry.name)];
        last = last.has_value() ? std::max(*last, entry.time) : entry.time;
      }
      if (!entry.applied || entry.dry_run) continue;
      if (!entry.actor_job.empty()) {
        if (Life* life = FindJob(entry.actor_job)) {
          life->writes.push_back(&entry);
        } else {
          Violate(Property::kOneAllowedEffect, "", "a pod of Job ", entry.actor_job,
                  ", of no execution, wrote to ", entry.resource, "/", entry.name);
        }
        continue;
      }
      if (entry.resource != "jobs") continue;
      Life* life = FindJob(entry.name);
      if (life == nullptr) {
        if (entry.verb == "create" && entry.name.starts_with(kJobNamePrefix)) {
          Violate(Property::kOneAllowedEffect, "", "Job ", entry.name, " of no execution");
        }
        continue;
      }
      if (entry.verb == "create") {
        life->creates.push_back(&entry);
      } else if (entry.verb == "patch") {
        life->patches.push_back(&entry);
      } else {
        life->writes.push_back(&entry);
      }
    }
    for (const PodRun& run : history_.pod_runs) {
      if (Life* life = FindJob(run.job)) life->pods.push_back(&run);
    }
    for (const ScaleRecord& record : history_.scales) {
      if (Life* life = FindJob(record.job)) life->scales.push_back(&record);
    }
    for (const ArmedSpan& span : history_.armed) {
      if (Life* life = FindJob(span.job)) life->armed_spans.push_back(&span);
    }
  }

  // ---- 2

  void CheckLife(Life& life) {
    std::int64_t expected = 1;
    Execution::State state = Execution::STATE_PENDING;
    for (const ExecutionEvent* event : life.events) {
      if (event->seq() != expected) {
        Violate(Property::kLifeIsLegal, life.name, "event ", event->seq(), " stands where ",
                expected, " belongs");
      }
      expected = event->seq() + 1;
      if (life.end != nullptr) {
        Violate(Property::kLifeIsLegal, life.name, "event ", event->seq(), " after the end");
      }
      if (event->has_accepted() != (event == life.events.front())) {
        Violate(Property::kLifeIsLegal, life.name, "event ", event->seq(),
                event->has_accepted() ? " is another Accepted" : " is first and not Accepted");
      }
      TakeMilestone(life, *event);
      if (!event->has_state_changed()) continue;
      const v1::StateChanged& changed = event->state_changed();
      if (changed.from() != state || !machine::IsLegal(changed.from(), changed.to())) {
        Violate(Property::kLifeIsLegal, life.name, "event ", event->seq(), " goes from ",
                StateName(changed.from()), " to ", StateName(changed.to()), " but the state was ",
                StateName(state));
      }
      state = changed.to();
      if (machine::IsTerminal(state)) life.end = event;
    }
  }

  void TakeMilestone(Life& life, const ExecutionEvent& event) {
    const auto once = [&](const ExecutionEvent*& place, const char* what) {
      if (place != nullptr) {
        Violate(Property::kOneAllowedEffect, life.name, what, " is recorded twice");
      } else {
        place = &event;
      }
    };
    if (event.has_accepted()) {
      if (life.accepted == nullptr) life.accepted = &event.accepted();
    } else if (event.has_policy_evaluated()) {
      if (event.policy_evaluated().decision().allow() && life.first_allow == nullptr)
        life.first_allow = &event;
    } else if (event.has_artifact_stored() && event.artifact_stored().artifact() == "job") {
      once(life.intent, "the intent");
    } else if (event.has_job_created()) {
      once(life.created, "the Job's uid");
    } else if (event.has_job_armed()) {
      once(life.armed, "arming");
    } else if (event.has_job_finished()) {
      once(life.finished, "the Job's end");
    } else if (event.has_lease_lost()) {
      int& takeovers = takeovers_[life.name];
      if (event.lease_lost().takeovers() <= takeovers) {
        Violate(Property::kOwnersOnlyAdvance, life.name, "takeover ",
                event.lease_lost().takeovers(), " after takeover ", takeovers);
      }
      takeovers = event.lease_lost().takeovers();
    }
  }

  void CheckOutcome(const Life& life) {
    if (life.end == nullptr) {
      if (!life.outcomes.empty())
        Violate(Property::kLifeIsLegal, life.name, "has an outcome row and no end");
      return;
    }
    if (life.outcomes.size() != 1) {
      Violate(Property::kLifeIsLegal, life.name, "ended and has ", life.outcomes.size(),
              " outcome rows");
    }
    const v1::StateChanged& end = life.end->state_changed();
    for (const OutcomeRow* row : life.outcomes) {
      if (row->state != end.to() || row->reason != end.failure_reason()) {
        Violate(Property::kLifeIsLegal, life.name, "ended ", StateName(end.to()),
                " and its outcome row says ", StateName(row->state));
      }
    }
  }

  // ---- 4

  // Each decision is a row and an event, in the same order.
  void CheckDecisions(Life& life) {
    std::sort(life.decisions.begin(), life.decisions.end(),
              [](const DecisionRow* a, const DecisionRow* b) { return a->number < b->number; });
    std::size_t next = 0;
    for (const ExecutionEvent* event : life.events) {
      if (!event->has_policy_evaluated()) continue;
      if (next >= life.decisions.size() ||
          life.decisions[next]->number != static_cast<int>(next) + 1 ||
          life.decisions[next]->allow != event->policy_evaluated().decision().allow()) {
        Violate(Property::kOneAllowedEffect, life.name, "the decision of event ", event->seq(),
                " is not the stored one");
        return;
      }
      ++next;
    }
    if (next != life.decisions.size())
      Violate(Property::kOneAllowedEffect, life.name, "a decision is stored without its event");
  }

  void CheckLaunch(const Life& life) {
    for (const AuditEntry* create : life.creates) {
      if (life.first_allow == nullptr || TimeOf(*life.first_allow) > create->time) {
        Violate(Property::kOneAllowedEffect, life.name,
                "its Job was created before an allow was stored");
        break;
      }
    }
    if (life.creates.size() > 1 && !history_.interference) {
      Violate(Property::kOneAllowedEffect, life.name, "its Job was created ", life.creates.size(),
              " times");
    }
    if (life.created != nullptr &&
        (life.first_allow == nullptr || life.first_allow->seq() > life.created->seq())) {
      Violate(Property::kOneAllowedEffect, life.name, "the Job's uid is recorded before an allow");
    }
    if (life.armed != nullptr &&
        (life.created == nullptr || life.created->seq() > life.armed->seq())) {
      Violate(Property::kOneAllowedEffect, life.name, "armed before the Job's uid is recorded");
    }
    for (const AuditEntry* patch : life.patches) {
      if (life.created == nullptr || TimeOf(*life.created) > patch->time) {
        Violate(Property::kOneAllowedEffect, life.name,
                "its Job was patched before its uid was recorded");
      } else if (patch->uid != life.created->job_created().job().uid()) {
        Violate(Property::kOneAllowedEffect, life.name, "a Job was patched whose uid ", patch->uid,
                " is not the recorded one");
      }
    }
    if (life.patches.size() > 1)
      Violate(Property::kOneAllowedEffect, life.name, "armed ", life.patches.size(), " times");
  }

  void CheckEffect(const Life& life) {
    if (life.pods.size() > 1)
      Violate(Property::kOneAllowedEffect, life.name, life.pods.size(), " pods ran");
    if (life.scales.size() > 1)
      Violate(Property::kOneAllowedEffect, life.name, "scaled ", life.scales.size(), " times");
    if (!life.pods.empty() && life.patches.empty())
      Violate(Property::kOneAllowedEffect, life.name, "a pod ran of a Job that was never armed");
    for (const PodRun* pod : life.pods) {
      if (life.created != nullptr && pod->job_uid != life.created->job_created().job().uid()) {
        Violate(Property::kOneAllowedEffect, life.name, "a pod ran of a Job whose uid ",
                pod->job_uid, " is not the recorded one");
      }
    }
    if (life.end == nullptr) return;
    const v1::StateChanged& end = life.end->state_changed();
    const bool effect = !life.pods.empty() || !life.scales.empty();
    if (effect && end.outcome().effect() == Execution::EFFECT_NONE)
      Violate(Property::kOneAllowedEffect, life.name, "ended with no effect, and a pod ran");
    if (history_.interference) return;
    if (end.failure_reason() == Execution::FAILURE_REASON_OUTCOME_UNKNOWN ||
        end.failure_reason() == Execution::FAILURE_REASON_LEASE_LOST) {
      Violate(Property::kOneAllowedEffect, life.name, "ended ",
              machine::FailureReasonName(end.failure_reason()), " although nobody interfered");
    }
  }

  // ---- 4 and 5

  void CheckSuccess(const Life& life) {
    if (!life.EndedAs(Execution::STATE_SUCCEEDED) || life.DryRun()) return;
    if (life.accepted == nullptr) return;  // not legal, and said so
    if (life.pods.size() != 1)
      Violate(Property::kOneAllowedEffect, life.name, "SUCCEEDED with ", life.pods.size(), " pods");
    if (life.accepted->action() == "ScaleDeployment") CheckScaled(life);
    if (life.finished == nullptr || !life.finished->job_finished().succeeded() ||
        life.armed == nullptr || life.armed->seq() > life.finished->seq()) {
      Violate(Property::kSuccessWasSeen, life.name,
              "SUCCEEDED without a recorded good end of an armed Job");
      return;
    }
    const v1::Outcome& outcome = life.end->state_changed().outcome();
    if (outcome.effect() != Execution::EFFECT_APPLIED)
      Violate(Property::kSuccessWasSeen, life.name, "SUCCEEDED and its effect is not APPLIED");
    if (outcome.resources().empty() || !outcome.resources(0).has_after()) return;
    const v1::Target& target = life.accepted->target();
    const std::string plural = Cat(absl::AsciiStrToLower(target.kind()), "s");
    const auto read = last_read_.find(Cat(plural, "/", target.namespace_(), "/", target.name()));
    if (read == last_read_.end() || *read->second < TimeOf(*life.finished)) {
      Violate(Property::kSuccessWasSeen, life.name,
              "says what the target is now, which was not read after the Job's end");
    }
  }

  void CheckScaled(const Life& life) {
    const auto wanted = life.accepted->parameters().fields().find("replicas");
    if (wanted == life.accepted->parameters().fields().end()) return;
    const int replicas = static_cast<int>(wanted->second.number_value());
    if (life.scales.size() != 1 || life.scales.front()->to != replicas) {
      Violate(Property::kOneAllowedEffect, life.name, "SUCCEEDED and was not scaled to ", replicas);
    }
  }

  // ---- 6

  void CheckNotAllowed(const Life& life) {
    const bool denied = life.first_allow == nullptr && life.end != nullptr;
    if (!denied && !life.DryRun()) return;
    const std::size_t writes = life.creates.size() + life.patches.size() + life.writes.size() +
                               life.pods.size() + life.scales.size();
    if (writes == 0) return;
    Violate(Property::kNothingWhenNotAllowed, life.name,
            life.DryRun() ? "a dry run" : "not allowed", ", and the cluster was written to ",
            writes, " times");
  }

  // ---- 8

  // The lock is taken with the intent and given back with the end, each under the target's row
  // lock, so the times of the two are in the order of the holders.
  void TakeHold(const Life& life) {
    const std::string target = life.Takes(history_);
    if (life.intent == nullptr || target.empty()) return;
    const absl::Time from = TimeOf(*life.intent);
    const absl::Time until = life.end == nullptr ? absl::InfiniteFuture() : TimeOf(*life.end);
    for (const AuditEntry* patch : life.patches) {
      if (patch->time < from || patch->time > until) {
        Violate(Property::kOneChangesATarget, life.name,
                "its Job was armed while it did not hold its target");
      }
    }
    holds_[target].push_back({from, until, &life});
  }

  void CheckTargets() {
    for (auto& [target, holds] : holds_) {
      std::sort(holds.begin(), holds.end(),
                [](const Hold& a, const Hold& b) { return a.from < b.from; });
      for (std::size_t i = 1; i < holds.size(); ++i) {
        if (holds[i].from >= holds[i - 1].until) continue;
        Violate(Property::kOneChangesATarget, holds[i].life->name, "held ", target, " while ",
                holds[i - 1].life->name, " did");
      }
    }
  }

  // ---- 13

  void CheckRollbacks() {
    for (const Life& life : lives_) {
      if (life.accepted == nullptr || life.accepted->rollback_of().empty()) continue;
      if (const Life* original = Find(life.accepted->rollback_of())) {
        Append(CheckUndone(life, *original));
      } else {
        Violate(Property::kUndoneAsLeft, life.name, "undoes what is not stored");
      }
    }
  }

  // ---- 11

  void CheckEnd(const Life& life) {
    if (life.end == nullptr) {
      Violate(Property::kEverythingEnds, life.name, "has not ended");
    } else if (history_.healed.has_value() &&
               TimeOf(*life.end) > *history_.healed + history_.time_to_end) {
      Violate(Property::kEverythingEnds, life.name, "ended later than ",
              absl::FormatDuration(history_.time_to_end), " after the last fault");
    }
  }

  void CheckLoad() {
    if (static_cast<int>(lives_.size()) >= history_.load_floor) return;
    Violate(Property::kEverythingEnds, "", lives_.size(), " executions, and the load floor is ",
            history_.load_floor);
  }

  // ---- 1

  void CheckSubmits() {
    absl::flat_hash_map<std::string_view, const Life*> by_request;
    for (const Life& life : lives_) {
      if (life.accepted == nullptr || life.accepted->request_id().empty()) continue;
      if (!by_request.emplace(life.accepted->request_id(), &life).second) {
        Violate(Property::kSubmitsAreKept, life.name, "request ", life.accepted->request_id(),
                " made more than one execution");
      }
    }
    absl::flat_hash_set<std::string_view> may_exist;
    for (const Submitted& submit : history_.submits) {
      if (submit.reply != Submitted::Reply::kRefused) may_exist.insert(submit.request_id);
      if (submit.reply != Submitted::Reply::kAccepted) continue;
      if (Find(submit.execution) == nullptr) {
        Violate(Property::kSubmitsAreKept, submit.execution, "was acknowledged and is not stored");
        continue;
      }
      const auto stored = by_request.find(submit.request_id);
      if (stored == by_request.end() || stored->second->name != submit.execution) {
        Violate(Property::kSubmitsAreKept, submit.execution, "request ", submit.request_id,
                " was answered by it and belongs to another one");
      }
    }
    for (const auto& [request, life] : by_request) {
      if (!may_exist.contains(request))
        Violate(Property::kSubmitsAreKept, life->name, "nobody made request ", request,
                ", or it was refused");
    }
  }

  // ---- 3

  void CheckOwners() {
    struct Owner {
      std::int64_t lease = 0;
      std::int64_t epoch = 0;
      std::set<std::int64_t> left;  // leases it was moved away from
    };
    absl::flat_hash_map<std::string_view, Owner> owners;
    for (const OwnedWrite& write : history_.writes) {
      const auto [found, is_new] = owners.try_emplace(write.execution);
      Owner& owner = found->second;
      if (!is_new) {
        if (write.lease == owner.lease && write.epoch < owner.epoch) {
          Violate(Property::kOwnersOnlyAdvance, write.execution, "written under epoch ",
                  write.epoch, " of lease ", write.lease, " after epoch ", owner.epoch);
        }
        if (write.lease != owner.lease) owner.left.insert(owner.lease);
        if (owner.left.contains(write.lease)) {
          Violate(Property::kOwnersOnlyAdvance, write.execution, "written under lease ",
                  write.lease, " after it had moved to another");
        }
      }
      owner.lease = write.lease;
      owner.epoch = write.epoch;
    }
  }

  // ---- 7

  void CheckWatched() {
    for (const Watched& watched : history_.watched) {
      const Life* life = Find(watched.execution);
      if (life == nullptr) {
        if (!watched.events.empty())
          Violate(Property::kWatchersSeeTheStore, watched.execution, "watched and not stored");
        continue;
      }
      CheckSequence(watched, *life);
    }
  }

  void CheckSequence(const Watched& watched, const Life& life) {
    std::int64_t seq = watched.after_seq;
    for (const ExecutionEvent& event : watched.events) {
      if (event.seq() != ++seq) {
        Violate(Property::kWatchersSeeTheStore, life.name, "a watcher got event ", event.seq(),
                " in the place of ", seq);
        return;
      }
      if (seq > static_cast<std::int64_t>(life.events.size())) {
        Violate(Property::kWatchersSeeTheStore, life.name, "a watcher got event ", seq,
                " that is not stored");
        return;
      }
      const ExecutionEvent& stored = *life.events[seq - 1];
      if (Bytes(event) != Bytes(stored)) {
        Violate(Property::kWatchersSeeTheStore, life.name, "a watcher got an event ", seq,
                " that is not the stored one: ", event.ShortDebugString(), " instead of ",
                stored.ShortDebugString());
        return;
      }
    }
    const std::int64_t last = life.events.back()->seq();
    if (watched.ended_well && seq < last) {
      Violate(Property::kWatchersSeeTheStore, life.name, "a stream ended well after event ", seq,
              " of ", last);
    }
  }

  // Who may change a target, and when.
  struct Hold {
    absl::Time from, until;
    const Life* life = nullptr;
  };

  const History& history_;
  std::vector<Life> lives_;
  std::map<std::string, std::vector<Hold>> holds_;
  absl::flat_hash_map<std::string, std::size_t> by_name_;
  absl::flat_hash_map<std::string, std::size_t> by_job_;
  absl::flat_hash_map<std::string, std::optional<absl::Time>> last_read_;
  absl::flat_hash_map<std::string, int> takeovers_;
  std::vector<Violation> violations_;
};

}  // namespace

std::vector<Violation> Check(const History& history) { return Checker(history).Run(); }

}  // namespace capstan::proof
