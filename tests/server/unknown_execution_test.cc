// A name that nobody has: every method that takes one says so in the same way.
#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::HasSubstr;

using Stub = v1::ExecutionService::Stub;

template <class Request>
Request Named(const std::string& name) {
  Request request;
  request.set_name(name);
  return request;
}

// The end of a stream that says nothing.
template <class Response>
grpc::Status EndOf(std::unique_ptr<grpc::ClientReader<Response>> reader) {
  Response response;
  EXPECT_FALSE(reader->Read(&response)) << response.ShortDebugString();
  return reader->Finish();
}

struct Method {
  const char* name;
  grpc::Status (*call)(Stub& stub, grpc::ClientContext* context, const std::string& execution);
};

const Method kMethods[] = {
    {"GetExecution",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       v1::GetExecutionResponse response;
       return stub.GetExecution(context, Named<v1::GetExecutionRequest>(execution), &response);
     }},
    {"ListEvents",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       v1::ListEventsResponse response;
       return stub.ListEvents(context, Named<v1::ListEventsRequest>(execution), &response);
     }},
    {"CancelExecution",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       v1::CancelExecutionResponse response;
       return stub.CancelExecution(context, Named<v1::CancelExecutionRequest>(execution),
                                   &response);
     }},
    {"WatchExecution",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       return EndOf(stub.WatchExecution(context, Named<v1::WatchExecutionRequest>(execution)));
     }},
    {"ReadLog",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       return EndOf(stub.ReadLog(context, Named<v1::ReadLogRequest>(execution)));
     }},
    {"ReadLogToFollow",
     [](Stub& stub, grpc::ClientContext* context, const std::string& execution) {
       auto request = Named<v1::ReadLogRequest>(execution);
       request.set_follow(true);
       return EndOf(stub.ReadLog(context, request));
     }},
};

class UnknownExecutionTest : public ServiceTest, public ::testing::WithParamInterface<Method> {};

TEST_P(UnknownExecutionTest, IsNotFoundByName) {
  Accept(ScaleRequest());  // another one
  const std::string name = ExecutionName(ExecutionId::Make(absl::Now()));
  grpc::ClientContext context;

  const grpc::Status status = GetParam().call(server().executions(), &context, name);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr(name));
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "EXECUTION_NOT_FOUND");
  EXPECT_EQ(info.metadata().at("execution"), name);
  EXPECT_EQ(DetailOf<google::rpc::ResourceInfo>(status).resource_name(), name);
}

INSTANTIATE_TEST_SUITE_P(, UnknownExecutionTest, ::testing::ValuesIn(kMethods),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace capstan::server
