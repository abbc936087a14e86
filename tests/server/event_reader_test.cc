// Sharing of reads, against a store that counts and can be held up.
#include "server/event_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>

#include "absl/synchronization/notification.h"
#include "tests/support/status_matchers.h"

namespace capstan::server {
namespace {

using ::capstan::testing::StatusIs;

// A Reader of which only the events of executions are asked for.
class FakeReader : public storage::Reader {
 public:
  absl::StatusOr<std::vector<storage::StoredEvent>> ReadAllEvents(
      absl::Span<const ExecutionId> ids) override {
    started.Notify();
    release.WaitForNotification();
    absl::MutexLock lock(&mu);
    ++statements;
    if (!status.ok()) return status;
    std::vector<storage::StoredEvent> rows;
    for (const ExecutionId& id : ids) {
      for (std::int32_t seq = 1; seq <= last_seq[id]; ++seq) {
        rows.push_back({.execution = id, .seq = seq, .time = {}, .body = ""});
      }
    }
    return rows;
  }

  absl::StatusOr<std::vector<storage::StoredEvent>> ReadEvents(const ExecutionId&, std::int32_t,
                                                               int) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::vector<ExecutionId>> ListExecutions(const storage::ExecutionFilter&,
                                                          const ExecutionId&, int) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::vector<ExecutionId>> ListLive(const storage::ExecutionFilter&,
                                                    const ExecutionId&, int) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<storage::SignalResult> AppendSignal(const ExecutionId&,
                                                     const storage::NewSignal&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<storage::StandingRow> ReadStanding(const ExecutionId&) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::vector<storage::WorkerRow>> ListWorkers() override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<Log> ReadLog(const ExecutionId&, std::int64_t, int) override {
    return absl::UnimplementedError("");
  }
  absl::Status CheckReady() override { return absl::OkStatus(); }
  absl::StatusOr<Stats> ReadStats() override { return absl::UnimplementedError(""); }

  absl::Notification release;  // reads wait for it
  struct Once {
    void Notify() {
      absl::MutexLock lock(&mu);
      done = true;
    }
    void Wait() {
      absl::MutexLock lock(&mu);
      mu.Await(absl::Condition(&done));
    }
    absl::Mutex mu;
    bool done = false;
  } started;
  absl::Mutex mu;
  int statements = 0;
  absl::Status status;
  std::map<ExecutionId, std::int32_t> last_seq;
};

class EventReaderTest : public ::testing::Test {
 protected:
  using Answer = std::future<absl::StatusOr<EventListPtr>>;

  Answer Latest(const ExecutionId& id) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<EventListPtr>>>();
    reader_.ReadLatest(id, [promise](auto list) { promise->set_value(std::move(list)); });
    return promise->get_future();
  }
  Answer AtLeast(const ExecutionId& id, std::int32_t seq) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<EventListPtr>>>();
    reader_.ReadAtLeast(id, seq, [promise](auto list) { promise->set_value(std::move(list)); });
    return promise->get_future();
  }

  const ExecutionId id_ = ExecutionId::Make(absl::Now());
  FakeReader store_;
  EventReader reader_{store_, {.threads = 1}};
};

TEST_F(EventReaderTest, CallsThatComeWhileAStatementRunsShareTheNext) {
  store_.last_seq[id_] = 3;
  Answer first = Latest(id_);
  store_.started.Wait();
  std::vector<Answer> others;
  for (int i = 0; i < 50; ++i) others.push_back(Latest(id_));

  store_.release.Notify();

  ASSERT_OK(first.get());
  for (Answer& other : others) {
    const auto list = other.get();
    ASSERT_OK(list);
    EXPECT_EQ((*list)->last_seq(), 3);
  }
  EXPECT_EQ(store_.statements, 2);
}

TEST_F(EventReaderTest, WhatIsKnownToBeStoredIsReadOnceForAllWhoNeedIt) {
  store_.release.Notify();
  store_.last_seq[id_] = 3;
  ASSERT_OK(AtLeast(id_, 3).get());
  ASSERT_OK(AtLeast(id_, 2).get());
  EXPECT_EQ(store_.statements, 1);

  ASSERT_OK(Latest(id_).get());
  EXPECT_EQ(store_.statements, 2) << "the latest must be asked for";

  store_.last_seq[id_] = 4;
  const auto list = AtLeast(id_, 4).get();
  ASSERT_OK(list);
  EXPECT_EQ((*list)->last_seq(), 4);
  EXPECT_EQ(store_.statements, 3);
}

TEST_F(EventReaderTest, AnUnknownExecutionIsNotFoundAndAnAbsentStoreUnavailable) {
  store_.release.Notify();
  EXPECT_THAT(Latest(id_).get(), StatusIs(absl::StatusCode::kNotFound));
  {
    absl::MutexLock lock(&store_.mu);
    store_.status = absl::UnavailableError("away");
  }
  EXPECT_THAT(Latest(id_).get(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(EventReaderTest, AfterStopCallsAreRefused) {
  store_.release.Notify();
  reader_.Stop();

  EXPECT_THAT(Latest(id_).get(), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace capstan::server
