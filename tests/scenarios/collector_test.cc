// One trace from the caller's span to the end of the Job: server and worker, processes of their
// own, send their spans to a real OpenTelemetry Collector, and what it received is looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "core/telemetry/span_names.h"
#include "tests/scenarios/free_port.h"
#include "tests/scenarios/system.h"
#include "tests/scenarios/tool.h"

namespace capstan::testing {
namespace {

using ::nlohmann::json;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using v1::Execution;

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kCaller[] = "00f067aa0ba902b7";
constexpr char kRpc[] = "capstan.v1.ExecutionService/ExecuteAction";
const std::string kExecution(telemetry::kAttributeExecution);
constexpr char kReady[] = "Everything is ready";

struct Exported {
  std::string service;  // service.name of the process it came from
  std::string name;
  std::string trace;
  std::string id;
  std::string parent;
  std::int64_t start = 0;  // nanoseconds
  std::int64_t end = 0;
  std::map<std::string, std::string> attributes;
};

std::map<std::string, std::string> Attributes(const json& list) {
  std::map<std::string, std::string> attributes;
  for (const json& one : list) {
    attributes[one["key"]] = one["value"].value("stringValue", one["value"].dump());
  }
  return attributes;
}

// The collector of tests/e2e/otelcol; writes what it gets into a file of `system`.
class Collector {
 public:
  Collector(const std::string& program, const System& system)
      : output_(system.LogFile("spans.jsonl")) {
    do {
      const FreePort port;
      endpoint_ = absl::StrCat("http://127.0.0.1:", port.number());
      const std::string config = system.LogFile("otelcol.yaml");
      std::ofstream(config) << "receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:"
                            << port.number() << "\"}}}}\n"
                            << "exporters: {lines: {path: " << output_ << "}}\n"
                            << "service:\n"
                            << "  telemetry: {metrics: {level: none}}\n"
                            << "  pipelines: {traces: {receivers: [otlp], exporters: [lines]}}\n";
      process_ = *Process::Start({program, "--config", config}, {}, system.LogFile("otelcol.log"));
    } while (!process_->WaitForLog(kReady) &&
             process_->Log().find("address already in use") != std::string::npos);
    CAPSTAN_CHECK(process_->Running());
  }

  const std::string& endpoint() const { return endpoint_; }

  // Until `text` is in what it has got.
  bool WaitFor(const std::string& text) {
    return WaitForFile(output_, *process_, [&] {
      std::ifstream file(output_);
      return std::string(std::istreambuf_iterator<char>(file), {}).find(text) != std::string::npos;
    });
  }

  // Ends it; everything it got.
  std::vector<Exported> Stop() {
    process_->Signal(SIGTERM);
    process_->Wait();
    std::vector<Exported> spans;
    std::ifstream file(output_);
    for (std::string line; std::getline(file, line);) {
      const json batch = json::parse(line);
      for (const json& of_process : batch["resourceSpans"]) Take(of_process, spans);
    }
    return spans;
  }

 private:
  static void Take(const json& of_process, std::vector<Exported>& spans) {
    auto resource = Attributes(of_process["resource"]["attributes"]);
    for (const json& scope : of_process["scopeSpans"]) {
      for (const json& span : scope["spans"]) {
        Exported out;
        out.service = resource["service.name"];
        out.name = span["name"];
        out.trace = span["traceId"];
        out.id = span["spanId"];
        out.parent = span.value("parentSpanId", "");
        out.start = std::stoll(span["startTimeUnixNano"].get<std::string>());
        out.end = std::stoll(span["endTimeUnixNano"].get<std::string>());
        if (span.contains("attributes")) out.attributes = Attributes(span["attributes"]);
        spans.push_back(std::move(out));
      }
    }
  }

