// A whole server of this process on a real database, called over a real socket; and a hand-driven
// worker that stores what a real one would.
#pragma once

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "capstan/v1/admin_service.grpc.pb.h"
#include "capstan/v1/approval_service.grpc.pb.h"
#include "capstan/v1/catalog_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "core/telemetry/span_recorder.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/api_server.h"
#include "server/methods.h"
#include "tests/storage/store_fixture.h"

namespace capstan::server {

struct TestServerOptions {
  ServiceOptions service;
  ListenOptions listen = {.address = "127.0.0.1:0"};
  storage::StoreOptions store;
};

// Starts with its constructor (a failure ends the process), stops with its destructor.
class TestServer {
 public:
  explicit TestServer(const TestServerOptions& options);
  ~TestServer();

  // A channel of its own for each call.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  v1::ExecutionService::Stub& executions() { return *executions_; }
  v1::CatalogService::Stub& catalog() { return *catalog_stub_; }
  v1::ApprovalService::Stub& approvals() { return *approvals_; }
  v1::AdminService::Stub& admin() { return *admin_; }

  ApiServer& api() { return *api_; }
  const Parts& parts() const { return parts_; }
  HealthMonitor& health() { return *health_; }
  OpenStreams& streams() { return streams_; }
  const telemetry::ServerMetrics& metrics() const { return metrics_; }
  telemetry::SpanRecorder& spans() { return spans_; }
  // Statements sent to the database by this server.
  std::int64_t statements() const { return statements_->load(); }

 private:
  SystemClock clock_;
  telemetry::MetricsRegistry registry_;
  telemetry::ServerMetrics metrics_;
  telemetry::SpanRecorder spans_;
  std::unique_ptr<telemetry::Tracer> tracer_;
  std::shared_ptr<std::atomic<std::int64_t>> statements_;
  catalog::Catalog catalog_;
  std::unique_ptr<storage::Reader> reader_;
  std::unique_ptr<storage::AdminStore> admin_store_;
  std::unique_ptr<storage::TaskStore> task_store_;
  std::unique_ptr<storage::Submitter> submitter_;
  std::unique_ptr<storage::FeedTailer> tailer_;
  OpenStreams streams_;
  Timer timer_;
  WorkPool pool_;
  EventReader events_;
  WatchHub hub_;
  TokenMaker tokens_;
  Parts parts_;
  std::unique_ptr<HealthMonitor> health_;
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<v1::ExecutionService::Stub> executions_;
  std::unique_ptr<v1::CatalogService::Stub> catalog_stub_;
  std::unique_ptr<v1::ApprovalService::Stub> approvals_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// ScaleDeployment of web in shop to 3.
v1::ExecuteActionRequest ScaleRequest(const std::string& request_id = "");

// What a failed call carries.
google::rpc::Status DetailsOf(const grpc::Status& status);
template <class Detail>
Detail DetailOf(const grpc::Status& status) {
  Detail detail;
  const google::rpc::Status all = DetailsOf(status);
  for (const auto& any : all.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  ADD_FAILURE() << "no " << Detail::descriptor()->full_name() << " in " << all.ShortDebugString();
  return detail;
}

// One open stream of updates.
template <class Response>
class UpdateStream {
 public:
  template <class Open>
  explicit UpdateStream(Open open) : reader_(open(&context_)) {}

  // The next message that is no heartbeat; false at the end.
  bool Next(Response& response) {
    while (reader_->Read(&response)) {
      if (!response.update().has_heartbeat()) return true;
    }
    return false;
  }
  bool NextOfAnyKind(Response& response) { return reader_->Read(&response); }
  // All up to the end but heartbeats.
  std::vector<Response> Rest() {
    std::vector<Response> all;
    Response response;
    while (Next(response)) all.push_back(response);
    return all;
  }
  grpc::Status Finish() { return reader_->Finish(); }
  grpc::ClientContext& context() { return context_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Response>> reader_;
};

class ServiceTest : public storage::StoreTest {
 protected:
  using StoreTest::StoreTest;

  // The server under test, started when first asked for; set options_ and service_ before.
  TestServer& server();
  std::unique_ptr<TestServer> NewServer();

  using ExecuteStream = UpdateStream<v1::ExecuteActionResponse>;
  using WatchStream = UpdateStream<v1::WatchExecutionResponse>;
  using WatchAllStream = UpdateStream<v1::WatchExecutionsResponse>;
  std::unique_ptr<ExecuteStream> Execute(const v1::ExecuteActionRequest& request);
  std::unique_ptr<WatchStream> Watch(TestServer& server, const std::string& name,
                                     std::int64_t after_seq = 0);
  std::unique_ptr<WatchAllStream> WatchAll(TestServer& server, const std::string& filter,
                                           const std::string& cursor = "");

  // Calls that must succeed. Accept returns the execution's name.
  std::string Accept(const v1::ExecuteActionRequest& request);
  v1::Execution Get(const std::string& name);
  std::vector<v1::ExecutionEvent> Events(const std::string& name);
  // Status of ExecuteAction, after its stream has ended.
  grpc::Status ExecuteStatus(const v1::ExecuteActionRequest& request);

  // The worker: holds everything that was submitted so far.
  storage::HeldExecution Hold(const std::string& name);
  // Stores the next event and moves `held` on.
  void Store(storage::HeldExecution& held, const v1::ExecutionEvent& event);
  void StoreState(storage::HeldExecution& held, v1::Execution::State to);
  // From accepted to SUCCEEDED in four events.
  void RunToEnd(const std::string& name);

  ServiceOptions service_ = {.heartbeat_interval = absl::Milliseconds(200)};

 private:
  std::unique_ptr<TestServer> server_;
  WorkerId worker_;
  std::map<ExecutionId, storage::HeldExecution> held_;
};

}  // namespace capstan::server
