// Secret values through everything that handles a Secret, looked for in everything that leaves it:
// the database, events, logs, Jobs, calls, spans, metrics, and what every process of the run shows
// of itself to others on its machine.
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/scenarios/ten_actions.h"
#include "tests/scenarios/tool.h"
#include "tests/support/otlp/span_receiver.h"
#include "tests/support/status_matchers.h"

namespace capstan::testing {
namespace {

namespace fs = std::filesystem;
using kubesim::Json;
using ::testing::HasSubstr;
using v1::Execution;

constexpr absl::Duration kPause = absl::Milliseconds(2);  // leaves the processor to the others
constexpr char kRefused[] = "canary-5c1d77aa-sent-by-mistake";

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Metrics(const std::string& http) {
  std::string body;
  CURL* curl = curl_easy_init();
  const auto append = +[](char* data, std::size_t size, std::size_t count, std::string* out) {
    out->append(data, size * count);
    return size * count;
  };
  curl_easy_setopt(curl, CURLOPT_URL, absl::StrCat(http, "/metrics").c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  EXPECT_EQ(curl_easy_perform(curl), CURLE_OK);
  curl_easy_cleanup(curl);
  return body;
}

// Command line and environment of this process's descendants, read again and again.
class ProcessList {
 public:
  ProcessList()
      : thread_([this] {
          while (!stop_.WaitForNotificationWithTimeout(kPause)) Look();
        }) {}
  ~ProcessList() { Stop(); }

  std::string Stop() {
    if (thread_.joinable()) {
      stop_.Notify();
      thread_.join();
    }
    std::string all;
    for (const std::string& one : seen_) absl::StrAppend(&all, one, "\n");
    return all;
  }

 private:
  static pid_t ParentOf(const std::string& stat) {
    // "pid (name) state ppid …", where the name may hold anything.
    const std::size_t end = stat.rfind(')');
    return end == std::string::npos ? 0 : std::atoi(stat.c_str() + std::min(end + 4, stat.size()));
  }

  void Look() {
    std::set<pid_t> ours = {getpid()};
    std::error_code gone;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc", gone)) {
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid == 0 || !ours.contains(ParentOf(ReadFile(entry.path() / "stat")))) continue;
      ours.insert(pid);  // a child's number is above its parent's, but where they wrap around
      seen_.insert(ReadFile(entry.path() / "cmdline"));
      seen_.insert(ReadFile(entry.path() / "environ"));
    }
  }

  std::set<std::string> seen_;
  absl::Notification stop_;
  std::thread thread_;
};

TEST(CanaryTest, S2_64_S2_65_NoSecretIsInAnythingThatLeavesItsWay) {
  const auto system = System::Make();
  const TenActions ten(*system);
  kubesim::KubeSim& kube = system->kube();
  const SpanReceiver spans;
  ProcessList list;
  Server server = system->StartServer({{"CAPSTAN_TRACING_OTLP_ENDPOINT", spans.Endpoint()}});
  const auto worker = system->StartWorker(
      {{"OTEL_EXPORTER_OTLP_ENDPOINT", spans.Endpoint()}, {"OTEL_BSP_SCHEDULE_DELAY", "50"}});
  const std::string worker_http =
      absl::StrCat("http://127.0.0.1:", FromLog(*worker, "\"http_port\":\"", "\""));

  // By reference, back again, tried only, and two that fail: half way, and for want of the Secret.
  std::vector<std::string> names;
  const auto run = [&](const v1::ExecuteActionRequest& request) {
    const Streamed streamed = Execute(server, request);
    if (streamed.snapshot.has_value()) names.push_back(streamed.snapshot->name());
    return streamed;
  };
  const Streamed patched = run(ten["PatchSecret"].request);
  ASSERT_EQ(patched.End().to(), Execution::STATE_SUCCEEDED) << patched.End().DebugString();
  names.push_back(*Rollback(server, names.front()));
  ASSERT_EQ(Watch(server, names.back()).End().to(), Execution::STATE_SUCCEEDED);
  run(DryRun(ten["PatchSecret"].request));
  kube.ForbidPods("patch", "secrets", "shop");
  v1::ExecuteActionRequest again = ten["PatchSecret"].request;
  again.set_request_id("");
  EXPECT_EQ(run(again).End().to(), Execution::STATE_FAILED);
  EXPECT_EQ(run(ten["PatchSecret"].impossible).End().to(), Execution::STATE_FAILED);
  // What a caller sends by mistake, under a name that no action has, and in place of a Secret's.
  for (const char* parameter : {"password", "patch_secret"}) {
    v1::ExecuteActionRequest mistaken = ten["PatchSecret"].request;
    mistaken.set_request_id("");
    const std::string value =
        absl::StrCat(kRefused, parameter == std::string("password") ? "" : " not a name");
    (*mistaken.mutable_parameters()->mutable_fields())[parameter].set_string_value(value);
    EXPECT_THAT(Submit(server, mistaken), StatusIs(absl::StatusCode::kInvalidArgument));
  }

  std::map<std::string, std::string> places;
  for (const std::string& name : names) {
    for (const v1::ExecutionEvent& event : ListEvents(server, name))
      places["events and logs"] += event.DebugString();
    places["events and logs"] += ReadLog(server, name);
    places["events and logs"] += Get(server, name).DebugString();
  }
  for (const kubesim::AuditEntry& entry : kube.Audit())
    places["calls"] += kubesim::AuditEntryToJson(entry).dump();
  places["the server's metrics"] = Metrics(server.http);
  places["the worker's metrics"] = Metrics(worker_http);
  places["the database"] = DumpDatabase(*system);
  worker->Signal(SIGTERM);
  EXPECT_EQ(worker->Wait(), 0);
  server.process->Signal(SIGTERM);
  EXPECT_EQ(server.process->Wait(), 0);
  places["processes"] = list.Stop();
  places["spans"] = spans.Text();
  places["the server's log"] = server.process->Log();
  places["the worker's log"] = worker->Log();

  for (const std::string value : {TenActions::kCanary, TenActions::kOldValue, kRefused}) {
    for (const std::string& text : {value, absl::Base64Escape(value)}) {
      for (const auto& [place, content] : places) {
        EXPECT_EQ(content.find(text), std::string::npos) << value << " in " << place;
        EXPECT_EQ(content.find(absl::BytesToHexString(text)), std::string::npos) << place;
      }
    }
  }
  // The search finds what is there.
  EXPECT_THAT(places["processes"], HasSubstr("capstan-worker"));
  EXPECT_THAT(places["processes"], HasSubstr("OTEL_EXPORTER_OTLP_ENDPOINT"));
  EXPECT_THAT(places["spans"], HasSubstr("job create"));
  EXPECT_THAT(places["the server's metrics"], HasSubstr("capstan_"));
  EXPECT_THAT(places["the worker's metrics"], HasSubstr("capstan_"));
  EXPECT_THAT(places["events and logs"], HasSubstr("credentials-patch"));
}

}  // namespace
}  // namespace capstan::testing
