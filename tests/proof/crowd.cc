#include "tests/proof/crowd.h"

#include <signal.h>

#include <utility>

#include "core/ids.h"
#include "core/machine/states.h"
#include "core/text.h"
#include "tests/scenarios/operations.h"

namespace capstan::proof {
namespace {

using testing::Server;
using v1::Execution;
using v1::ExecutionEvent;

// Between two tries of a client whose server is away.
constexpr absl::Duration kBackoff = absl::Milliseconds(50);
constexpr absl::Duration kCallDeadline = absl::Seconds(20);

// How many executions end between two of them.
constexpr int kPerStop = 40;
constexpr int kPerWorker = 15;
constexpr int kPerServer = 60;

// The server is away, or nobody knows whether it took the call: the same call again is right.
bool IsAgain(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::RESOURCE_EXHAUSTED ||
         code == grpc::StatusCode::UNKNOWN;
}

bool IsAgain(const absl::Status& status) {
  return !status.ok() && IsAgain(static_cast<grpc::StatusCode>(status.code()));
}

}  // namespace

// ---- Front

void Front::Replace() {
  Server* old = nullptr;
  {
    absl::MutexLock lock(&mu_);
    if (!servers_.empty()) old = servers_.back().get();
  }
  if (old != nullptr) {
    old->process->Signal(SIGKILL);
    old->process->Wait();
  }
  auto server =
      std::make_unique<Server>(system_.StartServer({}, {"--watch.heartbeat_interval=200ms"}));
  absl::MutexLock lock(&mu_);
  servers_.push_back(std::move(server));
}

Server& Front::Now() {
  absl::MutexLock lock(&mu_);
  return *servers_.back();
}

// ---- Caller

// Asks for one thing after the other; follows some of them to their end, and undoes or retries
// some.
class Crowd::Caller {
 public:
  Caller(Crowd& crowd, int number, int requests)
      : crowd_(crowd),
        name_(Cat("caller-", number)),
        random_(static_cast<unsigned>(crowd.options_.seed * 1000 + number)),
        thread_([this, requests] {
          for (int i = 0; i < requests && !PatienceIsOver(); ++i) Next();
        }) {}

  void Join() { thread_.join(); }
  void AddTo(History& history) const {
    history.submits.insert(history.submits.end(), submits_.begin(), submits_.end());
    history.watched.insert(history.watched.end(), watched_.begin(), watched_.end());
  }
  int rollbacks() const { return rollbacks_; }
  int retries() const { return retries_; }
  int cancels() const { return cancels_; }

 private:
  bool OneIn(int many) { return random_() % static_cast<unsigned>(many) == 0; }
  bool PatienceIsOver() const { return absl::Now() > crowd_.until_; }

  // One new execution.
  void Next() {
    std::string execution;
    if (!succeeded_.empty() && OneIn(8)) execution = Undo();
    if (execution.empty() && !failed_.empty() && OneIn(4)) execution = TryAgain();
    if (execution.empty()) execution = Submit();
    if (execution.empty()) return;
    if (OneIn(12)) {
      ++cancels_;
      while (!PatienceIsOver() &&
             IsAgain(testing::Cancel(crowd_.front_.Now(), execution, "changed my mind").status()))
        absl::SleepFor(kBackoff);
    }
    if (OneIn(2)) Follow(execution);
  }

  // Makes a call until it is answered; "" when it was refused.
  template <class Call>
  std::string Ask(const std::string& request_id, const Call& call) {
    while (!PatienceIsOver()) {
      grpc::ClientContext context;
      context.AddMetadata("capstan-caller", name_);
      context.set_deadline(absl::ToChronoTime(absl::Now() + kCallDeadline));
      std::string execution;
      const grpc::Status status = call(crowd_.front_.Now(), context, execution);
      using Reply = Submitted::Reply;
      const Reply reply = !execution.empty()             ? Reply::kAccepted
                          : IsAgain(status.error_code()) ? Reply::kUnknown
                                                         : Reply::kRefused;
      submits_.push_back({request_id, reply, execution});
      if (reply != Reply::kUnknown) return execution;
      absl::SleepFor(kBackoff);
    }
    return "";
  }

