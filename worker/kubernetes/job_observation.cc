#include "worker/kubernetes/job_observation.h"

#include <utility>

#include "core/kubernetes_names.h"
#include "worker/kubernetes/json_fields.h"

namespace capstan::kubernetes {

JobObservation ObservationOf(nlohmann::json job, std::string_view uid,
                             std::vector<nlohmann::json> pods) {
  JobObservation observation;
  observation.pods = std::move(pods);
  std::string job_uid = StringField(job, {"metadata", "uid"});
  if (job_uid.empty() || (!uid.empty() && job_uid != uid)) return observation;

  observation.found = true;
  observation.uid = std::move(job_uid);
  observation.resource_version = StringField(job, {"metadata", "resourceVersion"});
  observation.armed = StringField(job, {"metadata", "annotations", kArmedAnnotation}) == kArmedTrue;
  observation.suspended = BoolField(job, {"spec", "suspend"});
  observation.being_deleted = FindField(job, {"metadata", "deletionTimestamp"}) != nullptr;
  if (auto metadata = job.find("metadata"); metadata != job.end()) {
    metadata->erase("managedFields");
  }
  observation.job = std::move(job);
  return observation;
}

}  // namespace capstan::kubernetes
