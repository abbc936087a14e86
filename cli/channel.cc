#include "cli/channel.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kPingMilliseconds = 20'000;  // servers send a heartbeat every 10 s, so pings are rare
constexpr int kPingTimeoutMilliseconds = 10'000;
constexpr int kMaxMessageBytes = 16 << 20;
constexpr size_t kMaxCallerBytes = 253;  // what the server takes
constexpr char kCallerKey[] = "capstan-caller";

using grpc::experimental::InterceptionHookPoints;

// Adds who is calling to the metadata of one call.
class CallerInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit CallerInterceptor(std::string caller) : caller_(std::move(caller)) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert({kCallerKey, caller_});
    }
    methods->Proceed();
  }

 private:
  const std::string caller_;
};

class CallerInterceptorFactory final
    : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit CallerInterceptorFactory(std::string caller) : caller_(std::move(caller)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new CallerInterceptor(caller_);  // gRPC owns it
  }

 private:
  const std::string caller_;
};

absl::Status CheckCaller(const std::string& caller) {
  const bool plain =
      caller.size() <= kMaxCallerBytes &&
      std::all_of(caller.begin(), caller.end(), [](char c) { return absl::ascii_isgraph(c); });
  if (plain) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat("--caller: got \"", caller.substr(0, kMaxCallerBytes),
                                        "\", want at most ", kMaxCallerBytes,
                                        " visible ASCII characters without spaces"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address,
                                                           const std::string& ca_file,
                                                           const std::string& caller) {
  CAPSTAN_RETURN_IF_ERROR(CheckCaller(caller));
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
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  if (!caller.empty()) interceptors.push_back(std::make_unique<CallerInterceptorFactory>(caller));
  return grpc::experimental::CreateCustomChannelWithInterceptors(address, credentials, arguments,
                                                                 std::move(interceptors));
}

}  // namespace capstan::cli
