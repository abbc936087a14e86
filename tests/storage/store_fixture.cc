#include "tests/storage/store_fixture.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"

namespace capstan::storage {
namespace {

std::mutex seen_mu;
std::set<std::string>& Seen() {
  static auto* seen = new std::set<std::string>;
  return *seen;
}

template <class T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "store: %s\n", value.status().ToString().c_str());
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

std::set<std::string> StatementsSeen() {
  const std::lock_guard lock(seen_mu);
  return Seen();
}

Observer NotingObserver() {
  Observer observer;
  observer.statement = [](std::string_view name, absl::Duration, absl::StatusCode) {
    const std::lock_guard lock(seen_mu);
    Seen().insert(std::string(name));
  };
  return observer;
}

NewExecution MakeExecution(const std::string& request_id) {
  NewExecution execution;
  execution.caller = "tester";
  execution.request_id = request_id;
  execution.request_hash = Sha256("body");
  execution.action = "ScaleDeployment";
  execution.accepted = "accepted";
  return execution;
}

Commit MakeStep(const HeldExecution& held, State state, int events) {
  Commit commit;
  commit.id = held.id;
  commit.lease = held.lease;
  commit.expected_seq = held.last_seq;
  commit.state = state;
  commit.machine = absl::StrCat("machine at ", held.last_seq + events);
  for (int i = 1; i <= events; ++i)
    commit.events.push_back(absl::StrCat("event ", held.last_seq + i));
  return commit;
}

Commit MakeEnd(const HeldExecution& held) {
  return MakeStep(held, v1::Execution::STATE_SUCCEEDED, 2);
}

Commit MakePark(const HeldExecution& held, absl::Duration delay) {
  Commit commit = MakeStep(held, v1::Execution::STATE_VALIDATING);
  commit.expected_signals = held.signals;
  commit.park = Park{ParkReason::kRetry, delay};
  return commit;
}

StoreTest::StoreTest(std::string dsn) : dsn_(std::move(dsn)) { options_.dsn = dsn_; }

Submitter& StoreTest::submitter() {
  if (submitter_ == nullptr) submitter_ = Must(OpenSubmitter(options_, NotingObserver(), clock_));
  return *submitter_;
}

Committer& StoreTest::committer() {
  if (committer_ == nullptr) committer_ = Must(OpenCommitter(options_, NotingObserver(), clock_));
  return *committer_;
}

LeaseStore& StoreTest::leases() {
  if (leases_ == nullptr) leases_ = Must(OpenLeaseStore(options_, NotingObserver(), clock_));
  return *leases_;
}

Reader& StoreTest::reader() {
  if (reader_ == nullptr) reader_ = Must(OpenReader(options_, NotingObserver(), clock_));
  return *reader_;
}

std::unique_ptr<FeedTailer> StoreTest::NewTailer() {
  return Must(OpenFeedTailer(options_, NotingObserver(), clock_));
}

absl::StatusOr<SubmitResult> StoreTest::Submit(NewExecution execution) {
  std::promise<absl::StatusOr<SubmitResult>> answer;
  submitter().Submit(std::move(execution),
                     [&](absl::StatusOr<SubmitResult> result) { answer.set_value(result); });
  return answer.get_future().get();
}

std::vector<ExecutionId> StoreTest::SubmitMany(int count) {
  std::vector<std::promise<ExecutionId>> answers(static_cast<std::size_t>(count));
  for (auto& answer : answers) {
    submitter().Submit(MakeExecution(),
                       [&](absl::StatusOr<SubmitResult> r) { answer.set_value(Must(r).id); });
  }
  std::vector<ExecutionId> ids;
  for (auto& answer : answers) ids.push_back(answer.get_future().get());
  return ids;
}

absl::StatusOr<CommitResult> StoreTest::Commit(storage::Commit commit) {
  std::promise<absl::StatusOr<CommitResult>> answer;
  committer().Commit(std::move(commit),
                     [&](absl::StatusOr<CommitResult> result) { answer.set_value(result); });
  return answer.get_future().get();
}

WorkerId StoreTest::NewWorker() { return Must(leases().Register({"host", "0.1.0"})); }

std::vector<HeldExecution> StoreTest::Claim(const WorkerId& worker, int slots) {
  std::vector<HeldExecution> all;
  while (true) {
    const auto held =
        Must(leases().Claim(worker, Queue::kAction, slots - static_cast<int>(all.size())));
    if (held.empty()) return all;
    all.insert(all.end(), held.begin(), held.end());
  }
}

HeldExecution StoreTest::SubmitAndClaim(const WorkerId& worker) {
  const ExecutionId id = Must(Submit(MakeExecution())).id;
  for (const HeldExecution& held : Claim(worker)) {
    if (held.id == id) return held;
  }
  std::abort();
}

std::vector<HeldExecution> StoreTest::HoldTogether(const WorkerId& worker, int count) {
  SubmitMany(count);  // may be flushed apart; waking puts them together
  for (const HeldExecution& held : Claim(worker)) {
    EXPECT_OK(Commit(MakePark(held, absl::ZeroDuration())));
  }
  EXPECT_EQ(Must(leases().WakeDue(count)).count, count);
  return Claim(worker);
}

std::vector<HeldExecution> StoreTest::Reload(const WorkerId& worker, const HeldExecution& held) {
  return Must(leases().Load(worker, {held.lease}, {held.id}));
}

std::int64_t StoreTest::Count(const std::string& table_and_where) {
  return std::stoll(Sql("SELECT count(*) FROM " + table_and_where));
}

}  // namespace capstan::storage
