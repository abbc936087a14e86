#include "server/health_service.h"

#include <memory>
#include <optional>
#include <utility>

#include "capstan/v1/admin_service.grpc.pb.h"
#include "capstan/v1/catalog_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "core/text.h"
#include "server/methods.h"
#include "server/stream.h"

namespace capstan::server {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using Status = HealthCheckResponse::ServingStatus;

bool IsKnown(std::string_view service) {
  return service.empty() || service == v1::ExecutionService::service_full_name() ||
         service == v1::CatalogService::service_full_name() ||
         service == v1::AdminService::service_full_name() ||
         service == grpc::health::v1::Health::service_full_name();
}

Status StatusOf(bool ok) {
  return ok ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

// Says the state at once and then every change; changes that come while one is being written are
// told as the last of them.
class HealthStream final : public Stream<HealthCheckResponse> {
 public:
  using Stream::Stream;

  void Follow(HealthMonitor& monitor, bool known) {
    if (!known) return Say(HealthCheckResponse::SERVICE_UNKNOWN);
    const auto self = std::static_pointer_cast<HealthStream>(shared_from_this());
    const auto [key, ok] = monitor.AddListener([weak = std::weak_ptr(self)](bool now_ok) {
      if (const auto stream = weak.lock()) stream->Say(StatusOf(now_ok));
    });
    bool closed = false;
    {
      absl::MutexLock lock(&mu_);
      monitor_ = &monitor;
      key_ = key;
      closed = closed_;
      if (!next_) next_ = StatusOf(ok);
    }
    if (closed) monitor.RemoveListener(key);
    Pump();
  }

  bool needs_store() const override { return false; }  // it says that the store is away

  // What is still to be said (that it drains, above all) is said first.
  void End(const absl::Status& status) override {
    {
      absl::MutexLock lock(&mu_);
      ending_ = status;
    }
    Pump();
  }

 private:
  void Say(Status status) {
    {
      absl::MutexLock lock(&mu_);
      next_ = status;
    }
    Pump();
  }

  Turn Next(HealthCheckResponse& response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!next_ || next_ == said_) {
      if (!ending_) return Turn::kNothing;
      end_ = ending_;
      return Turn::kWork;
    }
    said_ = next_;
    response.set_status(*said_);
    return Turn::kWrite;
  }
  void HeartbeatDue() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {}  // only changes are said
  void Work() override {}
  void Closed() override {
    HealthMonitor* monitor = nullptr;
    int key = 0;
    {
      absl::MutexLock lock(&mu_);
      closed_ = true;
      monitor = monitor_;
      key = key_;
    }
    if (monitor != nullptr) monitor->RemoveListener(key);
  }

  std::optional<Status> next_ ABSL_GUARDED_BY(mu_);
  std::optional<Status> said_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mu_);
  HealthMonitor* monitor_ ABSL_GUARDED_BY(mu_) = nullptr;
  int key_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

grpc::ServerUnaryReactor* HealthServiceImpl::Check(grpc::CallbackServerContext* context,
                                                   const HealthCheckRequest* request,
                                                   HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  Rpc rpc(parts_, kHealthCheck, *context);
  absl::Status status;
  if (IsKnown(request->service())) {
    response->set_status(StatusOf(monitor_.status().ok()));
  } else {
    status = Error(absl::StatusCode::kNotFound, "SERVICE_NOT_FOUND",
                   "service: got a name that is not served here, want that of a service, or "
                   "nothing for the whole process");
  }
  Answer(reactor, rpc, status);
  return reactor;
}

grpc::ServerWriteReactor<HealthCheckResponse>* HealthServiceImpl::Watch(
    grpc::CallbackServerContext* context, const HealthCheckRequest* request) {
  auto stream = std::make_shared<HealthStream>(parts_, kHealthWatch, context);
  if (stream->Open()) stream->Follow(monitor_, IsKnown(request->service()));
  return stream.get();
}

}  // namespace capstan::server