  const std::string output_;
  std::string endpoint_;
  std::unique_ptr<Process> process_;
};

// As a caller that is part of a trace.
Streamed ExecuteInTrace(Server& server, const v1::ExecuteActionRequest& request) {
  Streamed streamed;
  grpc::ClientContext context;
  context.AddMetadata("traceparent", absl::StrCat("00-", kTrace, "-", kCaller, "-01"));
  const auto reader = server.executions->ExecuteAction(&context, request);
  v1::ExecuteActionResponse response;
  while (reader->Read(&response)) {
    const v1::ExecutionUpdate& update = response.update();
    if (update.has_snapshot() && !streamed.snapshot.has_value())
      streamed.snapshot = update.snapshot();
    if (update.has_event()) streamed.events.push_back(update.event());
  }
  streamed.status = reader->Finish();
  return streamed;
}

std::vector<Exported> InTrace(const std::vector<Exported>& spans, const std::string& trace) {
  std::vector<Exported> chosen;
  for (const Exported& span : spans) {
    if (span.trace == trace) chosen.push_back(span);
  }
  return chosen;
}

std::map<std::string, Exported> ByName(const std::vector<Exported>& spans) {
  std::map<std::string, Exported> by_name;
  for (const Exported& span : spans) by_name[span.name] = span;
  return by_name;
}

// "service: name".
std::vector<std::string> Names(const std::vector<Exported>& spans) {
  std::vector<std::string> names;
  for (const Exported& span : spans) names.push_back(absl::StrCat(span.service, ": ", span.name));
  return names;
}

// One server, told by its configuration where the collector is, and workers, told by
// OpenTelemetry's variable.
struct Traced {
  explicit Traced(const std::string& program)
      : collector(program, *system),
        server(system->StartServer({{"CAPSTAN_TRACING_OTLP_ENDPOINT", collector.endpoint()}})) {}

