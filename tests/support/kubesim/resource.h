// The kinds the simulated API server knows.
#pragma once

#include <string>
#include <string_view>

#include "absl/types/span.h"

namespace capstan::kubesim {

struct Resource {
  std::string_view group;  // "" is the core group
  std::string_view version;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
  bool namespaced = true;
  bool has_status = false;
  bool has_scale = false;
  bool has_log = false;
  bool has_eviction = false;
};

absl::Span<const Resource> AllResources();

// Null when there is none.
const Resource* FindResource(std::string_view group, std::string_view version,
                             std::string_view plural);
// "jobs", or "events.events.k8s.io" where a plural is in two groups.
const Resource* FindResource(std::string_view plural);

std::string ApiVersion(const Resource& resource);     // batch/v1
std::string QualifiedName(const Resource& resource);  // jobs.batch

}  // namespace capstan::kubesim
