// Gates of steps: whether a step may run, and, where a gate does not hold its step up
// (StepGate.MODE_REACTION), what its decision means for a step that has begun or ended.
//
// A model that judges and the script of a refused gate are worked on like an iteration: the same
// Transition::run and IterationEnded, with iteration 0 and attempts of their own (Gate.number).
#pragma once

#include <optional>
#include <string>

#include "core/task/task_builder.h"

namespace capstan::task {

// Of the step whose turn has come. A transition: the task ends, or goes back. Otherwise the step
// may run when `gate_passed` is set then.
std::optional<Transition> LookAtGate(Builder& builder, const v1::WorkflowStep& definition);

// Goes on with a gate that is not decided: begins a judgement or a script, asks people, or looks at
// criteria. A transition: the task ends, or goes back.
std::optional<Transition> WorkOnGate(Builder& builder, const v1::WorkflowStep& definition);

// A model is to judge, and could begin now.
bool WantsJudgement(const Builder& builder, const TaskState::Step& step);

// A judgement or a script came to its end.
Transition GateEnded(Builder builder, const IterationEnded& ended);

// Its worker is gone: what was reserved counts as spent, and it is done again.
void LoseGate(Builder& builder, TaskState::Step& step);

// Nothing of a gate counts any more: what is worked on is stopped, nobody is asked.
void DropGate(Builder& builder, TaskState::Step& step, const std::string& why);

// It is worked on, and does not only begin with this transition.
bool GateRunsAlready(const Builder& builder, const TaskState::Step& step);

// Takes back what was about to begin in this very transition.
void TakeBackGate(Builder& builder, TaskState::Step& step);

// Its judgement or script, as it is to be worked on.
StepRun GateRunOf(const Builder& builder, const TaskState::Step& step);

}  // namespace capstan::task
