#include "tests/support/kubesim/events.h"

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {

void RecordWarning(ObjectStore& store, absl::Time now, const ObjectKey& about, const Json& object,
                   const std::string& component, const std::string& reason,
                   const std::string& message) {
  Json event = {{"involvedObject",
                 {{"kind", about.resource->kind},
                  {"apiVersion", ApiVersion(*about.resource)},
                  {"namespace", about.namespace_name},
                  {"name", about.name},
                  {"uid", TextAt(object, {"metadata", "uid"})}}},
                {"reason", reason},
                {"message", message},
                {"type", "Warning"},
                {"count", 1},
                {"firstTimestamp", Timestamp(now)},
                {"lastTimestamp", Timestamp(now)},
                {"source", {{"component", component}}},
                {"reportingComponent", component}};
  const Resource& events = *FindResource("events");
  store.Create({&events, about.namespace_name, Cat(about.name, ".", store.Revision())},
               std::move(event));
}

}  // namespace capstan::kubesim
