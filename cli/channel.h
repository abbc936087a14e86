#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace capstan::cli {

// A channel to host:port or unix:/path: plain text, or TLS when `ca_file` names the CA. Connects
// with the first call; a connection that went silent is found out by pings. INVALID_ARGUMENT when
// the file cannot be read.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const std::string& ca_file);

}  // namespace capstan::cli