  std::string Submit() {
    v1::ExecuteActionRequest request = crowd_.options_.draw(random_);
    request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
    return Ask(request.request_id(),
               [&](Server& server, grpc::ClientContext& context, std::string& execution) {
                 const auto reader = server.executions->ExecuteAction(&context, request);
                 v1::ExecuteActionResponse response;
                 while (reader->Read(&response)) {
                   if (response.update().has_snapshot())
                     execution = response.update().snapshot().name();
                 }
                 return reader->Finish();
               });
  }

  std::string Undo() {
    v1::RollbackExecutionRequest request;
    request.set_name(succeeded_[random_() % succeeded_.size()]);
    request.set_request_id(RandomUuid());
    const std::string execution = Ask(
        request.request_id(), [&](Server& server, grpc::ClientContext& context, std::string& name) {
          v1::RollbackExecutionResponse response;
          const grpc::Status status =
              server.executions->RollbackExecution(&context, request, &response);
          name = response.execution().name();
          return status;
        });
    if (!execution.empty()) ++rollbacks_;
    return execution;
  }

  std::string TryAgain() {
    v1::RetryExecutionRequest request;
    request.set_name(failed_[random_() % failed_.size()]);
    request.set_request_id(RandomUuid());
    request.set_accept_repeated_effect(OneIn(2));
    const std::string execution = Ask(
        request.request_id(), [&](Server& server, grpc::ClientContext& context, std::string& name) {
          v1::RetryExecutionResponse response;
          const grpc::Status status =
              server.executions->RetryExecution(&context, request, &response);
          name = response.execution().name();
          return status;
        });
    if (!execution.empty()) ++retries_;
    return execution;
  }

  // To its end, over as many streams as it takes.
  void Follow(const std::string& execution) {
    std::int64_t seq = 0;
    Execution::State state = Execution::STATE_PENDING;
    while (!machine::IsTerminal(state) && !PatienceIsOver()) {
      Watched watched{.execution = execution, .after_seq = seq, .events = {}};
      v1::WatchExecutionRequest request;
      request.set_name(execution);
      request.set_after_seq(seq);
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(crowd_.until_));
      const auto reader = crowd_.front_.Now().executions->WatchExecution(&context, request);
      v1::WatchExecutionResponse response;
      while (reader->Read(&response)) {
        if (!response.update().has_event()) continue;
        const ExecutionEvent& event = response.update().event();
        watched.events.push_back(event);
        seq = event.seq();
        if (event.has_state_changed()) state = event.state_changed().to();
      }
      watched.ended_well = reader->Finish().ok();
      watched_.push_back(std::move(watched));
      if (!machine::IsTerminal(state)) absl::SleepFor(kBackoff);
    }
    if (state == Execution::STATE_SUCCEEDED) succeeded_.push_back(execution);
    if (state == Execution::STATE_FAILED) failed_.push_back(execution);
  }

  Crowd& crowd_;
  const std::string name_;
  std::mt19937 random_;
  std::vector<Submitted> submits_;
  std::vector<Watched> watched_;
  std::vector<std::string> succeeded_, failed_;
  int rollbacks_ = 0, retries_ = 0, cancels_ = 0;
  std::thread thread_;
};

// ---- Crowd

Crowd::Crowd(testing::System& system, CrowdOptions options)
    : system_(system),
      options_(std::move(options)),
      until_(absl::Now() + options_.patience),
      random_(static_cast<unsigned>(options_.seed)),
      front_(system) {}

Crowd::~Crowd() = default;

void Crowd::Run() {
  for (int i = 0; i < 3; ++i) StartWorker();
  std::string cursor;
  while (ended() < options_.executions && absl::Now() < until_) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(until_));
    v1::WatchExecutionsRequest request;
    request.set_cursor(cursor);
    const auto reader = front_.Now().executions->WatchExecutions(&context, request);
    v1::WatchExecutionsResponse response;
    while (ended() < options_.executions && reader->Read(&response)) {
      if (!response.cursor().empty()) cursor = response.cursor();
      if (response.update().has_event()) OnEvent(response.update().event());
      // The stream stands: nothing is missed from here on.
      for (int i = static_cast<int>(callers_.size()); i < options_.callers; ++i) {
        const int more = i < options_.executions % options_.callers ? 1 : 0;
        callers_.push_back(
            std::make_unique<Caller>(*this, i, options_.executions / options_.callers + more));
      }
      StopOrLift();
      Kill();
    }
    context.TryCancel();
    reader->Finish();
  }
  Lift();
  for (const auto& caller : callers_) caller->Join();
  workers_.clear();
}

