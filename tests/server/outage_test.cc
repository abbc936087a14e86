// The database goes away while streams are open, and comes back.
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using capstan::testing::TestPostgres;
using grpc::health::v1::HealthCheckResponse;
using ::testing::ElementsAre;
using v1::Execution;

// Far more than the patience of the server under test; a stream that ends by itself in less did not
// wait for anything else.
constexpr absl::Duration kLongestEnd = absl::Seconds(30);

class OutageTest : public ServiceTest {
 protected:
  static void SetUpTestSuite() {
    // Recovery after a kill then looks at what was changed, not at every file.
    postgres_ = *TestPostgres::Start({.settings = {{"recovery_init_sync_method", "syncfs"}}});
  }
  static void TearDownTestSuite() { postgres_.reset(); }

  OutageTest() : ServiceTest(postgres_->NewDatabase()) {}

  // A health watch of its own connection, which goes on through the outage.
  class HealthWatch {
   public:
    explicit HealthWatch(TestServer& server)
        : stub_(grpc::health::v1::Health::NewStub(server.NewChannel())),
          reader_(stub_->Watch(&context_, {})) {}
    ~HealthWatch() { context_.TryCancel(); }

    bool WaitFor(HealthCheckResponse::ServingStatus status) {
      HealthCheckResponse response;
      while (reader_->Read(&response)) {
        if (response.status() == status) return true;
      }
      return false;
    }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
    std::unique_ptr<grpc::ClientReader<HealthCheckResponse>> reader_;
  };

  static std::vector<std::int64_t> Seqs(const std::vector<v1::WatchExecutionResponse>& responses) {
    std::vector<std::int64_t> seqs;
    for (const auto& response : responses) {
      if (response.update().has_event()) seqs.push_back(response.update().event().seq());
    }
    return seqs;
  }
  static void ExpectStoreAway(const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
    EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status).reason(), "DATABASE_UNAVAILABLE");
    EXPECT_GE(DetailOf<google::rpc::RetryInfo>(status).retry_delay().seconds(), 1);
  }

  static std::unique_ptr<TestPostgres> postgres_;
};

std::unique_ptr<TestPostgres> OutageTest::postgres_;

TEST_F(OutageTest, AWatcherThatOnlyWaitsEndsUnavailableAndResumesWithoutAGap) {
  service_.store_patience = absl::Milliseconds(500);
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  StoreState(held, Execution::STATE_VALIDATING);
  const auto stream = Watch(server(), name);
  v1::WatchExecutionResponse snapshot, first, second;
  ASSERT_TRUE(stream->Next(snapshot) && stream->Next(first) && stream->Next(second));
  HealthWatch health(server());
  ASSERT_TRUE(health.WaitFor(HealthCheckResponse::SERVING));

  postgres_->Kill9();
  const absl::Duration killed = clock_.BootTime();
  EXPECT_THAT(Seqs(stream->Rest()), ElementsAre());
  const absl::Duration ended = clock_.BootTime();
  ExpectStoreAway(stream->Finish());
  EXPECT_GE(ended - killed, absl::Milliseconds(400)) << "a moment of absence ends nothing";
  EXPECT_LT(ended - killed, kLongestEnd);
  ASSERT_TRUE(health.WaitFor(HealthCheckResponse::NOT_SERVING));

  ASSERT_OK(postgres_->Restart());
  ASSERT_TRUE(health.WaitFor(HealthCheckResponse::SERVING)) << "health itself was not ended";
  const auto resumed = Watch(server(), name, second.update().event().seq());
  ASSERT_TRUE(resumed->Next(snapshot));
  StoreState(held, Execution::STATE_RUNNING);
  StoreState(held, Execution::STATE_FAILED);

  EXPECT_THAT(Seqs(resumed->Rest()), ElementsAre(3, 4));
  EXPECT_TRUE(resumed->Finish().ok());
}

TEST_F(OutageTest, EveryKindOfStreamEnds) {
  service_.store_patience = absl::Milliseconds(200);
  const std::string name = Accept(ScaleRequest());
  const auto all = WatchAll(server(), "");
  v1::WatchExecutionsResponse first_of_all;
  ASSERT_TRUE(all->NextOfAnyKind(first_of_all));
  const auto submit = Execute(ScaleRequest());
  v1::ExecuteActionResponse accepted;
  ASSERT_TRUE(submit->Next(accepted));
  v1::ReadLogRequest log_request;
  log_request.set_name(name);
  log_request.set_follow(true);
  grpc::ClientContext log_context;
  const auto log = server().executions().ReadLog(&log_context, log_request);

  postgres_->Kill9();
  all->Rest();
  submit->Rest();
  v1::ReadLogResponse piece;
  while (log->Read(&piece)) {
  }

  ExpectStoreAway(all->Finish());
  ExpectStoreAway(submit->Finish());
  ExpectStoreAway(log->Finish());
  ASSERT_OK(postgres_->Restart());
}

TEST_F(OutageTest, AStreamOutlivesAnAbsenceThatIsShorterThanItsPatience) {
  service_.store_patience = absl::Minutes(10);
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  const auto stream = Watch(server(), name);
  v1::WatchExecutionResponse snapshot;
  ASSERT_TRUE(stream->Next(snapshot));
  HealthWatch health(server());

  postgres_->Kill9();
  ASSERT_TRUE(health.WaitFor(HealthCheckResponse::NOT_SERVING));
  ASSERT_OK(postgres_->Restart());
  StoreState(held, Execution::STATE_VALIDATING);
  StoreState(held, Execution::STATE_FAILED);

  EXPECT_THAT(Seqs(stream->Rest()), ElementsAre(1, 2, 3));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace capstan::server
