// How fast work is taken: time from ExecuteAction to its first message (stored and read back), to
// the claim by a waiting worker, and submits a second in batches. Closed loop: each caller sends
// its next call when the last was answered.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "core/clock.h"
#include "storage/store.h"
#include "tests/bench/server_process.h"

namespace capstan::bench {
namespace {

v1::ExecuteActionRequest Request() {
  v1::ExecuteActionRequest request;
  request.set_request_id(RandomUuid());
  request.set_action("ScaleDeployment");
  request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  auto& fields = *request.mutable_parameters()->mutable_fields();
  fields["deployment"].set_string_value("web");
  fields["namespace"].set_string_value("shop");
  fields["replicas"].set_number_value(3);
  return request;
}

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

// Milliseconds at a share of all.
double At(std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

void Print(const char* what, int callers, std::vector<double> milliseconds, double seconds) {
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf("%s callers=%d count=%zu per_second=%.0f p50_ms=%.2f p99_ms=%.2f\n", what, callers,
              milliseconds.size(), static_cast<double>(milliseconds.size()) / seconds,
              At(milliseconds, 0.5), At(milliseconds, 0.99));
}

// Claims whatever is submitted, as fast as it can, and remembers when.
class Claimer {
 public:
  explicit Claimer(const std::string& dsn) {
    storage::StoreOptions options;
    options.dsn = dsn;
    auto store = storage::OpenLeaseStore(options, {}, clock_);
    if (!store.ok()) Die(store.status().ToString());
    store_ = *std::move(store);
    auto worker = store_->Register({"bench", "0"});
    if (!worker.ok()) Die(worker.status().ToString());
    worker_ = *worker;
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  absl::Time ClaimedAt(const std::string& name) {
    const ExecutionId id = *ParseExecutionName(name);
    absl::MutexLock lock(&mu_);
    const auto known = [&] { return claimed_.contains(id); };
    mu_.Await(absl::Condition(&known));
    return claimed_[id];
  }

 private:
  void Run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto held = store_->Claim(worker_, storage::Queue::kAction, 1000);
      if (!held.ok()) Die(held.status().ToString());
      const absl::Time now = absl::Now();
      absl::MutexLock lock(&mu_);
      for (const storage::HeldExecution& execution : *held) claimed_[execution.id] = now;
    }
  }

  SystemClock clock_;
  std::unique_ptr<storage::LeaseStore> store_;
  WorkerId worker_;
  absl::Mutex mu_;
  absl::flat_hash_map<ExecutionId, absl::Time> claimed_;
  std::jthread thread_;
};

struct Sample {
  std::string name;
  absl::Time sent;
  double milliseconds = 0;
};

std::vector<Sample> Call(v1::ExecutionService::Stub& stub, int count) {
  std::vector<Sample> samples;
  for (int i = 0; i < count; ++i) {
    const v1::ExecuteActionRequest request = Request();
    grpc::ClientContext context;
    v1::ExecuteActionResponse response;
    Sample sample;
    sample.sent = absl::Now();
    const auto stream = stub.ExecuteAction(&context, request);
    if (!stream->Read(&response)) Die(stream->Finish().error_message());
    sample.milliseconds = absl::ToDoubleMilliseconds(absl::Now() - sample.sent);
    sample.name = response.update().snapshot().name();
    while (stream->Read(&response)) {
    }
    if (!stream->Finish().ok()) Die("a call failed");
    samples.push_back(std::move(sample));
  }
  return samples;
}

void Measure(const ServerProcess& server, int callers, int count, Claimer* claimer) {
  std::vector<std::vector<Sample>> samples(static_cast<std::size_t>(callers));
  std::vector<std::thread> threads;
  const auto channel = grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials());
  const auto stub = v1::ExecutionService::NewStub(channel);
  const absl::Time start = absl::Now();
  for (auto& mine : samples) {
    threads.emplace_back([&] { mine = Call(*stub, count / callers); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  std::vector<double> acknowledged, claimed;
  for (const auto& mine : samples) {
    for (const Sample& sample : mine) {
      acknowledged.push_back(sample.milliseconds);
      if (claimer == nullptr) continue;
      claimed.push_back(absl::ToDoubleMilliseconds(claimer->ClaimedAt(sample.name) - sample.sent));
    }
  }
  Print("submit_to_ack", callers, acknowledged, seconds);
  if (claimer != nullptr) Print("submit_to_claim", callers, claimed, seconds);
}

void MeasureBatches(const ServerProcess& server, int batches, int size) {
  const auto stub = v1::ExecutionService::NewStub(
      grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  std::vector<double> milliseconds;
  const absl::Time start = absl::Now();
  for (int i = 0; i < batches; ++i) {
    v1::BatchExecuteActionsRequest request;
    for (int j = 0; j < size; ++j) *request.add_requests() = Request();
    grpc::ClientContext context;
    v1::BatchExecuteActionsResponse response;
    const absl::Time sent = absl::Now();
    const grpc::Status status = stub->BatchExecuteActions(&context, request, &response);
    if (!status.ok()) Die(status.error_message());
    milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - sent));
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  std::sort(milliseconds.begin(), milliseconds.end());
  std::printf("batch_submit size=%d executions_per_second=%.0f p50_ms=%.2f\n", size,
              batches * size / seconds, At(milliseconds, 0.5));
}

int Main(int argc, char** argv) {
  int count = 2000;
  std::string program;
  CLI::App app("Latency and rate of submits over gRPC");
  app.add_option("--count", count, "calls of each measurement");
  app.add_option("--server", program, "path of capstan-server")->required();
  CLI11_PARSE(app, argc, argv);

  ServerProcess server(program);
  Measure(server, 1, 200, nullptr);  // warm
  for (const int callers : {1, 16, 64}) Measure(server, callers, count, nullptr);
  MeasureBatches(server, 20, 1000);
  Claimer claimer(server.dsn());
  for (const int callers : {1, 16}) Measure(server, callers, count, &claimer);
  return 0;
}

}  // namespace
}  // namespace capstan::bench

int main(int argc, char** argv) { return capstan::bench::Main(argc, argv); }
