// v1 Events that the controllers write about what they do.
#pragma once

#include <string>

#include "tests/support/kubesim/object_store.h"

namespace capstan::kubesim {

// A Warning about this object, by this component.
void RecordWarning(ObjectStore& store, absl::Time now, const ObjectKey& about, const Json& object,
                   const std::string& component, const std::string& reason,
                   const std::string& message);

}  // namespace capstan::kubesim
