// One Job and its pods as they were read: what the watch delivers, what a consistent read returns,
// what outcome.h judges. A plain value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

namespace capstan::kubernetes {

// A Job in one incarnation. The same name with another uid is another Job.
struct JobRef {
  std::string name_space = {};
  std::string name = {};
  std::string uid = {};
};

struct JobObservation {
  // False: no Job of that name, or one with another uid; every other field is then empty, pods
  // excepted: they outlive their Job for a while.
  bool found = false;
  std::string uid;
  std::string resource_version;
  bool armed = false;          // the annotation says so; never goes back
  bool suspended = false;      // spec.suspend
  bool being_deleted = false;  // has a deletionTimestamp
  nlohmann::json job;          // the whole object, without managedFields
  std::vector<nlohmann::json> pods;
};

// From a Job object. `uid` empty: whatever incarnation it is; otherwise another uid gives found =
// false.
JobObservation ObservationOf(nlohmann::json job, std::string_view uid,
                             std::vector<nlohmann::json> pods);

}  // namespace capstan::kubernetes
