#include "tests/proof/workload.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "capstan/engine/v1/event_row.pb.h"
#include "core/ids.h"
#include "core/machine/states.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::proof {
namespace {

using testing::Scale;
using v1::Execution;

// Between two tries of a client whose server is away.
constexpr absl::Duration kBackoff = absl::Milliseconds(50);

constexpr char kNoteWrites[] = R"(
CREATE TABLE proof_write (n bigserial PRIMARY KEY, execution_id uuid, lease bigint, epoch int);
CREATE FUNCTION proof_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO proof_write (execution_id, lease, epoch)
  SELECT OLD.id, l.id, l.epoch FROM lease AS l
  WHERE l.id = OLD.lease_id AND NEW.last_seq > OLD.last_seq;
  RETURN NEW;
END $$;
CREATE TRIGGER proof_note BEFORE UPDATE ON execution FOR EACH ROW EXECUTE FUNCTION proof_note();
)";

std::int64_t Number(const std::string& text) {
  std::int64_t number = 0;
  CAPSTAN_CHECK(absl::SimpleAtoi(text, &number));
  return number;
}

std::string NameOf(const std::string& uuid) { return ExecutionName(*ExecutionId::Parse(uuid)); }

std::vector<v1::ExecutionEvent> StoredEvents(const std::string& dsn) {
  std::vector<v1::ExecutionEvent> events;
  for (const auto& row :
       testing::MustRunSql(dsn,
                           "SELECT execution_id, seq, (extract(epoch FROM at) * 1000000)::bigint, "
                           "encode(body, 'hex'), events FROM event ORDER BY execution_id, seq")) {
    engine::v1::EventRow commit;
    CAPSTAN_CHECK(commit.ParseFromString(absl::HexStringToBytes(row[3])));
    CAPSTAN_CHECK(commit.events_size() == Number(row[4]));
    std::int64_t seq = Number(row[1]) - commit.events_size();
    for (const std::string& body : commit.events()) {
      v1::ExecutionEvent& event = events.emplace_back();
      CAPSTAN_CHECK(event.ParseFromString(body));
      event.set_execution(NameOf(row[0]));
      // Not stored where it follows from the id.
      if (event.correlation_id().empty())
        event.set_correlation_id(ExecutionId::Parse(row[0])->ToHex());
      event.set_seq(++seq);
      const std::int64_t micros = Number(row[2]);
      event.mutable_time()->set_seconds(micros / 1'000'000);
      event.mutable_time()->set_nanos(static_cast<std::int32_t>(micros % 1'000'000 * 1000));
    }
  }
  return events;
}

// Entries of one transaction are a row together; a submit is wrapped with the id that it got.
std::vector<AuditRow> Records(const std::string& dsn) {
  std::vector<AuditRow> records;
  for (const auto& row :
       testing::MustRunSql(dsn, "SELECT body FROM audit ORDER BY at, chain, number")) {
    for (const nlohmann::json& entry : nlohmann::json::parse(row[0])) {
      const bool submit = entry.contains("submitted");
      const nlohmann::json& fields = submit ? entry["submitted"] : entry;
      const std::string execution = entry.value("execution", "");
      records.push_back({fields.value("kind", ""), submit ? NameOf(execution) : execution,
                         fields.value("caller", ""), fields.value("state", ""),
                         fields.value("job_uid", "")});
    }
  }
  return records;
}

}  // namespace

void NoteWrites(testing::System& system) { testing::MustRunSql(system.dsn(), kNoteWrites); }

History CollectStored(testing::System& system) {
  const std::string& dsn = system.dsn();
  History history;
  history.events = StoredEvents(dsn);
  for (const auto& row :
       testing::MustRunSql(dsn, "SELECT execution_id, lease, epoch FROM proof_write ORDER BY n")) {
    history.writes.push_back({NameOf(row[0]), Number(row[1]), Number(row[2])});
  }
  for (const auto& row :
       testing::MustRunSql(dsn, "SELECT execution_id, number, allow FROM policy_decision")) {
    history.decisions.push_back({NameOf(row[0]), static_cast<int>(Number(row[1])), row[2] == "t"});
  }
  for (const auto& row :
       testing::MustRunSql(dsn, "SELECT execution_id, state, failure_reason FROM outcome")) {
    history.outcomes.push_back({NameOf(row[0]), static_cast<Execution::State>(Number(row[1])),
                                static_cast<Execution::FailureReason>(Number(row[2]))});
  }
  history.records = Records(dsn);
  return history;
}

History CollectFrom(testing::System& system) {
  History history = CollectStored(system);
  history.audit = system.kube().Audit();
  history.pod_runs = system.kube().PodRuns();
  history.scales = system.kube().Scales("", "");
  return history;
}

