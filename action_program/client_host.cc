#include "action_program/client_host.h"

#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/file.h"

namespace capstan::action_program {

kubernetes::CallOptions ClientHost::Options() const {
  kubernetes::CallOptions options;
  options.stop = stop_;
  options.repeat = kubernetes::Repeat::kAlways;
  return options;
}

absl::StatusOr<Json> ClientHost::Get(Resource resource, std::string_view name_space,
                                     std::string_view name) {
  return client_.Get(resource, name_space, name, Options());
}

absl::StatusOr<Json> ClientHost::Create(Resource resource, std::string_view name_space,
                                        const Json& object) {
  return client_.Create(resource, name_space, object.dump(), Options());
}

absl::StatusOr<Json> ClientHost::Patch(Resource resource, std::string_view name_space,
                                       std::string_view name, PatchType type, const Json& patch) {
  return client_.Patch(resource, name_space, name, type, patch, Options());
}

absl::Status ClientHost::DeletePod(std::string_view name_space, std::string_view name,
                                   const std::string& uid, absl::Duration grace) {
  kubernetes::CallOptions options = Options();
  options.grace = grace;
  return client_.Delete(kubernetes::kPods, name_space, name, kubernetes::Propagation::kBackground,
                        {.uid = uid, .resource_version = {}}, options);
}

absl::StatusOr<std::string> ClientHost::ReadFile(const std::string& path) {
  return kubernetes::ReadSmallFile(path, kMaxFileBytes);
}

void ClientHost::Print(std::string_view line) { out_ << line << std::endl; }

}  // namespace capstan::action_program
