// Tasks as text for people: their steps, what they used, and how they ended. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "capstan/v1/execution.pb.h"
#include "cli/render_words.h"

namespace capstan::cli {

// RUNNING of STATE_RUNNING.
std::string StepWord(v1::StepStatus::State state);

// "2/3": the third iteration of the second attempt; empty when it has not begun.
std::string TryText(const v1::StepStatus& step);

// What it says for itself, or the execution that it waits for or has submitted; in one line.
std::string SaidText(const v1::StepStatus& step);

// How long its last attempt, with all its iterations, has taken at `now`; zero before it begins.
absl::Duration TimeOf(const v1::StepStatus& step, absl::Time now);

// "$1.23", "<=$1.23" when some of it is only known to be at most that.
std::string CostText(const v1::UsageTotals& usage);

// "in 1.2M, out 45.0k tokens, $1.23 of $5.00"; input is all that the models read, cached or not.
std::string UsageText(const v1::UsageTotals& usage, int64_t max_cost_microusd);

// "tests passed", "lint did not pass", "build was not run".
std::string CheckText(const v1::CheckResult& check);

// A line for each step, and below it the end of the output of the checks that did not pass.
std::string StepsText(const v1::Execution& execution);

// "3/5": steps that are done.
std::string ProgressText(const v1::Execution& execution);

// The rows that the details of a task have in place of an action's: name and value.
std::vector<std::vector<std::string>> TaskRows(const v1::Execution& execution);

// After the state and the message of an ended task: its steps, what it used, where its work is, and
// what to do next.
std::string TaskEndText(const v1::Execution& execution, const Invocation& invocation);

// That a step waits for a yes or for an answer, and how to give it.
std::string TaskAwaitsText(const v1::Execution& execution, const Invocation& invocation);

}  // namespace capstan::cli
