// A Host on a real API server and the files of this machine.
#pragma once

#include <ostream>
#include <stop_token>
#include <string>

#include "action_program/host.h"
#include "worker/kubernetes/client.h"

namespace capstan::action_program {

inline constexpr size_t kMaxFileBytes = 1024 * 1024;  // what a Secret can hold

class ClientHost final : public Host {
 public:
  // Borrowed, all of them.
  ClientHost(kubernetes::Client& client, std::ostream& out, std::stop_token stop)
      : client_(client), out_(out), stop_(std::move(stop)) {}

  absl::StatusOr<Json> Get(Resource resource, std::string_view name_space,
                           std::string_view name) override;
  absl::StatusOr<Json> Create(Resource resource, std::string_view name_space,
                              const Json& object) override;
  absl::StatusOr<Json> Patch(Resource resource, std::string_view name_space, std::string_view name,
                             PatchType type, const Json& patch) override;
  absl::Status DeletePod(std::string_view name_space, std::string_view name, const std::string& uid,
                         absl::Duration grace) override;
  absl::StatusOr<std::string> ReadFile(const std::string& path) override;
  void Print(std::string_view line) override;

 private:
  kubernetes::CallOptions Options() const;

  kubernetes::Client& client_;
  std::ostream& out_;
  const std::stop_token stop_;
};

}  // namespace capstan::action_program
