// ExecuteAction and its refusals, over a real socket and a real Postgres.
#include <set>
#include <thread>

#include "server/validate.h"
#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

using v1::Execution;

constexpr char kRequestId[] = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

class ExecuteTest : public ServiceTest {};

google::protobuf::Value Number(double number) {
  google::protobuf::Value value;
  value.set_number_value(number);
  return value;
}

TEST_F(ExecuteTest, S2_1_TheFirstMessageIsASnapshotOfWhatIsStored) {
  v1::ExecuteActionRequest request = ScaleRequest(kRequestId);
  request.mutable_parent()->set_name("wf-1");
  request.mutable_parent()->set_step(2);
  (*request.mutable_labels())["team"] = "a";
  const auto stream = Execute(request);

  v1::ExecuteActionResponse first;
  ASSERT_TRUE(stream->Next(first));

  const Execution& snapshot = first.update().snapshot();
  EXPECT_THAT(snapshot.name(), StartsWith("executions/"));
  EXPECT_FALSE(first.deduplicated());
  EXPECT_EQ(snapshot.state(), Execution::STATE_PENDING);
  EXPECT_EQ(snapshot.seq(), 1);
  EXPECT_EQ(snapshot.request_id(), kRequestId);
  EXPECT_EQ(snapshot.priority(), 3);
  EXPECT_EQ(snapshot.timeout().seconds(), 300) << "the action's default";
  EXPECT_EQ(snapshot.parent().name(), "wf-1");
  EXPECT_EQ(snapshot.labels().at("team"), "a");
  EXPECT_EQ(snapshot.target().kind(), "Deployment");
  EXPECT_EQ(snapshot.target().namespace_(), "shop");
  EXPECT_EQ(snapshot.target().name(), "web");
  EXPECT_EQ(snapshot.correlation_id(), ParseExecutionName(snapshot.name())->ToHex());
  EXPECT_EQ(snapshot.queue_deadline().seconds() - snapshot.create_time().seconds(), 3600);
  EXPECT_EQ(Count("execution"), 1);
}

TEST_F(ExecuteTest, TheStreamTellsEveryEventOnceAndEndsOkAfterTheTerminalOne) {
  const auto stream = Execute(ScaleRequest());
  v1::ExecuteActionResponse first;
  ASSERT_TRUE(stream->Next(first));

  RunToEnd(first.update().snapshot().name());
  std::vector<std::int64_t> seqs;
  Execution::State last = Execution::STATE_UNSPECIFIED;
  for (const auto& response : stream->Rest()) {
    ASSERT_TRUE(response.update().has_event());
    EXPECT_FALSE(response.deduplicated());
    seqs.push_back(response.update().event().seq());
    last = response.update().event().state_changed().to();
  }

  EXPECT_THAT(seqs, ElementsAre(1, 2, 3, 4, 5)) << "also those the snapshot reflects";
  EXPECT_EQ(last, Execution::STATE_SUCCEEDED);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ExecuteTest, WaitUntilAcceptedEndsAfterTheSnapshot) {
  v1::ExecuteActionRequest request = ScaleRequest();
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);

  const auto stream = Execute(request);

  EXPECT_THAT(stream->Rest(), SizeIs(1));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ExecuteTest, TheSameRequestIdAndBodyGiveTheSameExecution) {
  const std::string first = Accept(ScaleRequest(kRequestId));

  const auto stream = Execute(ScaleRequest(kRequestId));
  v1::ExecuteActionResponse again;
  ASSERT_TRUE(stream->Next(again));

  EXPECT_EQ(again.update().snapshot().name(), first);
  EXPECT_TRUE(again.deduplicated());
  EXPECT_EQ(Count("execution"), 1);
}

TEST_F(ExecuteTest, WaitUntilIsNotPartOfTheBody) {
  v1::ExecuteActionRequest request = ScaleRequest(kRequestId);
  const std::string first = Accept(request);
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_TERMINAL);

  const auto stream = Execute(request);
  v1::ExecuteActionResponse again;
  ASSERT_TRUE(stream->Next(again));

  EXPECT_EQ(again.update().snapshot().name(), first);
}

TEST_F(ExecuteTest, S2_9_SixtyFourCallersWithOneRequestIdMakeOneExecution) {
  server();
  std::vector<std::thread> callers;
  std::vector<std::string> names(64);
  for (std::string& name : names) {
    callers.emplace_back([&] { name = Accept(ScaleRequest(kRequestId)); });
  }
  for (std::thread& caller : callers) caller.join();

  EXPECT_THAT(std::set<std::string>(names.begin(), names.end()), SizeIs(1));
  EXPECT_EQ(Count("execution"), 1);
}

