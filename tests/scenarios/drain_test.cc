// A server that is told to stop under load: every call is either answered, and then what it says is
// stored, or ends UNAVAILABLE; streams go on elsewhere without a gap; the process ends in time.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/scenarios/system.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using v1::Execution;

constexpr int kCallers = 32;
constexpr int kWatchers = 16;
// A process under load is not stopped to the millisecond.
constexpr absl::Duration kSlack = absl::Seconds(5);

// What a failed call says about itself: "DRAINING", or "" when gRPC itself refused it.
std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  details.ParseFromString(status.error_details());
  for (const auto& any : details.details()) {
    if (any.UnpackTo(&info)) return info.reason();
  }
  return "";
}

// Callers that submit, each by its own connection, until a call is not answered.
class Callers {
 public:
  Callers(const std::string& address, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, address, batch = i % 2 == 0] { Run(address, batch); });
    }
  }
  ~Callers() { Join(); }

  void Join() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  // Blocks until so many executions were acknowledged.
  void AwaitAcknowledged(std::size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return acknowledged_.size() >= count || !last_.empty();
    };
    mu_.Await(absl::Condition(&enough));
  }
  // After Join().
  const std::vector<std::string>& acknowledged() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return acknowledged_;
  }
  // How the last call of each caller ended.
  const std::vector<grpc::StatusCode>& last() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return last_; }

 private:
  void Run(const std::string& address, bool batch) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    Server server;
    server.executions = v1::ExecutionService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    grpc::Status status;
    while (status.ok()) {
      std::vector<std::string> names;
      status = batch ? SubmitBatch(server, names) : SubmitOne(server, names);
      absl::MutexLock lock(&mu_);
      acknowledged_.insert(acknowledged_.end(), names.begin(), names.end());
      if (!status.ok()) last_.push_back(status.error_code());
    }
  }
  // Requests that policy denies: the workers have little to do with them.
  static v1::ExecuteActionRequest Denied() { return Scale(0, "kube-system", "coredns"); }
  static grpc::Status SubmitOne(Server& server, std::vector<std::string>& names) {
    v1::ExecuteActionRequest request = Denied();
    request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
    const Streamed streamed = Execute(server, request);
    // The snapshot is the answer, whatever comes after it.
    if (streamed.snapshot.has_value()) names.push_back(streamed.snapshot->name());
    return streamed.status;
  }
  static grpc::Status SubmitBatch(Server& server, std::vector<std::string>& names) {
    v1::BatchExecuteActionsRequest request;
    for (int i = 0; i < 4; ++i) *request.add_requests() = Denied();
    v1::BatchExecuteActionsResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        server.executions->BatchExecuteActions(&context, request, &response);
    if (!status.ok()) return status;
    for (const auto& result : response.results()) {
      if (result.status().code() != 0) {
        return grpc::Status(static_cast<grpc::StatusCode>(result.status().code()),
                            result.status().message());
      }
      names.push_back(result.execution());
    }
    return status;
  }

  absl::Mutex mu_;
  std::vector<std::string> acknowledged_ ABSL_GUARDED_BY(mu_);
  std::vector<grpc::StatusCode> last_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

class DrainTest : public ::testing::Test {
 protected:
  // The names among these that this server does not know.
  static std::vector<std::string> Unknown(Server& server, const std::vector<std::string>& names) {
    std::vector<std::string> unknown;
    for (const std::string& name : names) {
      grpc::ClientContext context;
      v1::GetExecutionRequest request;
      request.set_name(name);
      v1::GetExecutionResponse response;
      if (!server.executions->GetExecution(&context, request, &response).ok()) {
        unknown.push_back(name);
      }
    }
    return unknown;
  }

  const std::unique_ptr<System> system_ = System::Make();
};

TEST_F(DrainTest, UnderLoadEveryCallIsAnsweredOrUnavailableAndStreamsGoOnElsewhere) {
  constexpr absl::Duration kDrain = absl::Seconds(10);  // the default
  system_->kube().HoldJobs();
  Server leaving = system_->StartServer();
  Server staying = system_->StartServer();
  const auto worker = system_->StartWorker();
  std::vector<std::string> watched;
  for (int i = 0; i < kWatchers; ++i) {  // each its own target: none waits for another
    system_->kube().AddDeployment("default", absl::StrCat("web-", i), 1);
    watched.push_back(*Submit(leaving, Scale(3, "default", absl::StrCat("web-", i))));
  }
  for (const std::string& name : watched) WatchUntil(leaving, name, v1::ExecutionEvent::kJobArmed);
  std::vector<Streamed> before(kWatchers);
  std::vector<std::thread> watchers;
  for (int i = 0; i < kWatchers; ++i) {
    watchers.emplace_back([&, i] { before[i] = Watch(leaving, watched[i]); });
  }
  Callers callers(leaving.address, kCallers);

  callers.AwaitAcknowledged(200);
  leaving.process->Signal(SIGTERM);
  const absl::Time told = absl::Now();
  const int ended = leaving.process->Wait();
  EXPECT_LT(absl::Now() - told, kDrain + kSlack);
  for (std::thread& watcher : watchers) watcher.join();
  callers.Join();

  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << leaving.process->Log();
  EXPECT_THAT(leaving.process->Log(), HasSubstr("\"message\":\"stopped\""));
  EXPECT_THAT(callers.last(), SizeIs(kCallers));
  EXPECT_THAT(callers.last(), Each(grpc::StatusCode::UNAVAILABLE));
  EXPECT_THAT(Unknown(staying, callers.acknowledged()), IsEmpty()) << "acknowledged is stored";
  system_->kube().ReleaseJobs();
  for (int i = 0; i < kWatchers; ++i) {
    EXPECT_EQ(before[i].status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ReasonOf(before[i].status), "DRAINING");
    ASSERT_THAT(before[i].events, Not(IsEmpty()));
    const Streamed after = Watch(staying, watched[i], before[i].events.back().seq());
    EXPECT_TRUE(after.status.ok()) << after.status.error_message();
    std::vector<v1::ExecutionEvent> all = before[i].events;
    all.insert(all.end(), after.events.begin(), after.events.end());
    EXPECT_TRUE(SameEvents(all, ListEvents(staying, watched[i])));
    EXPECT_EQ(all.back().state_changed().to(), Execution::STATE_SUCCEEDED);
  }
}

TEST_F(DrainTest, AReaderThatHasStalledDoesNotHoldAServerBeyondItsDrainTimeout) {
  constexpr absl::Duration kDrain = absl::Seconds(1);
  Server server = system_->StartServer({}, {"--drain_timeout=1s"});
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // takes 64 KiB of what nobody reads
  const auto stub = v1::ExecutionService::NewStub(
      grpc::CreateCustomChannel(server.address, grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  const auto stalled = stub->WatchExecutions(&context, {});
  v1::WatchExecutionsResponse response;
  ASSERT_TRUE(stalled->Read(&response));
  v1::BatchExecuteActionsRequest many;
  for (int i = 0; i < 1000; ++i) *many.add_requests() = Scale(3);
  v1::BatchExecuteActionsResponse stored;
  grpc::ClientContext batch_context;
  ASSERT_TRUE(server.executions->BatchExecuteActions(&batch_context, many, &stored).ok());

  server.process->Signal(SIGTERM);
  const absl::Time told = absl::Now();
  const int ended = server.process->Wait();

  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << server.process->Log();
  EXPECT_LT(absl::Now() - told, kDrain + kSlack);
  while (stalled->Read(&response)) {
  }
  EXPECT_FALSE(stalled->Finish().ok());
}

}  // namespace
}  // namespace capstan::testing
