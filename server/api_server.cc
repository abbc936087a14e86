#include "server/api_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "core/config/validate.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::server {
namespace {

constexpr int kMaxReceiveBytes = 4 << 20;
constexpr std::size_t kMaxBufferBytes = 512 << 20;  // of gRPC, for all connections together
constexpr int kMaxStreamsPerConnection = 4096;

// Connections: noticed when they die, allowed to ping, closed now and then so that load spreads
// over new servers (gRPC spreads the moment itself).
constexpr absl::Duration kKeepaliveTime = absl::Seconds(60);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);
constexpr absl::Duration kLeastPingInterval = absl::Seconds(30);
constexpr absl::Duration kConnectionAge = absl::Minutes(30);
constexpr absl::Duration kConnectionAgeGrace = absl::Minutes(5);

// How long a draining server goes on to say UNAVAILABLE to new calls: longer than a round trip.
constexpr absl::Duration kFarewell = absl::Milliseconds(250);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// Linking the reflection library turns reflection on for every server of the process: this takes it
// out again.
class NoReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return absl::StrContains(plugin->name(), "reflection");
    });
  }
};

std::shared_ptr<grpc::ServerCredentials> Credentials(const std::optional<Tls>& tls) {
  if (!tls) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      tls->client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                             : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls->client_ca;
  options.pem_key_cert_pairs.push_back({tls->private_key, tls->certificate_chain});
  return grpc::SslServerCredentials(options);
}

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("capstan-server").Resize(kMaxBufferBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveTime));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             Milliseconds(kLeastPingInterval));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(kConnectionAge));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             Milliseconds(kConnectionAgeGrace));
  // A second server on the port would take half of the calls without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const Parts& parts,
                                                            HealthMonitor& health,
                                                            const ListenOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const bool loopback, config::IsLoopback(options.address));
  if (!loopback && !options.tls) {
    return absl::InvalidArgumentError(
        Cat("listen.address: got ", options.address,
            " without TLS, want a loopback address, a unix socket, or listen.tls"));
  }
  if (!loopback && parts.options.development_identity) {
    return absl::InvalidArgumentError(Cat("listen.development_identity: got true on ",
                                          options.address,
                                          ", want it only on a loopback address or a unix socket"));
  }
  std::unique_ptr<ApiServer> api(new ApiServer(parts, health));
  // Before the builder is made: it copies the list of plugins.
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!options.reflection) builder.SetOption(std::make_unique<NoReflection>());
  builder.AddListeningPort(options.address, Credentials(options.tls), &api->port_);
  SetLimits(builder);
  builder.RegisterService(&api->executions_);
  builder.RegisterService(&api->catalog_);
  builder.RegisterService(&api->approvals_);
  builder.RegisterService(&api->admin_);
  builder.RegisterService(&api->health_service_);
  api->server_ = builder.BuildAndStart();
  const bool is_unix = absl::StartsWith(options.address, "unix:");
  if (api->server_ == nullptr || (api->port_ == 0 && !is_unix)) {
    return absl::UnavailableError(
        Cat("cannot listen on ", options.address,
            options.tls ? ": it is in use, or listen.tls holds no certificate with its key"
                        : ": it is in use, or not an address of this machine"));
  }
  if (is_unix) api->port_ = 0;
  // A stream that only waits would not notice that nothing can come.
  health.WhenAwayFor(parts.options.store_patience,
                     [&streams = parts.streams] { streams.EndThoseThatNeedTheStore(); });
  return api;
}

ApiServer::ApiServer(const Parts& parts, HealthMonitor& health)
    : parts_(parts),
      health_(health),
      executions_(parts),
      catalog_(parts),
      approvals_(parts),
      admin_(parts),
      health_service_(parts, health) {}

ApiServer::~ApiServer() { Drain(absl::ZeroDuration()); }

void ApiServer::Drain(absl::Duration timeout) {
  if (server_ == nullptr) return;
  parts_.metrics.draining.Set(1);
  health_.SetDraining();  // its watchers are told before their streams end
  parts_.streams.Drain();
  const absl::Time end = absl::Now() + timeout;
  // gRPC ends calls that come after its shutdown and before their client has heard of it with
  // CANCELLED, as if somebody had left. For a moment we answer them ourselves.
  parts_.clock.SleepFor(std::min(timeout, kFarewell), std::stop_token());
  server_->Shutdown(absl::ToChronoTime(end));
  server_->Wait();
  server_.reset();
}

}  // namespace capstan::server