Workload::Workload(testing::System& system, WorkloadOptions options)
    : system_(system), options_(options), until_(absl::Now() + options.patience) {
  NoteWrites(system);
  kinds_.push_back({.title = "scale web", .request = Scale(3)});
  if (options.only_one) return;
  kubesim::KubeSim& kube = system.kube();
  kube.AddDeployment("default", "api", 1);
  kube.AddDeployment("default", "slow", 1);
  kube.HoldDeploymentRollout("default", "slow");  // its Job runs until it is cancelled
  kubesim::Fault quota = kubesim::QuotaExceeded("jobs", 1);
  quota.count = 2;  // somebody has to wait, parked; the cancelled one does not wait to be woken
  kube.InjectFault(quota);
  kinds_.push_back({.title = "scale api", .request = Scale(2, "default", "api")});
  kinds_.push_back({.title = "cancelled while its Job runs",
                    .request = Scale(2, "default", "slow"),
                    .cancel = Cancel::kWhenArmed,
                    .end = Execution::STATE_CANCELLED});
  kinds_.push_back({.title = "cancelled before it began",
                    .request = Scale(4, "default", "slow"),
                    .cancel = Cancel::kAtOnce,
                    .end = Execution::STATE_CANCELLED});
  kinds_.push_back({.title = "denied",
                    .request = Scale(0, "kube-system", "coredns"),
                    .end = Execution::STATE_FAILED,
                    .reason = Execution::FAILURE_REASON_POLICY_DENIED});
  kinds_.push_back({.title = "dry run", .request = Scale(5, "default", "api")});
  kinds_.back().request.set_dry_run(true);
}

Workload::~Workload() {
  if (clients_.joinable()) clients_.join();
}

void Workload::AddServer(const testing::Server& server) {
  std::shared_ptr<v1::ExecutionService::Stub> stub = v1::ExecutionService::NewStub(
      grpc::CreateChannel(server.address, grpc::InsecureChannelCredentials()));
  absl::MutexLock lock(&mu_);
  server_ = std::move(stub);
}

std::shared_ptr<v1::ExecutionService::Stub> Workload::CurrentServer() {
  absl::MutexLock lock(&mu_);
  return server_;
}

void Workload::Start() {
  clients_ = std::thread([this] {
    SubmitAll();
    submitted_.Notify();
    std::vector<std::thread> watchers;
    for (const Kind& kind : kinds_) {
      if (!kind.execution.empty()) watchers.emplace_back([this, &kind] { Watch(kind); });
    }
    for (std::thread& watcher : watchers) watcher.join();
    done_.Notify();
  });
}

void Workload::SubmitAll() {
  for (Kind& kind : kinds_) {
    Submit(kind);
    if (kind.cancel == Cancel::kAtOnce) RequestCancel(kind.execution);
  }
}

void Workload::Submit(Kind& kind) {
  kind.request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
  while (kind.execution.empty() && !PatienceIsOver()) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + options_.call_deadline));
    const auto reader = CurrentServer()->ExecuteAction(&context, kind.request);
    v1::ExecuteActionResponse response;
    while (reader->Read(&response)) {
      if (response.update().has_snapshot()) kind.execution = response.update().snapshot().name();
    }
    reader->Finish();
    {
      const auto reply =
          kind.execution.empty() ? Submitted::Reply::kUnknown : Submitted::Reply::kAccepted;
      absl::MutexLock lock(&mu_);
      history_.submits.push_back({kind.request.request_id(), reply, kind.execution});
    }
    if (kind.execution.empty()) absl::SleepFor(kBackoff);
  }
}

void Workload::RequestCancel(const std::string& execution) {
  v1::CancelExecutionRequest request;
  request.set_name(execution);
  while (!PatienceIsOver()) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + options_.call_deadline));
    v1::CancelExecutionResponse response;
    if (CurrentServer()->CancelExecution(&context, request, &response).ok()) return;
    absl::SleepFor(kBackoff);
  }
}

void Workload::Watch(const Kind& kind) {
  std::int64_t seq = 0;
  bool ended = false;
  bool cancelled = false;
  while (!ended && !PatienceIsOver()) {
    Watched watched{.execution = kind.execution, .after_seq = seq, .events = {}};
    v1::WatchExecutionRequest request;
    request.set_name(kind.execution);
    request.set_after_seq(seq);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(until_));
    const auto reader = CurrentServer()->WatchExecution(&context, request);
    v1::WatchExecutionResponse response;
    while (reader->Read(&response)) {
      if (!response.update().has_event()) continue;
      const v1::ExecutionEvent& event = response.update().event();
      watched.events.push_back(event);
      seq = event.seq();
      if (event.has_state_changed()) ended = machine::IsTerminal(event.state_changed().to());
      if (event.has_job_armed() && kind.cancel == Cancel::kWhenArmed && !cancelled) {
        cancelled = true;
        RequestCancel(kind.execution);
      }
    }
    watched.ended_well = reader->Finish().ok();
    absl::MutexLock lock(&mu_);
    history_.watched.push_back(std::move(watched));
    if (!ended) absl::SleepFor(kBackoff);
  }
}

History Workload::Collect() {
  History history = CollectFrom(system_);
  absl::MutexLock lock(&mu_);
  history.submits = history_.submits;
  history.watched = history_.watched;
  history.load_floor = static_cast<int>(kinds_.size());
  return history;
}

std::vector<std::string> Workload::WrongEnds(const History& history) const {
  std::map<std::string, const v1::StateChanged*> ends;
  for (const v1::ExecutionEvent& event : history.events) {
    if (event.has_state_changed()) ends[event.execution()] = &event.state_changed();
  }
  std::vector<std::string> wrong;
  for (const Kind& kind : kinds_) {
    const auto end = ends.find(kind.execution);
    if (end == ends.end()) {
      wrong.push_back(Cat(kind.title, ": never began"));
    } else if (end->second->to() != kind.end || end->second->failure_reason() != kind.reason) {
      wrong.push_back(
          Cat(kind.title, " (", kind.execution, "): ended ", end->second->ShortDebugString()));
    }
  }
  return wrong;
}

}  // namespace capstan::proof
