#include "cli/channel.h"

#include <grpcpp/grpcpp.h>

#include <fstream>
#include <sstream>

#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kPingMilliseconds = 20'000;  // servers send a heartbeat every 10 s, so pings are rare
constexpr int kPingTimeoutMilliseconds = 10'000;
constexpr int kMaxMessageBytes = 16 << 20;

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const std::string& ca_file) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!ca_file.empty()) {
    std::ifstream file(ca_file, std::ios::binary);
    std::ostringstream pem;
    if (!file || !(pem << file.rdbuf())) {
      return absl::InvalidArgumentError(
          Cat("--ca-file: ", ca_file, " cannot be read, or is empty"));
    }
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = pem.str();
    credentials = grpc::SslCredentials(options);
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingMilliseconds);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMilliseconds);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace capstan::cli
