#include <algorithm>
#include <map>
#include <utility>

#include "core/machine/states.h"
#include "core/text.h"
#include "tests/proof/life.h"

namespace capstan::proof {

std::string Life::Takes(const History& history) const {
  if (accepted == nullptr || accepted->target().kind().empty()) return "";
  if (history.reads.contains(accepted->action())) return "";
  const v1::Target& target = accepted->target();
  return Cat(target.kind(), "/", target.namespace_(), "/", target.name());
}

// ---- 12

std::vector<Violation> CheckRecords(const Life& life, const History& history) {
  std::vector<Violation> violations;
  if (history.records.empty() || life.accepted == nullptr) return violations;
  const auto violate = [&](const std::string& text) {
    violations.push_back({Property::kWrittenDown, life.name, text});
  };
  std::map<std::pair<std::string, std::string>, int> rows;  // by kind and caller
  const AuditRow* end = nullptr;
  for (const AuditRow* row : life.records) {
    ++rows[{row->kind, row->caller}];
    if (row->kind != "end") continue;
    if (end != nullptr) violate("its end is audited twice");
    end = row;
  }
  std::map<std::pair<std::string, std::string>, int> told;
  told[{"submit", life.accepted->caller()}] = 1;
  for (const v1::ExecutionEvent* event : life.events) {
    if (event->has_cancel_requested()) ++told[{"cancel", event->cancel_requested().caller()}];
    if (!event->has_approval_decided()) continue;
    const v1::ApprovalDecision& decision = event->approval_decided().decision();
    ++told[{decision.approve() ? "approve" : "reject", decision.caller()}];
  }
  for (const auto& [what, count] : told) {
    if (rows[what] < count)
      violate(Cat(what.first, " of ", what.second, " is not in the audit log"));
  }
  if ((life.end != nullptr) != (end != nullptr)) {
    violate(end == nullptr ? "its end is not in the audit log" : "audited as ended and is not");
  } else if (end != nullptr) {
    if (end->state != machine::StateName(life.end->state_changed().to()))
      violate(Cat("is audited as ", end->state));
    if (life.created != nullptr && end->job_uid != life.created->job_created().job().uid())
      violate(Cat("its audited end names the Job \"", end->job_uid, "\", not the launched one"));
  }
  return violations;
}

// ---- 13

std::vector<Violation> CheckUndone(const Life& life, const Life& original) {
  std::vector<Violation> violations;
  const auto violate = [&](const std::string& text) {
    violations.push_back({Property::kUndoneAsLeft, life.name, text});
  };
  if (!life.accepted->has_expected()) {
    // Its caller has looked, and wants it although the target has moved.
    if (!life.accepted->retry_of().empty()) return violations;
    violate(Cat("is not held to what ", original.name, " left"));
  }
  if (!original.EndedAs(v1::Execution::STATE_SUCCEEDED))
    violate(Cat("undoes ", original.name, ", which did not succeed"));
  for (const kubesim::ScaleRecord* undo : life.scales) {
    if (original.scales.empty()) {
      violate(Cat("undoes ", original.name, ", which changed nothing"));
      continue;
    }
    const kubesim::ScaleRecord& done = *original.scales.front();
    if (undo->from != kNotKnown && undo->from != done.to)
      violate(Cat("undoes what was left at ", done.to, " and had become ", undo->from));
    if (done.from != kNotKnown && undo->to != done.from)
      violate(Cat("goes back to ", undo->to, " where ", done.from, " had been"));
  }
  return violations;
}

// ---- 14

std::vector<Violation> CheckArmed(const std::vector<Life>& lives, const History& history) {
  std::vector<Violation> violations;
  struct Span {
    absl::Time from, until;
    const Life* life;
  };
  std::map<std::string, std::vector<Span>> targets;
  for (const Life& life : lives) {
    const std::string target = life.Takes(history);
    for (const ArmedSpan* span : life.armed_spans) {
      if (!span->until.has_value())
        violations.push_back({Property::kOneArmedJob, life.name, "its Job has not finished"});
      if (!target.empty()) {
        targets[target].push_back(
            {span->from, span->until.value_or(absl::InfiniteFuture()), &life});
      }
    }
  }
  for (auto& [target, spans] : targets) {
    std::sort(spans.begin(), spans.end(),
              [](const Span& a, const Span& b) { return a.from < b.from; });
    const Span* longest = nullptr;
    for (const Span& span : spans) {
      if (longest != nullptr && span.from < longest->until) {
        violations.push_back({Property::kOneArmedJob, span.life->name,
                              Cat("its Job was armed on ", target, " while that of ",
                                  longest->life->name, " had not finished")});
      }
      if (longest == nullptr || span.until > longest->until) longest = &span;
    }
  }
  return violations;
}

}  // namespace capstan::proof
