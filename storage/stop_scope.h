// Which launches an emergency stop covers.
#pragma once

#include <algorithm>

#include "absl/types/span.h"
#include "storage/types.h"

namespace capstan::storage {

inline bool Covers(const StopRow& stop, const LaunchScope& launch) {
  switch (stop.scope) {
    case StopScope::kAll:
      return true;
    case StopScope::kNamespace:
      return stop.subject == launch.name_space;
    case StopScope::kAction:
      return stop.subject == launch.action;
    case StopScope::kWorker:
      return stop.subject == launch.worker;
  }
  return true;  // written by a newer program: rather stop too much
}

// Null when none covers it.
inline const StopRow* FindCovering(absl::Span<const StopRow> stops, const LaunchScope& launch) {
  const auto found = std::find_if(stops.begin(), stops.end(),
                                  [&](const StopRow& stop) { return Covers(stop, launch); });
  return found == stops.end() ? nullptr : &*found;
}

}  // namespace capstan::storage