TEST_F(ExecuteTest, ARequestIdUsedWithAnotherBodyIsRefusedAndNamesTheOther) {
  const std::string first = Accept(ScaleRequest(kRequestId));
  v1::ExecuteActionRequest other = ScaleRequest(kRequestId);
  (*other.mutable_parameters()->mutable_fields())["replicas"] = Number(5);

  const grpc::Status status = ExecuteStatus(other);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info.reason(), "REQUEST_ID_REUSED");
  EXPECT_EQ(info.domain(), "capstan.dev");
  EXPECT_EQ(info.metadata().at("execution"), first);
  EXPECT_EQ(Count("execution"), 1);
}

TEST_F(ExecuteTest, LeavingTheStreamCancelsNothing) {
  const auto stream = Execute(ScaleRequest());
  v1::ExecuteActionResponse first;
  ASSERT_TRUE(stream->Next(first));
  stream->context().TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);

  RunToEnd(first.update().snapshot().name());

  EXPECT_EQ(Get(first.update().snapshot().name()).state(), Execution::STATE_SUCCEEDED);
}

TEST_F(ExecuteTest, TheCallersTraceIsStoredAndGivesTheCorrelationId) {
  v1::ExecuteActionRequest request = ScaleRequest();
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  context.AddMetadata("tracestate", "vendor=1");
  const auto reader = server().executions().ExecuteAction(&context, request);
  v1::ExecuteActionResponse response;
  ASSERT_TRUE(reader->Read(&response));
  ASSERT_FALSE(reader->Read(&response));
  ASSERT_TRUE(reader->Finish().ok());

  const auto events = Events("executions/" + Sql("SELECT id::text FROM execution"));
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].correlation_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_THAT(events[0].accepted().traceparent(), HasSubstr("0af7651916cd43dd8448eb211c80319c"));
  EXPECT_EQ(events[0].accepted().tracestate(), "vendor=1");
  const auto spans = server().spans().WaitFor("submit", 1, absl::Seconds(10));
  ASSERT_THAT(spans, SizeIs(1));
  EXPECT_EQ(spans[0].context.TraceIdHex(), "0af7651916cd43dd8448eb211c80319c");
}

// ---- bad input: a precise error that names the field, and nothing stored

struct BadInput {
  const char* name;
  void (*change)(v1::ExecuteActionRequest&);
  const char* field;
  const char* message;  // part of it
  const char* reason;
};

void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }

void SetParameter(v1::ExecuteActionRequest& request, const char* name,
                  const google::protobuf::Value& value) {
  (*request.mutable_parameters()->mutable_fields())[name] = value;
}

google::protobuf::Value Text(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  return value;
}

constexpr char kInvalid[] = "INVALID_REQUEST";

const BadInput kBadInputs[] = {
    {"S2_7_EmptyRequest", [](auto& r) { r.Clear(); }, "action", "ScaleDeployment",
     "UNKNOWN_ACTION"},
    {"S2_7_UnknownAction", [](auto& r) { r.set_action("ScaleDeploymen"); }, "action",
     "want one of: ", "UNKNOWN_ACTION"},
    {"S2_8_MissingParameter",
     [](auto& r) { r.mutable_parameters()->mutable_fields()->erase("replicas"); },
     "parameters.replicas", "", kInvalid},
    {"S2_8_ExtraParameter", [](auto& r) { SetParameter(r, "force", Text("yes")); },
     "parameters.force", "", kInvalid},
    {"S2_8_StringWhereAnIntegerIsWanted", [](auto& r) { SetParameter(r, "replicas", Text("3")); },
     "parameters.replicas", "integer", kInvalid},
    {"S2_8_Fraction", [](auto& r) { SetParameter(r, "replicas", Number(2.5)); },
     "parameters.replicas", "integer", kInvalid},
    {"S2_8_Negative", [](auto& r) { SetParameter(r, "replicas", Number(-1)); },
     "parameters.replicas", "negative", kInvalid},
    {"S2_8_TooLarge", [](auto& r) { SetParameter(r, "replicas", Number(1001)); },
     "parameters.replicas", "too large", kInvalid},
    {"ParametersOverTheirLimit",
     [](auto& r) { SetParameter(r, "deployment", Text(std::string(2 << 20, 'a'))); }, "parameters",
     "", kInvalid},
    {"RequestIdThatIsNoUuid", [](auto& r) { r.set_request_id("retry-1"); }, "request_id",
     "got \"retry-1\", want a UUID", kInvalid},
    {"S2_12_TimeoutOverTheMaximum", [](auto& r) { r.mutable_timeout()->set_seconds(3600); },
     "timeout", "", kInvalid},
    {"S2_12_NegativeTimeout", [](auto& r) { r.mutable_timeout()->set_seconds(-1); }, "timeout", "",
     kInvalid},
    {"TimeoutThatIsNoDuration", [](auto& r) { r.mutable_timeout()->set_nanos(2'000'000'000); },
     "timeout", "", kInvalid},
    {"PriorityOutOfRange", [](auto& r) { r.set_priority(6); }, "priority", "got 6, want 1",
     kInvalid},
    {"LabelKeyInCapitals", [](auto& r) { (*r.mutable_labels())["Team"] = "a"; }, "labels",
     "got key \"Team\"", kInvalid},
    {"LabelValueTooLong", [](auto& r) { (*r.mutable_labels())["team"] = std::string(129, 'a'); },
     "labels.team", "got 129 bytes, want at most 128", kInvalid},
    {"ParentWithoutAName", [](auto& r) { r.mutable_parent()->set_step(1); }, "parent.name", "",
     kInvalid},
    {"S2_1_ParentWithoutAStep", [](auto& r) { r.mutable_parent()->set_name("wf"); }, "parent.step",
     "got 0, want a step number from 1", kInvalid},
};

class BadInputTest : public ServiceTest, public ::testing::WithParamInterface<BadInput> {};

TEST_P(BadInputTest, IsRefusedByNameAndNothingIsStored) {
  v1::ExecuteActionRequest request = ScaleRequest(kRequestId);
  GetParam().change(request);

  const grpc::Status status = ExecuteStatus(request);

  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith(std::string(GetParam().field)));
  EXPECT_THAT(status.error_message(), HasSubstr(GetParam().message));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), GetParam().reason);
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_GE(bad_request.field_violations_size(), 1);
  EXPECT_THAT(bad_request.field_violations(0).field(), StartsWith(GetParam().field));
  EXPECT_EQ(Count("execution"), 0);
  EXPECT_EQ(Count("request_key"), 0);
}

