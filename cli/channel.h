#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace capstan::cli {

// A channel to host:port or unix:/path: plain text, or TLS when `ca_file` names the CA. Connects
// with the first call; a connection that went silent is found out by pings. Every call says that it
// is made by `caller`, unless that is empty; servers believe it only for development.
// INVALID_ARGUMENT when the file cannot be read, or the caller is no name that a server takes.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const std::string& ca_file,
                                                           const std::string& caller);

}  // namespace capstan::cli
