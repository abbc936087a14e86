// What is between a model and its task: the time of a turn that is ours, and the time from a piece
// of text that the model has said until a reader of the transcript has it. The model is the
// scripted Messages API, the rest is the system.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/status_macros.h"
#include "tests/scenarios/model_tasks.h"

namespace capstan::bench {
namespace {

using testing::ModelSystem;
using testing::StubReply;
using v1::Execution;

absl::Time TimeOf(const v1::ExecutionEvent& event) {
  return absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos());
}

// "p50_ms=1.0 p99_ms=2.0", with `name` before each.
std::string Percentiles(const std::string& name, std::vector<absl::Duration> times) {
  CAPSTAN_CHECK(!times.empty());
  std::sort(times.begin(), times.end());
  const auto at = [&](double part) {
    return absl::ToDoubleMilliseconds(
        times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))]);
  };
  char text[128];
  std::snprintf(text, sizeof text, "%s_p50_ms=%.1f %s_p99_ms=%.1f", name.c_str(), at(0.5),
                name.c_str(), at(0.99));
  return text;
}

void Put(ModelSystem& on, int iterations) {
  testing::PutWorkflow(on.server, testing::WithSchema(absl::StrCat(R"(
name: talk
session: fresh
steps: [{name: talk, max_iterations: )",
                                                                   iterations, R"(,
  llm: {prompt: "Go on.", schema: BASE}}]
)")));
}

// A turn from its start in the store to the next one's, less the time in which the model spoke.
void Turns(int turns) {
  ModelSystem on("messages_api");
  Put(on, turns);
  for (int i = 1; i < turns; ++i)
    on.stub->Push(testing::Says({{"status", "continue"}, {"reason", absl::StrCat(i)}}));
  on.stub->SetDefault(testing::Says({{"status", "complete"}}));
  on.StartWorker();

  const testing::Streamed run = testing::RunToEnd(on.server, testing::Task("talk", &on.room));

  CAPSTAN_CHECK(run.End().to() == Execution::STATE_SUCCEEDED);
  std::vector<absl::Time> starts;
  for (const v1::ExecutionEvent& event : run.events) {
    if (event.has_step_started()) starts.push_back(TimeOf(event));
  }
  const std::vector<testing::StubAnswer> answers = on.stub->Answers();
  std::vector<absl::Duration> ours;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i)
    ours.push_back(starts[i + 1] - starts[i] - (answers[i].frames.back() - answers[i].asked));
  std::printf("turns=%d %s\n", turns, Percentiles("overhead", ours).c_str());
}

// From each line that the model has said until it is read.
void Relay(int lines, absl::Duration every) {
  ModelSystem on("messages_api");
  Put(on, 1);
  StubReply reply;
  for (int i = 0; i < lines; ++i) absl::StrAppend(&reply.text, "line ", 1000000000 + i, "\n");
  reply.chunk = reply.text.size() / static_cast<std::size_t>(lines);
  reply.frame_delay = every;
  reply.text += "{\"status\":\"complete\"}";
  on.stub->SetDefault(reply);
  on.StartWorker();
  const auto name = testing::Submit(on.server, testing::Task("talk"));
  CAPSTAN_CHECK(name.ok());

  // Whole lines come in order, each in a frame of its own after the first two.
  std::vector<absl::Time> read;
  grpc::ClientContext context;
  v1::ReadTranscriptRequest request;
  request.set_name(*name);
  request.set_follow(true);
  const auto reader = on.server.executions->ReadTranscript(&context, request);
  v1::ReadTranscriptResponse response;
  while (reader->Read(&response)) {
    const v1::TranscriptEntry& entry = response.entry();
    if (entry.role() != v1::TranscriptEntry::ROLE_CHUNK) continue;
    const auto whole = std::count(entry.text().begin(), entry.text().end(), '\n');
    read.insert(read.end(), static_cast<std::size_t>(whole), absl::Now());
  }
  CAPSTAN_CHECK(reader->Finish().ok());

  CAPSTAN_CHECK(read.size() == static_cast<std::size_t>(lines));
  const testing::StubAnswer answer = on.stub->Answers().front();
  std::vector<absl::Duration> late;
  for (std::size_t i = 0; i < read.size(); ++i) late.push_back(read[i] - answer.frames[i + 2]);
  std::printf("lines=%d every_ms=%.0f %s\n", lines, absl::ToDoubleMilliseconds(every),
              Percentiles("relay", late).c_str());
}

int Main(int argc, char** argv) {
  int turns = 200, lines = 1000;
  CLI::App app("What is between a model and its task");
  app.add_option("--turns", turns);
  app.add_option("--lines", lines, "of an answer that comes fast");
  CLI11_PARSE(app, argc, argv);

  Turns(turns);
  Relay(lines, absl::Milliseconds(2));  // stored when there are kTranscriptFlushEntries
  Relay(40, absl::Milliseconds(300));   // stored every kTranscriptFlushInterval
  return 0;
}

}  // namespace
}  // namespace capstan::bench

int main(int argc, char** argv) { return capstan::bench::Main(argc, argv); }
