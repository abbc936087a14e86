// Requests that no client library would make, as bytes: they are refused before a handler runs,
// nothing is stored, and the server goes on. What gRPC answers is its own, not ours: UNIMPLEMENTED
// for bytes that do not parse (the callback API of 1.51 has no handler for them),
// RESOURCE_EXHAUSTED for a message over the receive limit.
#include <grpcpp/generic/generic_stub.h>

#include <future>

#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::size_t kReceiveLimit = 4 << 20;

class RawBytesTest : public ServiceTest {
 protected:
  // Calls a method of ExecutionService with these bytes. One that streams is refused without a
  // message, which looks like the end of a unary call.
  grpc::Status Call(const std::string& method, const std::string& bytes) {
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    grpc::GenericStub stub(server().NewChannel());
    std::promise<grpc::Status> answer;
    stub.UnaryCall(&context, "/capstan.v1.ExecutionService/" + method, {}, &request, &response,
                   [&](const grpc::Status& status) { answer.set_value(status); });
    return answer.get_future().get();
  }
  void ExpectNothingHappened() {
    EXPECT_THAT(server().spans().Spans(), IsEmpty()) << "every handler begins with a span";
    v1::ListExecutionsResponse response;
    grpc::ClientContext context;
    EXPECT_TRUE(server().executions().ListExecutions(&context, {}, &response).ok());
    EXPECT_EQ(response.executions_size(), 0);
    EXPECT_THAT(Accept(ScaleRequest()), StartsWith("executions/")) << "it goes on serving";
  }
  // An ExecuteActionRequest of about this size, with an unknown action of so many characters.
  static std::string RequestOf(std::size_t bytes) {
    v1::ExecuteActionRequest request;
    request.set_action(std::string(bytes, 'a'));
    return request.SerializeAsString();
  }
};

struct Bytes {
  const char* name;
  const char* method;
  std::string bytes;
};

class UnparsableTest : public RawBytesTest, public ::testing::WithParamInterface<Bytes> {};

TEST_P(UnparsableTest, IsRefusedBeforeAHandlerRuns) {
  const grpc::Status status = Call(GetParam().method, GetParam().bytes);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  ExpectNothingHappened();
}

INSTANTIATE_TEST_SUITE_P(, UnparsableTest,
                         ::testing::Values(
                             // Field 1 announces more bytes than there are.
                             Bytes{"CutOffUnary", "GetExecution",
                                   "\x0a\x7f"
                                   "executions/"},
                             Bytes{"CutOffBatch", "BatchExecuteActions", "\x0a\x7f\x12"},
                             Bytes{"CutOffSubmit", "ExecuteAction",
                                   "\x12\x7f"
                                   "Scale"},
                             Bytes{"CutOffWatch", "WatchExecution",
                                   "\x0a\x7f"
                                   "executions/"},
                             // A wire type that does not exist.
                             Bytes{"NoWireType", "ExecuteAction", "\x0f\x01"},
                             // Two bytes that are no UTF-8, in a string.
                             Bytes{"NoUtf8Unary", "GetExecution", "\x0a\x02\xff\xfe"},
                             Bytes{"NoUtf8InABatch", "BatchExecuteActions",
                                   "\x0a\x04\x12\x02\xff\xfe"},
                             Bytes{"NoUtf8Submit", "ExecuteAction", "\x12\x02\xff\xfe"},
                             Bytes{"NoUtf8Filter", "WatchExecutions", "\x0a\x02\xff\xfe"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(RawBytesTest, ARequestOverTheReceiveLimitIsRefusedBeforeAHandlerRuns) {
  EXPECT_EQ(Call("ExecuteAction", RequestOf(kReceiveLimit)).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Call("GetExecution", RequestOf(kReceiveLimit)).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);

  ExpectNothingHappened();
}

TEST_F(RawBytesTest, ARequestJustUnderTheReceiveLimitReachesItsHandlerAndIsRefusedThere) {
  const grpc::Status status = Call("ExecuteAction", RequestOf(kReceiveLimit - 100));

  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_LT(status.error_message().size(), 8192u) << "what was sent is not sent back whole";
}

}  // namespace
}  // namespace capstan::server