void Crowd::AddTo(History& history) {
  for (const auto& caller : callers_) caller->AddTo(history);
  history.load_floor = options_.executions;
}

std::string Crowd::Summary() const {
  int rollbacks = 0, retries = 0, cancels = cancels_;
  for (const auto& caller : callers_) {
    rollbacks += caller->rollbacks();
    retries += caller->retries();
    cancels += caller->cancels();
  }
  std::string text = Cat(worker_kills_, " workers killed, ", server_kills_, " servers killed, ",
                         stops_, " stops, ", votes_, " votes, ", cancels, " cancels, ", rollbacks,
                         " rollbacks, ", retries, " retries, ", cleared_, " blocks cleared;");
  for (const auto& [end, count] : ends_) Append(&text, " ", end, " ", count);
  return text;
}

void Crowd::OnEvent(const ExecutionEvent& event) {
  if (event.has_accepted()) {
    const v1::Target& target = event.accepted().target();
    targets_[event.execution()] =
        Cat("targets/", target.kind(), "/", target.namespace_(), "/", target.name());
  }
  if (event.has_approval_requested()) Vote(event);
  if (event.has_job_armed() && OneIn(15)) {
    ++cancels_;
    (void)testing::Cancel(front_.Now(), event.execution(), "that was wrong");
  }
  if (!event.has_state_changed()) return;
  const v1::StateChanged& changed = event.state_changed();
  const bool ended = machine::IsTerminal(changed.to());
  if (ended || changed.block_reason() == Execution::BLOCK_REASON_PREVIOUS_FAILURE) {
    if (testing::ClearBlock(front_.Now(), targets_[event.execution()], "looked at", "operator")
            .ok())
      ++cleared_;
  }
  if (!ended || !ended_.insert(event.execution()).second) return;
  ++ends_[Cat(machine::StateName(changed.to()), "/",
              machine::FailureReasonName(changed.failure_reason()))];
}

// Three people, some of whom say no.
void Crowd::Vote(const ExecutionEvent& event) {
  const v1::ApprovalRequested& asked = event.approval_requested();
  for (int person = 0; person < 3; ++person) {
    if (testing::Decide(front_.Now(), event.execution(), asked.plan_digest(), !OneIn(12),
                        Cat("approver-", person))
            .ok())
      ++votes_;
  }
}

// A stop now and then, lifted when something has happened under it.
void Crowd::StopOrLift() {
  if (!stop_.empty()) {
    if (++seen_under_stop_ > 10) Lift();
    return;
  }
  if (ended() < (2 * stops_ + 1) * kPerStop / 2) return;
  const auto stop = testing::Stop(
      front_.Now(), OneIn(2) ? testing::StopAll() : testing::StopAction("ScaleDeployment"),
      OneIn(3));
  if (!stop.ok()) return;
  stop_ = stop->stop().name();
  seen_under_stop_ = 0;
  ++stops_;
}

void Crowd::Lift() {
  if (stop_.empty()) return;
  if (testing::Lift(front_.Now(), stop_).ok()) stop_.clear();
}

// A worker often, the server now and then.
void Crowd::Kill() {
  if (ended() >= (2 * worker_kills_ + 1) * kPerWorker / 2) {
    ++worker_kills_;
    const std::size_t which = random_() % workers_.size();
    workers_[which]->Signal(SIGKILL);
    workers_[which]->Wait();
    workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(which));
    StartWorker();
  }
  if (ended() >= (2 * server_kills_ + 1) * kPerServer / 2) {
    ++server_kills_;
    front_.Replace();
  }
}

void Crowd::StartWorker() {
  workers_.push_back(system_.StartWorker({}, {"--kubernetes.qps=2000", "--kubernetes.burst=2000"}));
}

}  // namespace capstan::proof
