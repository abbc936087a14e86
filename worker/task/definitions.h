// Definitions of workflows as the store has them; each is read once.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "capstan/v1/workflow.pb.h"
#include "storage/task_store.h"

namespace capstan::worker {

// Thread-safe.
class Definitions {
 public:
  explicit Definitions(storage::TaskStore& store) : store_(store) {}

  // NOT_FOUND: there is none; DATA_LOSS: it does not parse, or is not what its digest says;
  // UNAVAILABLE: try again.
  absl::StatusOr<std::shared_ptr<const v1::Workflow>> Find(const std::string& name,
                                                           const std::string& digest);

 private:
  storage::TaskStore& store_;
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<const v1::Workflow>> known_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::worker
