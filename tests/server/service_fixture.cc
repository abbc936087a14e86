#include "tests/server/service_fixture.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "core/projection.h"
#include "core/text.h"

namespace capstan::server {
namespace {

template <class T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::abort();
}

storage::Observer Counting(const std::shared_ptr<std::atomic<std::int64_t>>& statements) {
  storage::Observer observer;
  observer.statement = [statements](std::string_view, absl::Duration, absl::StatusCode) {
    statements->fetch_add(1);
  };
  return observer;
}

std::string CatalogDirectory() { return Cat(CAPSTAN_SOURCE_DIR, "/catalog/actions"); }

}  // namespace

TestServer::TestServer(const TestServerOptions& options)
    : metrics_(registry_, AllMethods()),
      tracer_(telemetry::Tracer::CreateRecording(spans_)),
      statements_(std::make_shared<std::atomic<std::int64_t>>(0)),
      catalog_(Must(catalog::Catalog::Load(CatalogDirectory()))),
      reader_(Must(storage::OpenReader(options.store, Counting(statements_), clock_))),
      admin_store_(Must(storage::OpenAdminStore(options.store, Counting(statements_), clock_))),
      task_store_(Must(storage::OpenTaskStore(options.store, Counting(statements_), clock_))),
      submitter_(Must(storage::OpenSubmitter(options.store, Counting(statements_), clock_))),
      tailer_(Must(storage::OpenFeedTailer(options.store, Counting(statements_), clock_))),
      timer_(clock_, absl::Milliseconds(10)),
      pool_("reads", 2, 100),
      events_(*reader_, {}),
      hub_(*tailer_),
      tokens_(tailer_->database_id()),
      parts_{.catalog = catalog_,
             .submitter = *submitter_,
             .reader = *reader_,
             .admin = *admin_store_,
             .tasks = *task_store_,
             .tailer = *tailer_,
             .events = events_,
             .hub = hub_,
             .streams = streams_,
             .pool = pool_,
             .timer = timer_,
             .tokens = tokens_,
             .metrics = metrics_,
             .tracer = *tracer_,
             .clock = clock_,
             .options = options.service} {
  hub_.Start();
  health_ = std::make_unique<HealthMonitor>(clock_, absl::Milliseconds(50),
                                            [this] { return reader_->CheckReady(); });
  api_ = Must(ApiServer::Start(parts_, *health_, options.listen));
  const auto channel = NewChannel();
  executions_ = v1::ExecutionService::NewStub(channel);
  catalog_stub_ = v1::CatalogService::NewStub(channel);
  approvals_ = v1::ApprovalService::NewStub(channel);
  admin_ = v1::AdminService::NewStub(channel);
}

TestServer::~TestServer() {
  api_->Drain(absl::ZeroDuration());
  submitter_.reset();  // answers what is queued
  hub_.Stop();
  health_->Stop();
  pool_.Stop();
  events_.Stop();
  timer_.Stop();
}

std::shared_ptr<grpc::Channel> TestServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(Cat("127.0.0.1:", api_->port()),
                                   grpc::InsecureChannelCredentials(), arguments);
}

v1::ExecuteActionRequest ScaleRequest(const std::string& request_id) {
  v1::ExecuteActionRequest request;
  request.set_request_id(request_id);
  request.set_action("ScaleDeployment");
  auto& fields = *request.mutable_parameters()->mutable_fields();
  fields["deployment"].set_string_value("web");
  fields["namespace"].set_string_value("shop");
  fields["replicas"].set_number_value(3);
  return request;
}

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TestServer& ServiceTest::server() {
  if (server_ == nullptr) server_ = NewServer();
  return *server_;
}

std::unique_ptr<TestServer> ServiceTest::NewServer() {
  TestServerOptions options;
  options.service = service_;
  options.store = options_;
  return std::make_unique<TestServer>(options);
}

std::unique_ptr<ServiceTest::ExecuteStream> ServiceTest::Execute(
    const v1::ExecuteActionRequest& request) {
  return std::make_unique<ExecuteStream>([&](grpc::ClientContext* context) {
    return server().executions().ExecuteAction(context, request);
  });
}

