// What a configuration must satisfy besides its types. Pure: no file is opened, no name is looked
// up.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "capstan/config/v1/server_config.pb.h"
#include "capstan/config/v1/worker_config.pb.h"

namespace capstan::config {

// INVALID_ARGUMENT with "<path>: got …, want …": print it and refuse to start.
absl::Status Validate(const v1::ServerConfig& config);
absl::Status Validate(const v1::WorkerConfig& config);

// True for 127.0.0.0/8, ::1, localhost (any port) and unix sockets. INVALID_ARGUMENT for what is
// neither host:port nor unix:/path.
absl::StatusOr<bool> IsLoopback(const std::string& address);

absl::Duration ToDuration(const google::protobuf::Duration& duration);

// The connection string of `store`, from dsn or from dsn_file. NOT_FOUND: the file cannot be read;
// INVALID_ARGUMENT: it is empty. The result is a secret: never log it.
absl::StatusOr<std::string> ReadDsn(const v1::StoreConfig& store);

}  // namespace capstan::config
