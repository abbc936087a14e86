// The gRPC server: listener, limits, services, drain.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admin_service.h"
#include "server/approval_service.h"
#include "server/catalog_service.h"
#include "server/execution_service.h"
#include "server/health.h"
#include "server/health_service.h"
#include "server/parts.h"

namespace capstan::server {

struct Tls {
  std::string certificate_chain;  // PEM, as the next ones
  std::string private_key;
  std::string client_ca;  // set: a client without a certificate of theirs is refused
};

struct ListenOptions {
  std::string address;  // host:port or unix:/path
  std::optional<Tls> tls =
      std::nullopt;  // without, only a loopback address or a unix socket is accepted
  bool reflection = true;
};

class ApiServer {
 public:
  // Serves. INVALID_ARGUMENT: plain text on an address that is not loopback, or not an address.
  // UNAVAILABLE: it cannot be listened on, or the certificate is no good; end the program. The
  // parts' streams must outlive `health`.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const Parts& parts, HealthMonitor& health,
                                                          const ListenOptions& options);
  // Cuts off what is still going on.
  ~ApiServer();

  // 0 for a unix socket.
  int port() const { return port_; }

  // Accepts nothing new, ends streams with UNAVAILABLE and RetryInfo, lets unary calls finish for
  // at most `timeout`, then cuts them off. New calls are answered UNAVAILABLE for a moment before
  // their connections end. Idempotent.
  void Drain(absl::Duration timeout);

 private:
  ApiServer(const Parts& parts, HealthMonitor& health);

  const Parts& parts_;
  HealthMonitor& health_;
  ExecutionServiceImpl executions_;
  CatalogServiceImpl catalog_;
  ApprovalServiceImpl approvals_;
  AdminServiceImpl admin_;
  HealthServiceImpl health_service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace capstan::server
