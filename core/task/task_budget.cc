#include "core/task/task_budget.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "core/money.h"
#include "core/task/task_builder.h"

namespace capstan::task {
namespace {

const TaskState::Step* Find(const TaskState& data, const std::string& name) {
  const auto found = std::find_if(data.steps().begin(), data.steps().end(),
                                  [&](const auto& step) { return step.name() == name; });
  return found == data.steps().end() ? nullptr : &*found;
}

// An iteration, or a judgement of a gate, that is being worked on.
struct Charge {
  std::string step;
  int attempt = 0, iteration = 0;
  std::int64_t reserved = 0;
  std::string month;
};

std::vector<Charge> ChargesOf(const TaskState& data) {
  std::vector<Charge> out;
  for (const TaskState::Step& step : data.steps()) {
    if (IsWorking(step)) {
      out.push_back({step.name(), step.attempt(), step.iteration(), step.reserved_microusd(),
                     step.reserved_month()});
    }
    const TaskState::Gate& gate = step.gate();
    if (gate.working()) {
      out.push_back(
          {step.name(), gate.number(), 0, gate.reserved_microusd(), gate.reserved_month()});
    }
  }
  return out;
}

bool IsSame(const Charge& a, const Charge& b) {
  return a.step == b.step && a.attempt == b.attempt && a.iteration == b.iteration;
}

std::string ChargedMonth(const Task& task, const v1::UsageRecorded& usage) {
  const TaskState::Step* step = Find(task.data, usage.step());
  if (step == nullptr) return "";
  return usage.iteration() == 0 ? step->gate().reserved_month() : step->reserved_month();
}

// What is left of the budget after this transition so far; nullopt: it has no limit, or is not
// known, and whoever stores decides.
std::optional<std::int64_t> Left(const Builder& b) {
  const std::optional<ProjectStanding>& standing = b.task().project;
  if (b.task().request.task().project().empty() || !standing.has_value() || standing->limit == 0)
    return std::nullopt;
  std::int64_t left = standing->limit - standing->spent - standing->reserved;
  for (const ProjectMonth& one : ProjectMonths(b.task(), b.data(), b.out().events, false)) {
    if (one.month == standing->month) left -= one.billed + one.reserved - one.reserved_before;
  }
  return left;
}

bool GoesBeyond(const Builder& b) { return !b.task().request.task().budget_override().empty(); }

// What of the task's own budget is neither spent nor reserved.
std::int64_t OwnLeft(const Builder& b) {
  std::int64_t left =
      b.task().request.task().max_cost_microusd() - b.data().usage().cost_microusd();
  for (const TaskState::Step& step : b.data().steps())
    left -= step.reserved_microusd() + step.gate().reserved_microusd();
  return left;
}

// Nothing is left now, and there may be when what runs has ended.
bool OwnIsReserved(const Builder& b) {
  const std::int64_t limit = b.task().request.task().max_cost_microusd();
  return limit > 0 && OwnLeft(b) <= 0 && b.data().usage().cost_microusd() < limit;
}

}  // namespace

bool MustWaitToPay(const Builder& b) { return OwnIsReserved(b) || ProjectIsSpent(b); }

std::optional<std::int64_t> CostOf(const v1::WorkflowStep& definition) {
  std::vector<std::int64_t> parts;
  if (definition.has_llm()) parts.push_back(definition.llm().max_cost_microusd());
  for (const v1::QualityCheck& check : definition.checks()) {
    if (check.has_judge() && check.on_failure() != v1::QualityCheck::ON_FAILURE_SKIP)
      parts.push_back(check.judge().max_cost_microusd());
  }
  if (parts.empty()) return std::nullopt;
  if (std::find(parts.begin(), parts.end(), 0) != parts.end()) return 0;
  return std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
}

std::optional<std::int64_t> Reserve(const Builder& b, std::int64_t most) {
  const v1::TaskRequest& task = b.task().request.task();
  if (task.max_cost_microusd() == 0) return task.project().empty() ? 0 : most;
  const std::int64_t left = OwnLeft(b);
  if (left <= 0) return std::nullopt;
  return most > 0 ? std::min(left, most) : left;
}

std::vector<ProjectMonth> ProjectMonths(const Task& task, const TaskState& after,
                                        const std::vector<v1::ExecutionEvent>& events, bool ended) {
  if (task.request.task().project().empty()) return {};
  std::map<std::string, ProjectMonth> months;
  const std::vector<Charge> before = ChargesOf(task.data);
  for (const Charge& one : before) {
    if (one.reserved > 0) months[one.month].reserved_before += one.reserved;
  }
  for (const Charge& one : ended ? std::vector<Charge>() : ChargesOf(after)) {
    if (one.month.empty()) continue;
    ProjectMonth& month = months[one.month];
    month.reserved += one.reserved;
    const bool goes_on = std::any_of(before.begin(), before.end(),
                                     [&](const Charge& other) { return IsSame(one, other); });
    if (goes_on) continue;
    month.begins = true;
    month.unbounded = month.unbounded || one.reserved == 0;
  }
  for (const v1::ExecutionEvent& event : events) {
    if (!event.has_usage_recorded()) continue;
    ProjectMonth& month = months[ChargedMonth(task, event.usage_recorded())];
    month.billed += event.usage_recorded().cost_microusd();
    month.is_upper_bound = month.is_upper_bound || event.usage_recorded().is_upper_bound();
  }
  std::vector<ProjectMonth> out;
  for (auto& [name, month] : months) {
    month.month = name;
    if (!month.begins && month.billed == 0 && month.reserved == month.reserved_before) continue;
    out.push_back(std::move(month));
  }
  return out;
}

std::int64_t BilledIn(const std::string& month, const Task& task,
                      const std::vector<v1::ExecutionEvent>& events) {
  std::int64_t billed = 0;
  for (const v1::ExecutionEvent& event : events) {
    if (event.has_usage_recorded() && ChargedMonth(task, event.usage_recorded()) == month)
      billed += event.usage_recorded().cost_microusd();
  }
  return billed;
}

std::string MonthOf(absl::Time time) {
  return absl::FormatTime("%Y-%m", time, absl::UTCTimeZone());
}

absl::Time EndOfMonth(const std::string& month) {
  absl::CivilMonth civil;
  if (!absl::ParseCivilTime(month, &civil)) return absl::InfiniteFuture();
  return absl::FromCivil(civil + 1, absl::UTCTimeZone());
}

std::string MonthToCharge(const Builder& b) {
  return b.task().project.has_value() ? b.task().project->month : MonthOf(b.now());
}

bool ProjectIsSpent(const Builder& b) {
  if (GoesBeyond(b)) return false;
  const std::optional<std::int64_t> left = Left(b);
  return left.has_value() && *left <= b.data().project().needs_microusd();
}

Reservation ReserveOfProject(Builder& b, std::int64_t wanted) {
  if (b.task().request.task().project().empty()) return {wanted, "", false};
  const std::optional<std::int64_t> left = Left(b);
  const std::string month = MonthToCharge(b);
  Reservation all{wanted, month, false};
  if (!left.has_value()) return all;
  // Left() counts nothing of what is reserved here: it has not begun yet.
  const bool enough = wanted > 0 ? wanted <= *left : *left > 0 && GoesBeyond(b);
  if (enough) return all;
  if (!GoesBeyond(b)) return {*left, month, true};
  if (b.data().project().overridden_month() == month) return all;
  b.data().mutable_project()->set_overridden_month(month);
  v1::BudgetWarning& warning = *b.Event().mutable_budget_warning();
  warning.set_project(b.task().request.task().project());
  warning.set_spent_microusd(b.task().project->spent + BilledIn(month, b.task(), b.out().events));
  warning.set_max_cost_microusd(b.task().project->limit);
  warning.set_overridden(true);
  return all;
}

Transition BlockForProject(Builder b, absl::Time next) {
  const std::string month = MonthToCharge(b);
  const std::int64_t left = std::max<std::int64_t>(0, Left(b).value_or(0));
  b.out().waits_for_project = month;
  std::string message =
      absl::StrCat("of the budget of project ", b.task().request.task().project(), " for ", month,
                   ", ", Money(b.task().project.has_value() ? b.task().project->limit : 0), ", ",
                   left > 0 ? Money(left) : "nothing", " is left");
  if (const std::int64_t needs = b.data().project().needs_microusd(); needs > 0)
    absl::StrAppend(&message, "; more than ", Money(needs), " is needed");
  return b.Block(Execution::BLOCK_REASON_BUDGET, std::move(message),
                 std::min(next, EndOfMonth(month)));
}

bool WantsMoreOfProject(Builder& b, const TaskState::Step& step, const IterationEnded& ended) {
  const bool judged = ended.iteration == 0;
  const bool less = judged ? step.gate().reserved_less() : step.reserved_less();
  if (ended.reason != Execution::FAILURE_REASON_BUDGET_EXCEEDED || !less) return false;
  const TaskState::Step& before = *Find(b.task().data, step.name());
  b.data().mutable_project()->set_needs_microusd(judged ? before.gate().reserved_microusd()
                                                        : before.reserved_microusd());
  return true;
}

void NeedsNoMoreOfProject(Builder& b) {
  if (b.data().has_project()) b.data().mutable_project()->clear_needs_microusd();
}

}  // namespace capstan::task
