// What an action asks of the world: a cluster, files and somewhere to print. The program has one on
// kubernetes::Client; the simulated cluster has its own, so that the same actions run there.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/kubernetes/client.h"

namespace capstan::action_program {

using kubernetes::Json;
using kubernetes::PatchType;
using kubernetes::Resource;

// Errors of calls are those of worker/kubernetes/api_error.h. A write may be sent again after a
// lost reply: every write here is one for which twice is as good as once.
class Host {
 public:
  virtual ~Host() = default;

  virtual absl::StatusOr<Json> Get(Resource resource, std::string_view name_space,
                                   std::string_view name) = 0;
  virtual absl::StatusOr<Json> Create(Resource resource, std::string_view name_space,
                                      const Json& object) = 0;
  virtual absl::StatusOr<Json> Patch(Resource resource, std::string_view name_space,
                                     std::string_view name, PatchType type, const Json& patch) = 0;
  // ABORTED: the pod of that name has another uid.
  virtual absl::Status DeletePod(std::string_view name_space, std::string_view name,
                                 const std::string& uid, absl::Duration grace) = 0;

  // A file of the container. NOT_FOUND: it is not there.
  virtual absl::StatusOr<std::string> ReadFile(const std::string& path) = 0;

  // One line on standard output; never holds a secret value.
  virtual void Print(std::string_view line) = 0;
};

}  // namespace capstan::action_program
