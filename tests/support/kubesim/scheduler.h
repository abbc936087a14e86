// Which node a pod goes to.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// The ready, uncordoned node with the fewest pods that `pod` tolerates and selects; resources are
// not counted. RESOURCE_EXHAUSTED: there is none; the message is that of the real scheduler.
absl::StatusOr<std::string> PickNode(const ObjectStore& store, const Json& pod);

// The entry of a list such as status.conditions with this type is True.
bool IsTrueCondition(const Json& object, const char* type);

}  // namespace capstan::kubesim
