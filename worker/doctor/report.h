// What a doctor found, as text and as JSON. Pure.
#pragma once

#include <string>
#include <vector>

#include "worker/doctor/diagnosis.h"

namespace capstan::doctor {

struct Report {
  std::vector<Check> checks;

  bool ok() const;
  // A table of all checks, then one line that counts them.
  std::string Text() const;
  // {ok, checks: [{subject, check, finding, message}]}
  std::string ToJson() const;
};

}  // namespace capstan::doctor