  std::unique_ptr<Process> StartWorker() {
    auto worker = system->StartWorker(
        {{"OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()}, {"OTEL_BSP_SCHEDULE_DELAY", "50"}});
    CAPSTAN_CHECK(worker->Running());
    return worker;
  }

  // What the collector has got when server and worker have ended, which send what they have then.
  std::vector<Exported> End(Process& worker) {
    worker.Signal(SIGTERM);
    server.process->Signal(SIGTERM);
    EXPECT_EQ(worker.Wait(), 0) << worker.Log();
    EXPECT_EQ(server.process->Wait(), 0) << server.process->Log();
    return collector.Stop();
  }

  std::unique_ptr<System> system = System::Make();
  Collector collector;
  Server server;
};

// Looks at one run of two calls: one that belongs to the caller's trace and one that does not.
class CollectorTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    Traced traced(*Tool("otelcol"));
    const auto worker = traced.StartWorker();
    traced_ = new Streamed(ExecuteInTrace(traced.server, Scale(3)));
    untraced_ = new Streamed(Execute(traced.server, Scale(2)));
    spans_ = new std::vector<Exported>(traced.End(*worker));
  }

  static void TearDownTestSuite() {
    delete spans_;
    delete untraced_;
    delete traced_;
  }

  static Streamed* traced_;
  static Streamed* untraced_;
  static std::vector<Exported>* spans_;
};

Streamed* CollectorTest::traced_ = nullptr;
Streamed* CollectorTest::untraced_ = nullptr;
std::vector<Exported>* CollectorTest::spans_ = nullptr;

TEST_F(CollectorTest, S0_9_AnActionIsOneTraceFromTheCallerThroughServerAndWorkerToTheJob) {
  const std::vector<Exported> trace = InTrace(*spans_, kTrace);
  std::map<std::string, Exported> spans = ByName(trace);

  ASSERT_EQ(traced_->End().to(), Execution::STATE_SUCCEEDED) << traced_->End().DebugString();
  ASSERT_THAT(Names(trace),
              UnorderedElementsAre(absl::StrCat("capstan-server: ", kRpc), "capstan-server: submit",
                                   "capstan-worker: queue wait", "capstan-worker: claim",
                                   "capstan-worker: facts", "capstan-worker: policy",
                                   "capstan-worker: job create", "capstan-worker: job arm",
                                   "capstan-worker: job wait"));
  EXPECT_EQ(spans[kRpc].parent, kCaller);
  for (const char* name : {"submit", "queue wait", "claim"}) {
    EXPECT_EQ(spans[name].parent, spans[kRpc].id) << name;
  }
  for (const char* name : {"facts", "policy", "job create", "job arm", "job wait"}) {
    EXPECT_EQ(spans[name].parent, spans["claim"].id) << name;
  }
  EXPECT_EQ(spans["claim"].attributes[kExecution], traced_->snapshot->name());
}

TEST_F(CollectorTest, S0_9_TheCorrelationIdOfEveryEventIsTheCallersTraceId) {
  ASSERT_THAT(traced_->events, Not(IsEmpty()));
  for (const v1::ExecutionEvent& event : traced_->events) {
    EXPECT_EQ(event.correlation_id(), kTrace) << event.DebugString();
  }
}

TEST_F(CollectorTest, SpansLieInTheirParentsAndInTheOrderOfTheWork) {
  std::map<std::string, Exported> spans = ByName(InTrace(*spans_, kTrace));

  for (const char* name : {"facts", "policy", "job create", "job arm", "job wait"}) {
    EXPECT_GE(spans[name].start, spans["claim"].start) << name;
    EXPECT_LE(spans[name].end, spans["claim"].end) << name;
    EXPECT_LT(spans[name].start, spans[name].end) << name;
  }
  EXPECT_GE(spans["submit"].start, spans[kRpc].start);
  EXPECT_GE(spans["facts"].start, spans["queue wait"].end);
  EXPECT_GE(spans["policy"].start, spans["facts"].end);
  EXPECT_GE(spans["job create"].start, spans["policy"].end);
  EXPECT_GE(spans["job arm"].start, spans["job create"].end);
  EXPECT_GE(spans["job wait"].start, spans["job arm"].end);
}

TEST_F(CollectorTest, ACallOutsideAnyTraceBeginsOne) {
  std::string begun;
  for (const Exported& span : *spans_) {
    if (span.attributes.count(kExecution) != 0 &&
        span.attributes.at(kExecution) == untraced_->snapshot->name()) {
      begun = span.trace;
    }
  }
  const std::vector<Exported> trace = InTrace(*spans_, begun);

  EXPECT_NE(begun, kTrace);
  EXPECT_THAT(Names(trace), IsSupersetOf({"capstan-server: submit", "capstan-worker: job wait"}));
  EXPECT_EQ(ByName(trace)[kRpc].parent, "");
}

TEST_F(CollectorTest, AWorkerThatTakesOverGoesOnInTheSameTrace) {
  Traced traced(*Tool("otelcol"));
  kubesim::KubeSim& kube = traced.system->kube();
  auto first = traced.StartWorker();
  kube.HoldJobs();
  Streamed run;
  std::thread caller([&] { run = ExecuteInTrace(traced.server, Scale(3)); });
  ASSERT_TRUE(kube.WaitFor([&] { return !kube.PodRuns().empty(); }));
  ASSERT_TRUE(traced.collector.WaitFor("\"job arm\""));  // the dead tell nothing

  first->Signal(SIGKILL);
  const auto second = traced.StartWorker();
  kube.ReleaseJobs();
  caller.join();
  const std::vector<Exported> trace = InTrace(traced.End(*second), kTrace);
  std::map<std::string, Exported> spans = ByName(trace);

  EXPECT_EQ(run.End().to(), Execution::STATE_SUCCEEDED) << run.End().DebugString();
  EXPECT_EQ(spans["claim"].parent, spans[kRpc].id);
  EXPECT_EQ(spans["job wait"].parent, spans["claim"].id) << "by the second";
  EXPECT_NE(spans["policy"].parent, spans["claim"].id) << "by the first";
  EXPECT_NE(spans["policy"].parent, "");
}

}  // namespace
}  // namespace capstan::testing

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const absl::StatusOr<std::string> tool = capstan::testing::Tool("otelcol");
  if (tool.ok()) return RUN_ALL_TESTS();
  std::printf("NOT RUN: %d tests: %s\n", testing::UnitTest::GetInstance()->total_test_count(),
              tool.status().ToString().c_str());
  return capstan::testing::kNotRun;
}
