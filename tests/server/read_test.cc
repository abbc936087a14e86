// Unary calls, logs, health.
#include <set>
#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::capstan::testing::StatusIs;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using v1::Execution;

class ReadTest : public ServiceTest {
 protected:
  grpc::Status List(const v1::ListExecutionsRequest& request,
                    v1::ListExecutionsResponse& response) {
    grpc::ClientContext context;
    return server().executions().ListExecutions(&context, request, &response);
  }
  std::vector<std::string> Names(const std::string& filter) {
    v1::ListExecutionsRequest request;
    v1::ListExecutionsResponse response;
    request.set_filter(filter);
    const grpc::Status status = List(request, response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::string> names;
    for (const Execution& execution : response.executions()) names.push_back(execution.name());
    return names;
  }
  grpc::Status Cancel(const std::string& name, Execution& execution,
                      const std::string& reason = "not wanted") {
    grpc::ClientContext context;
    v1::CancelExecutionRequest request;
    v1::CancelExecutionResponse response;
    request.set_name(name);
    request.set_reason(reason);
    const grpc::Status status = server().executions().CancelExecution(&context, request, &response);
    execution = response.execution();
    return status;
  }
};

TEST_F(ReadTest, GetExecutionShowsTheLatestEvents) {
  const std::string name = Accept(ScaleRequest());
  EXPECT_EQ(Get(name).state(), Execution::STATE_PENDING);

  RunToEnd(name);

  const Execution execution = Get(name);
  EXPECT_EQ(execution.state(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(execution.seq(), 5);
  EXPECT_TRUE(execution.has_finish_time());
}

TEST_F(ReadTest, ListPagesNewestFirstWithoutGapsOrRepeats) {
  std::vector<std::string> all;
  for (int i = 0; i < 5; ++i) all.insert(all.begin(), Accept(ScaleRequest()));
  v1::ListExecutionsRequest request;
  request.set_page_size(2);

  std::vector<std::string> listed;
  do {
    v1::ListExecutionsResponse response;
    ASSERT_TRUE(List(request, response).ok());
    for (const Execution& execution : response.executions()) listed.push_back(execution.name());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());

  EXPECT_EQ(listed, all);
}

TEST_F(ReadTest, ListFiltersByEveryField) {
  v1::ExecuteActionRequest request = ScaleRequest();
  request.mutable_parent()->set_name("wf-1");
  request.mutable_parent()->set_step(1);
  (*request.mutable_labels())["team"] = "a";
  const std::string marked = Accept(request);
  const std::string plain = Accept(ScaleRequest());
  RunToEnd(plain);

  EXPECT_THAT(Names("parent = \"wf-1\""), ElementsAre(marked));
  EXPECT_THAT(Names("parent != wf-1"), ElementsAre(plain));
  EXPECT_THAT(Names("labels.team = a AND action = ScaleDeployment"), ElementsAre(marked));
  EXPECT_THAT(Names("action != ScaleDeployment"), IsEmpty());
  EXPECT_THAT(Names("state = SUCCEEDED OR state = FAILED"), ElementsAre(plain));
  EXPECT_THAT(Names("state = PENDING"), ElementsAre(marked));
}

TEST_F(ReadTest, APageTokenOfAnotherFilterOrFromElsewhereIsRefused) {
  for (int i = 0; i < 2; ++i) Accept(ScaleRequest());
  v1::ListExecutionsRequest request;
  v1::ListExecutionsResponse response;
  request.set_page_size(1);
  ASSERT_TRUE(List(request, response).ok());

  request.set_page_token(response.next_page_token());
  request.set_filter("action = ScaleDeployment");
  const grpc::Status other_filter = List(request, response);
  request.set_page_token("bm90IGEgdG9rZW4gb2Ygb3VycyBhdCBhbGw");
  const grpc::Status foreign = List(request, response);

  EXPECT_EQ(other_filter.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(other_filter.error_message(), StartsWith("page_token: "));
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(foreign.error_message(), StartsWith("page_token: "));
}

TEST_F(ReadTest, AnUnknownFilterFieldAndANegativePageSizeAreRefused) {
  v1::ListExecutionsRequest request;
  v1::ListExecutionsResponse response;
  request.set_filter("owner = me");
  const grpc::Status unknown = List(request, response);
  request.Clear();
  request.set_page_size(-1);
  const grpc::Status negative = List(request, response);

  EXPECT_THAT(unknown.error_message(), HasSubstr("at 1: got \"owner\""));
  EXPECT_EQ(negative.error_message(), "page_size: got -1, want 0 or more");
}

TEST_F(ReadTest, ListEventsPages) {
  const std::string name = Accept(ScaleRequest());
  RunToEnd(name);
  v1::ListEventsRequest request;
  request.set_name(name);
  request.set_page_size(2);

  std::vector<std::int64_t> seqs;
  do {
    grpc::ClientContext context;
    v1::ListEventsResponse response;
    ASSERT_TRUE(server().executions().ListEvents(&context, request, &response).ok());
    for (const auto& event : response.events()) seqs.push_back(event.seq());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());

  EXPECT_THAT(seqs, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ReadTest, CancelStoresASignalOnceMoreOrNot) {
  const std::string name = Accept(ScaleRequest());
  Execution execution;

  ASSERT_TRUE(Cancel(name, execution).ok());

  EXPECT_EQ(execution.name(), name);
  EXPECT_EQ(execution.state(), Execution::STATE_PENDING);
  EXPECT_EQ(Sql("SELECT signals FROM execution"), "1");
}

TEST_F(ReadTest, S2_3_CancelAfterTheEndChangesNothing) {
  const std::string name = Accept(ScaleRequest());
  RunToEnd(name);
  Execution execution;

  ASSERT_TRUE(Cancel(name, execution).ok());

  EXPECT_EQ(execution.state(), Execution::STATE_SUCCEEDED);
  EXPECT_EQ(Count("signal"), 0);
}

TEST_F(ReadTest, ACancelReasonHasALimit) {
  Execution execution;

  const grpc::Status status = Cancel(Accept(ScaleRequest()), execution, std::string(1025, 'x'));

  EXPECT_EQ(status.error_message(), "reason: got 1025 bytes, want at most 1024");
  EXPECT_EQ(Count("signal"), 0);
}

TEST_F(ReadTest, TheCatalogIsListedAndReadByName) {
  grpc::ClientContext list_context, get_context, unknown_context;
  v1::ListActionsResponse listed;
  v1::GetActionRequest request;
  v1::GetActionResponse got;

  ASSERT_TRUE(server().catalog().ListActions(&list_context, {}, &listed).ok());
  request.set_name("actions/ScaleDeployment");
  ASSERT_TRUE(server().catalog().GetAction(&get_context, request, &got).ok());
  request.set_name("actions/Nothing");
  const grpc::Status unknown = server().catalog().GetAction(&unknown_context, request, &got);

  ASSERT_GE(listed.actions_size(), 1);
  EXPECT_EQ(got.action().parameters_size(), 3);
  EXPECT_EQ(got.action().target_kind(), "Deployment");
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), HasSubstr("ScaleDeployment"));
}

TEST_F(ReadTest, WorkersAreListedWithTheirState) {
  const WorkerId worker = NewWorker();
  grpc::ClientContext context;
  v1::ListWorkersResponse response;

  ASSERT_TRUE(server().admin().ListWorkers(&context, {}, &response).ok());

  ASSERT_EQ(response.workers_size(), 1);
  EXPECT_EQ(response.workers(0).name(), WorkerName(worker));
  EXPECT_EQ(response.workers(0).state(), v1::Worker::STATE_LIVE);
  EXPECT_EQ(response.workers(0).host(), "host");
}

// ---- logs

class LogTest : public ServiceTest {
 protected:
  struct LogRead {
    std::string data;
    std::int64_t next_offset = 0;
    bool eof = false;
    grpc::Status status;
  };
  LogRead Read(const std::string& name, std::int64_t offset, bool follow) {
    grpc::ClientContext context;
    v1::ReadLogRequest request;
    request.set_name(name);
    request.set_offset(offset);
    request.set_follow(follow);
    const auto reader = server().executions().ReadLog(&context, request);
    LogRead read;
    v1::ReadLogResponse piece;
    while (reader->Read(&piece)) {
      EXPECT_LE(piece.data().size(), 64u << 10);
      read.data += piece.data();
      read.next_offset = piece.next_offset();
      read.eof = piece.eof();
    }
    read.status = reader->Finish();
    return read;
  }
  void Append(const storage::HeldExecution& held, std::int64_t offset, const std::string& data) {
    ASSERT_OK(committer().AppendLog(held.id, held.lease, offset, data));
  }
};

TEST_F(LogTest, WithoutFollowItEndsAtWhatIsStored) {
  const std::string name = Accept(ScaleRequest());
  const storage::HeldExecution held = Hold(name);
  const std::string text(100'000, 'x');
  Append(held, 0, text.substr(0, 60'000));
  Append(held, 60'000, text.substr(60'000));

  const LogRead all = Read(name, 0, false);
  const LogRead tail = Read(name, 99'990, false);

  EXPECT_TRUE(all.status.ok());
  EXPECT_EQ(all.data, text);
  EXPECT_EQ(all.next_offset, 100'000);
  EXPECT_FALSE(all.eof) << "the execution has not ended";
  EXPECT_EQ(tail.data, "xxxxxxxxxx");
}

TEST_F(LogTest, WithFollowItGoesOnToTheEndOfTheExecution) {
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  Append(held, 0, "one ");
  std::thread worker([&] {
    Append(held, 4, "two ");
    Append(held, 8, "three");
    StoreState(held, Execution::STATE_VALIDATING);
    StoreState(held, Execution::STATE_FAILED);
  });

  const LogRead read = Read(name, 0, true);

  worker.join();
  EXPECT_TRUE(read.status.ok());
  EXPECT_EQ(read.data, "one two three");
  EXPECT_TRUE(read.eof);
}

TEST_F(LogTest, AnOffsetBeyondTheEndIsOutOfRange) {
  const std::string name = Accept(ScaleRequest());

  const LogRead read = Read(name, 1, false);

  EXPECT_EQ(read.status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(read.status).metadata().at("length"), "0");
}

TEST_F(LogTest, ANegativeOffsetIsRefused) {
  EXPECT_EQ(Read(Accept(ScaleRequest()), -1, false).status.error_message(),
            "offset: got -1, want 0 or more");
}

// ---- health

class HealthTest : public ServiceTest {
 protected:
  grpc::Status Check(const std::string& service, HealthCheckResponse& response) {
    const auto stub = grpc::health::v1::Health::NewStub(server().NewChannel());
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    return stub->Check(&context, request, &response);
  }
};

TEST_F(HealthTest, EveryServiceIsWatchedFromServingToDraining) {
  const auto stub = grpc::health::v1::Health::NewStub(server().NewChannel());
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("capstan.v1.ExecutionService");
  const auto reader = stub->Watch(&context, request);
  HealthCheckResponse response;
  while (reader->Read(&response) && response.status() != HealthCheckResponse::SERVING) {
  }
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);

  std::thread drain([&] { server().api().Drain(absl::Seconds(5)); });
  EXPECT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  drain.join();
}

TEST_F(HealthTest, AnUnknownServiceIsNotFoundByCheckAndUnknownToWatch) {
  HealthCheckResponse response;
  EXPECT_EQ(Check("capstan.v1.Nothing", response).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Check("", response).ok());

  const auto stub = grpc::health::v1::Health::NewStub(server().NewChannel());
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("capstan.v1.Nothing");
  const auto reader = stub->Watch(&context, request);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVICE_UNKNOWN);
  context.TryCancel();
}

TEST_F(HealthTest, PlainTextIsRefusedOnAnAddressThatIsNotLoopback) {
  ListenOptions listen;
  listen.address = "0.0.0.0:0";

  EXPECT_THAT(ApiServer::Start(server().parts(), server().health(), listen),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("without TLS, want a loopback address")));
}

}  // namespace
}  // namespace capstan::server
