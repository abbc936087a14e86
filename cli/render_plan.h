// What a run would do, as text for people. Pure.
#pragma once

#include <string>

#include "capstan/v1/execution.pb.h"

namespace capstan::cli {

// Policy, conditions, what it touches and changes, how it would be undone, what the cluster says to
// its Job, and the digest: a line each.
std::string PlanText(const v1::Plan& plan);

}  // namespace capstan::cli
