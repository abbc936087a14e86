#include "core/task/task_budget.h"

#include <algorithm>
#include <map>

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

bool IsSame(const TaskState::Step* before, const TaskState::Step& after) {
  return before != nullptr && IsWorking(*before) && before->attempt() == after.attempt() &&
         before->iteration() == after.iteration();
}

std::string ChargedMonth(const Task& task, const v1::UsageRecorded& usage) {
  const TaskState::Step* step = Find(task.data, usage.step());
  return step == nullptr ? "" : step->reserved_month();
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
  for (const TaskState::Step& step : b.data().steps()) left -= step.reserved_microusd();
  return left;
}

// Nothing is left now, and there may be when what runs has ended.
bool OwnIsReserved(const Builder& b) {
  const std::int64_t limit = b.task().request.task().max_cost_microusd();
  return limit > 0 && OwnLeft(b) <= 0 && b.data().usage().cost_microusd() < limit;
}

}  // namespace

bool MustWaitToPay(const Builder& b) { return OwnIsReserved(b) || ProjectIsSpent(b); }

std::optional<std::int64_t> Reserve(const Builder& b, const v1::ModelStep& model) {
  const v1::TaskRequest& task = b.task().request.task();
  if (task.max_cost_microusd() == 0) return task.project().empty() ? 0 : model.max_cost_microusd();
  const std::int64_t left = OwnLeft(b);
  if (left <= 0) return std::nullopt;
  return model.max_cost_microusd() > 0 ? std::min(left, model.max_cost_microusd()) : left;
}

std::vector<ProjectMonth> ProjectMonths(const Task& task, const TaskState& after,
                                        const std::vector<v1::ExecutionEvent>& events, bool ended) {
  if (task.request.task().project().empty()) return {};
  std::map<std::string, ProjectMonth> months;
  for (const TaskState::Step& step : task.data.steps()) {
    if (step.reserved_microusd() > 0)
      months[step.reserved_month()].reserved_before += step.reserved_microusd();
  }
  for (const TaskState::Step& step : after.steps()) {
    if (ended || !IsWorking(step) || step.reserved_month().empty()) continue;
    ProjectMonth& month = months[step.reserved_month()];
    month.reserved += step.reserved_microusd();
    if (IsSame(Find(task.data, step.name()), step)) continue;
    month.begins = true;
    month.unbounded = month.unbounded || step.reserved_microusd() == 0;
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

void ReserveOfProject(Builder& b, TaskState::Step& step, std::int64_t wanted) {
  step.set_reserved_microusd(wanted);
  step.set_reserved_less(false);
  if (b.task().request.task().project().empty()) return;
  const std::optional<std::int64_t> left = Left(b);
  const std::string month = MonthToCharge(b);
  step.set_reserved_month(month);
  if (!left.has_value()) return;
  // Left() counts nothing of this iteration: it has not begun yet.
  const bool enough = wanted > 0 ? wanted <= *left : *left > 0 && GoesBeyond(b);
  if (enough) return;
  if (!GoesBeyond(b)) {
    step.set_reserved_microusd(*left);
    step.set_reserved_less(true);
    return;
  }
  if (b.data().project().overridden_month() == month) return;
  b.data().mutable_project()->set_overridden_month(month);
  v1::BudgetWarning& warning = *b.Event().mutable_budget_warning();
  warning.set_project(b.task().request.task().project());
  warning.set_spent_microusd(b.task().project->spent + BilledIn(month, b.task(), b.out().events));
  warning.set_max_cost_microusd(b.task().project->limit);
  warning.set_overridden(true);
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

bool WantsMoreOfProject(Builder& b, TaskState::Step& step, Execution::FailureReason reason) {
  if (reason != Execution::FAILURE_REASON_BUDGET_EXCEEDED || !step.reserved_less()) return false;
  const TaskState::Step* before = Find(b.task().data, step.name());
  b.data().mutable_project()->set_needs_microusd(before->reserved_microusd());
  return true;
}

}  // namespace capstan::task
