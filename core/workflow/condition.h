// Conditions of steps, gates and loops.
#pragma once

#include "capstan/v1/workflow.pb.h"
#include "core/workflow/values.h"

namespace capstan::workflow {

// Whether it holds. Total: a field that does not exist makes every operator but NEQ false; types
// that do not fit are unequal and not ordered. A condition without anything in it holds.
bool Holds(const v1::StepCondition& condition, const Values& values);

}  // namespace capstan::workflow