INSTANTIATE_TEST_SUITE_P(, BadInputTest, ::testing::ValuesIn(kBadInputs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(ExecuteTest, EveryViolationIsReportedAtOnce) {
  v1::ExecuteActionRequest request = ScaleRequest("retry-1");
  request.set_priority(9);
  SetParameter(request, "replicas", Number(-1));

  const auto bad_request = DetailOf<google::rpc::BadRequest>(ExecuteStatus(request));

  std::vector<std::string> fields;
  for (const auto& violation : bad_request.field_violations()) fields.push_back(violation.field());
  EXPECT_THAT(fields, ElementsAre("request_id", "priority", "parameters.replicas"));
}

TEST_F(ExecuteTest, AWholeNumberWrittenAsAFractionIsAnInteger) {
  EXPECT_THAT(Accept(ScaleRequest()), StartsWith("executions/")) << "3.0 is how JSON carries 3";
}

// ---- batches

TEST_F(ExecuteTest, ABatchAnswersEachItemInItsPlace) {
  v1::BatchExecuteActionsRequest request;
  *request.add_requests() = ScaleRequest(kRequestId);
  *request.add_requests() = ScaleRequest();
  request.mutable_requests(1)->set_action("Nothing");
  *request.add_requests() = ScaleRequest();
  *request.add_requests() = ScaleRequest(kRequestId);
  v1::BatchExecuteActionsResponse response;
  grpc::ClientContext context;

  const grpc::Status status =
      server().executions().BatchExecuteActions(&context, request, &response);

  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.results_size(), 4);
  EXPECT_THAT(response.results(0).execution(), StartsWith("executions/"));
  EXPECT_EQ(response.results(0).status().code(), 0);
  EXPECT_EQ(response.results(1).status().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(response.results(1).execution(), IsEmpty());
  EXPECT_THAT(response.results(2).execution(), StartsWith("executions/"));
  EXPECT_EQ(response.results(3).execution(), response.results(0).execution());
  EXPECT_EQ(Count("execution"), 2);
}

TEST_F(ExecuteTest, ABatchOfNoneOrTooManyIsRefused) {
  v1::BatchExecuteActionsRequest request;
  v1::BatchExecuteActionsResponse response;
  grpc::ClientContext none, many;

  const grpc::Status empty = server().executions().BatchExecuteActions(&none, request, &response);
  for (int i = 0; i < kMaxBatchRequests + 1; ++i) request.add_requests();
  const grpc::Status full = server().executions().BatchExecuteActions(&many, request, &response);

  EXPECT_EQ(empty.error_message(), "requests: got 0 items, want 1 to 1000");
  EXPECT_EQ(full.error_message(), "requests: got 1001 items, want 1 to 1000");
}

TEST_F(ExecuteTest, AFullSubmitQueueIsAnsweredWithRetryInfo) {
  options_.queue_items = 1;
  v1::BatchExecuteActionsRequest request;
  for (int i = 0; i < 500; ++i) *request.add_requests() = ScaleRequest();
  v1::BatchExecuteActionsResponse response;
  grpc::ClientContext context;

  ASSERT_TRUE(server().executions().BatchExecuteActions(&context, request, &response).ok());

  std::set<int> codes;
  for (const auto& result : response.results()) codes.insert(result.status().code());
  EXPECT_THAT(codes, Contains(grpc::StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_GT(server().metrics().submits_overloaded.Value(), 0);
}

}  // namespace
}  // namespace capstan::server