std::unique_ptr<ServiceTest::WatchStream> ServiceTest::Watch(TestServer& server,
                                                             const std::string& name,
                                                             std::int64_t after_seq) {
  v1::WatchExecutionRequest request;
  request.set_name(name);
  request.set_after_seq(after_seq);
  return std::make_unique<WatchStream>([&](grpc::ClientContext* context) {
    return server.executions().WatchExecution(context, request);
  });
}

std::unique_ptr<ServiceTest::WatchAllStream> ServiceTest::WatchAll(TestServer& server,
                                                                   const std::string& filter,
                                                                   const std::string& cursor) {
  v1::WatchExecutionsRequest request;
  request.set_filter(filter);
  request.set_cursor(cursor);
  return std::make_unique<WatchAllStream>([&](grpc::ClientContext* context) {
    return server.executions().WatchExecutions(context, request);
  });
}

std::string ServiceTest::Accept(const v1::ExecuteActionRequest& request) {
  v1::ExecuteActionRequest accept = request;
  accept.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  const auto stream = Execute(accept);
  v1::ExecuteActionResponse response;
  EXPECT_TRUE(stream->Next(response));
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.update().snapshot().name();
}

v1::Execution ServiceTest::Get(const std::string& name) {
  grpc::ClientContext context;
  v1::GetExecutionRequest request;
  v1::GetExecutionResponse response;
  request.set_name(name);
  const grpc::Status status = server().executions().GetExecution(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.execution();
}

std::vector<v1::ExecutionEvent> ServiceTest::Events(const std::string& name) {
  grpc::ClientContext context;
  v1::ListEventsRequest request;
  v1::ListEventsResponse response;
  request.set_name(name);
  const grpc::Status status = server().executions().ListEvents(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return {response.events().begin(), response.events().end()};
}

grpc::Status ServiceTest::ExecuteStatus(const v1::ExecuteActionRequest& request) {
  const auto stream = Execute(request);
  stream->Rest();
  return stream->Finish();
}

storage::HeldExecution ServiceTest::Hold(const std::string& name) {
  if (worker_.IsNone()) worker_ = NewWorker();
  for (storage::HeldExecution& held : Claim(worker_)) held_[held.id] = held;
  return held_.at(*ParseExecutionName(name));
}

void ServiceTest::Store(storage::HeldExecution& held, const v1::ExecutionEvent& event) {
  storage::Commit commit;
  commit.id = held.id;
  commit.lease = held.lease;
  commit.expected_seq = held.last_seq;
  commit.state = event.has_state_changed() ? event.state_changed().to() : held.state;
  if (commit.state == v1::Execution::STATE_FAILED) {
    commit.failure_reason = event.state_changed().failure_reason();
  }
  commit.events.push_back(event.SerializeAsString());
  const absl::StatusOr<storage::CommitResult> result = Commit(std::move(commit));
  ASSERT_OK(result);
  ASSERT_EQ(*result, storage::CommitResult::kCommitted);
  ++held.last_seq;
  if (event.has_state_changed()) held.state = event.state_changed().to();
}

void ServiceTest::StoreState(storage::HeldExecution& held, v1::Execution::State to) {
  v1::ExecutionEvent event;
  event.mutable_state_changed()->set_from(held.state);
  event.mutable_state_changed()->set_to(to);
  if (to == v1::Execution::STATE_FAILED) {
    event.mutable_state_changed()->set_failure_reason(v1::Execution::FAILURE_REASON_JOB_FAILED);
  }
  Store(held, event);
}

void ServiceTest::RunToEnd(const std::string& name) {
  storage::HeldExecution held = Hold(name);
  StoreState(held, v1::Execution::STATE_VALIDATING);
  StoreState(held, v1::Execution::STATE_RUNNING);
  StoreState(held, v1::Execution::STATE_VERIFYING);
  StoreState(held, v1::Execution::STATE_SUCCEEDED);
}

}  // namespace capstan::server
