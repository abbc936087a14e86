// What a task may spend: of its own, and of the budget of its project, month by month. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/task/task_machine.h"

namespace capstan::task {

// What a transition changes in one month.
struct ProjectMonth {
  std::string month;
  std::int64_t reserved_before = 0;
  std::int64_t reserved = 0;  // by this task, once it is stored
  std::int64_t billed = 0;
  bool is_upper_bound = false;  // some of `billed`
  bool begins = false;          // an iteration of a model
  bool unbounded = false;       // one of them has no limit of its own, and nothing reserved
};

// By month; nothing when the task has no project. What was billed belongs to the month in which its
// iteration began. `after` is `task.data` after `events`; a task that has `ended` reserves nothing.
std::vector<ProjectMonth> ProjectMonths(const Task& task, const TaskState& after,
                                        const std::vector<v1::ExecutionEvent>& events, bool ended);

// What was billed in that month by these events.
std::int64_t BilledIn(const std::string& month, const Task& task,
                      const std::vector<v1::ExecutionEvent>& events);

// "2026-11" in UTC, and when the month after it begins; a month that does not parse never ends.
std::string MonthOf(absl::Time time);
absl::Time EndOfMonth(const std::string& month);

class Builder;

// No iteration of a model can begin now, but may when what runs has ended, or when there is more of
// the budget of the project.
bool MustWaitToPay(const Builder& b);

// What one iteration of a step may cost, its judgements with it, 0 meaning any amount; nullopt: it
// asks no model.
std::optional<std::int64_t> CostOf(const v1::WorkflowStep& definition);

// What the task may spend on one more call of `most` (0: any amount), 0 meaning any amount;
// nullopt: nothing is left.
std::optional<std::int64_t> Reserve(const Builder& b, std::int64_t most);

// The month that an iteration which begins now is charged to.
std::string MonthToCharge(const Builder& b);

// No iteration of a model can begin for want of it.
bool ProjectIsSpent(const Builder& b);

// For an iteration, or a judgement of a gate.
struct Reservation {
  std::int64_t microusd = 0;
  std::string month;  // empty: of no project
  bool less = false;  // than was wanted
};

// Reserves for an iteration or a judgement that has not begun yet, for which `wanted` may be spent
// (0: any amount), what is left of the budget at the most. After !ProjectIsSpent().
Reservation ReserveOfProject(Builder& b, std::int64_t wanted);

// BLOCKED(BUDGET) until the month ends, or `next` comes.
Transition BlockForProject(Builder b, absl::Time next);

// An iteration, or a judgement of the gate, could not do with what was reserved for it, and could
// have had more but for the project: it is begun again once there is more. False: it is not so.
bool WantsMoreOfProject(Builder& b, const TaskState::Step& step, const IterationEnded& ended);
// It is not known any more how much is needed.
void NeedsNoMoreOfProject(Builder& b);

}  // namespace capstan::task
