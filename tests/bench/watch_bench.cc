// What idle watchers cost: memory of the server and load on the database, with none and with many.
// Every watcher follows an execution of its own that nothing happens to.
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "capstan/v1/execution_service.grpc.pb.h"
#include "tests/bench/server_process.h"

namespace capstan::bench {
namespace {

constexpr int kBatch = 1000;

std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::vector<std::string> Submit(v1::ExecutionService::Stub& stub, int count) {
  std::vector<std::string> names;
  while (static_cast<int>(names.size()) < count) {
    v1::BatchExecuteActionsRequest request;
    const int left = count - static_cast<int>(names.size());
    for (int i = 0; i < std::min(left, kBatch); ++i) {
      v1::ExecuteActionRequest& item = *request.add_requests();
      item.set_action("ScaleDeployment");
      auto& fields = *item.mutable_parameters()->mutable_fields();
      fields["deployment"].set_string_value("web");
      fields["namespace"].set_string_value("shop");
      fields["replicas"].set_number_value(3);
    }
    v1::BatchExecuteActionsResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub.BatchExecuteActions(&context, request, &response);
    if (!status.ok()) {
      std::fprintf(stderr, "submit: %s\n", status.error_message().c_str());
      std::exit(1);
    }
    for (const auto& result : response.results()) names.push_back(result.execution());
  }
  return names;
}

class Watcher final : public grpc::ClientReadReactor<v1::WatchExecutionResponse> {
 public:
  Watcher(v1::ExecutionService::Stub& stub, const std::string& name, absl::BlockingCounter& opened,
          std::atomic<std::int64_t>& heartbeats)
      : opened_(opened), heartbeats_(heartbeats) {
    request_.set_name(name);
    request_.set_after_seq(1);
    stub.async()->WatchExecution(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  void WaitDone() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&done_));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.update().has_snapshot()) opened_.DecrementCount();
    if (response_.update().has_heartbeat()) heartbeats_.fetch_add(1);
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    absl::MutexLock lock(&mu_);
    done_ = true;
  }

 private:
  absl::BlockingCounter& opened_;
  std::atomic<std::int64_t>& heartbeats_;
  grpc::ClientContext context_;
  v1::WatchExecutionRequest request_;
  v1::WatchExecutionResponse response_;
  absl::Mutex mu_;
  bool done_ = false;
};

// Transactions of the database a second, while nothing is asked of the server.
double Load(const ServerProcess& server, absl::Duration duration) {
  const std::int64_t before = server.Transactions();
  const absl::Time start = absl::Now();
  absl::SleepFor(duration);
  return static_cast<double>(server.Transactions() - before) /
         absl::ToDoubleSeconds(absl::Now() - start);
}

int Main(int argc, char** argv) {
  int watchers = 10'000, connections = 10, seconds = 15;
  std::string program;
  CLI::App app("Memory and database load of idle watchers");
  app.add_option("--watchers", watchers);
  app.add_option("--connections", connections);
  app.add_option("--seconds", seconds, "of each measurement");
  app.add_option("--server", program, "path of capstan-server")->required();
  CLI11_PARSE(app, argc, argv);

  ServerProcess server(program);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::unique_ptr<v1::ExecutionService::Stub>> stubs;
  for (int i = 0; i < connections; ++i) {
    channels.push_back(NewChannel(server.address()));
    stubs.push_back(v1::ExecutionService::NewStub(channels.back()));
  }
  const std::vector<std::string> names = Submit(*stubs[0], watchers);

  const std::int64_t rss_before = server.ResidentKib();
  const double load_before = Load(server, absl::Seconds(seconds));
  std::printf("watchers=0 rss_kib=%ld transactions_per_second=%.1f connections=%ld\n", rss_before,
              load_before, server.Connections());

  std::atomic<std::int64_t> heartbeats{0};
  absl::BlockingCounter opened(watchers);
  std::vector<std::unique_ptr<Watcher>> streams;
  const absl::Time start = absl::Now();
  for (int i = 0; i < watchers; ++i) {
    streams.push_back(std::make_unique<Watcher>(*stubs[static_cast<std::size_t>(i % connections)],
                                                names[static_cast<std::size_t>(i)], opened,
                                                heartbeats));
  }
  opened.Wait();
  const double open_seconds = absl::ToDoubleSeconds(absl::Now() - start);
  const double load_after = Load(server, absl::Seconds(seconds));
  const std::int64_t rss_after = server.ResidentKib();
  std::printf(
      "watchers=%d rss_kib=%ld transactions_per_second=%.1f connections=%ld open_seconds=%.2f "
      "heartbeats=%ld\n",
      watchers, rss_after, load_after, server.Connections(), open_seconds, heartbeats.load());
  std::printf("rss_delta_mib=%.1f bytes_per_watcher=%.0f extra_transactions_per_second=%.1f\n",
              static_cast<double>(rss_after - rss_before) / 1024,
              static_cast<double>(rss_after - rss_before) * 1024 / watchers,
              load_after - load_before);

  for (auto& stream : streams) stream->Cancel();
  for (auto& stream : streams) stream->WaitDone();
  return 0;
}

}  // namespace
}  // namespace capstan::bench

int main(int argc, char** argv) { return capstan::bench::Main(argc, argv); }
