#include "worker/janitor.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "capstan/v1/event.pb.h"
#include "core/ids.h"
#include "core/kubernetes_names.h"
#include "core/log.h"
#include "core/machine/states.h"
#include "core/status_macros.h"

namespace capstan::worker {
namespace {

// It has ended, and so long ago that its Job may go.
bool MayGo(const storage::StoredEvent& last, absl::Time now, const JanitorOptions& options) {
  v1::ExecutionEvent event;
  if (!event.ParseFromString(last.body) || !event.has_state_changed()) return false;
  const v1::Execution::State state = event.state_changed().to();
  const bool failed = state == v1::Execution::STATE_FAILED;
  return machine::IsTerminal(state) &&
         last.time < now - (failed ? options.failed_grace : options.grace);
}

}  // namespace

Janitor::Janitor(storage::Reader& reader, kubernetes::Client& client, Clock& clock,
                 telemetry::WorkerMetrics& metrics, JanitorOptions options)
    : reader_(reader),
      client_(client),
      launcher_(client, clock),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)) {}

Janitor::~Janitor() { Stop(); }

void Janitor::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    while (clock_.SleepFor(options_.interval, stop)) {
      if (const absl::StatusOr<int> deleted = RunOnce(); !deleted.ok()) {
        Log(Level::kWarning, "orphaned Jobs could not be looked for",
            {{"error", deleted.status().message()}});
      } else if (*deleted > 0) {
        Log(Level::kInfo, "orphaned Jobs deleted", {{"jobs", *deleted}});
      }
    }
  });
}

void Janitor::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

absl::StatusOr<int> Janitor::RunOnce() {
  kubernetes::ListRequest request{.resource = kubernetes::kJobs};
  request.name_space = options_.actions_namespace;
  request.label_selector =
      absl::StrCat(std::string(kInstallationLabel), "=", options_.installation);
  CAPSTAN_ASSIGN_OR_RETURN(const kubernetes::ListResult jobs, client_.List(request));

  std::map<ExecutionId, kubernetes::JobRef> candidates;
  std::vector<ExecutionId> ids;
  for (const kubernetes::Json& job : jobs.items) {
    const kubernetes::Json metadata = job.value("metadata", kubernetes::Json::object());
    const kubernetes::Json labels = metadata.value("labels", kubernetes::Json::object());
    const auto id = ExecutionId::Parse(labels.value(std::string(kExecutionLabel), ""));
    if (!id.has_value()) continue;
    candidates[*id] = {metadata.value("namespace", ""), metadata.value("name", ""),
                       metadata.value("uid", "")};
    ids.push_back(*id);
  }
  if (ids.empty()) return 0;

  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<storage::StoredEvent> events,
                           reader_.ReadAllEvents(ids));
  std::map<ExecutionId, const storage::StoredEvent*> last;
  for (const storage::StoredEvent& event : events) last[event.execution] = &event;
  int deleted = 0;
  for (const auto& [id, event] : last) {
    if (!MayGo(*event, clock_.Now(), options_)) continue;
    const absl::StatusOr<kubernetes::DeleteResult> result =
        launcher_.DeleteJob(candidates[id], std::nullopt, kubernetes::Propagation::kBackground,
                            kubernetes::CallOptions{});
    if (result.ok()) {
      ++deleted;
    } else {
      metrics_.cleanup_failures.Increment();
    }
  }
  return deleted;
}

}  // namespace capstan::worker
