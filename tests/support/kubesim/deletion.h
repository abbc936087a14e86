// Deleting as the API server does it: preconditions, propagation policy, grace.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

inline constexpr std::string_view kForegroundFinalizer = "foregroundDeletion";
inline constexpr std::string_view kOrphanFinalizer = "orphan";
inline constexpr std::string_view kJobTrackingFinalizer = "batch.kubernetes.io/job-tracking";

enum class Propagation { kForeground, kBackground, kOrphan };

struct DeleteOptions {
  Propagation propagation = Propagation::kBackground;
  std::optional<int64_t> grace_seconds;
  std::string uid;               // "" for no precondition
  std::string resource_version;  // "" for no precondition
};

struct DeleteResult {
  enum class Outcome { kNotFound, kConflict, kMarked, kGone };
  Outcome outcome = Outcome::kNotFound;
  std::string conflict;  // why, for kConflict
  Object object;         // the last state seen
};

// Marks or removes the object; dependents follow by the garbage collector (kOrphan lets go of them
// here).
DeleteResult DeleteObject(ObjectStore& store, absl::Time now, const ObjectKey& key,
                          const DeleteOptions& options);

}  // namespace capstan::kubesim
