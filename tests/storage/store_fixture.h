// What the store's tests have in common: a database of their own, the parts of the store on it, and
// short ways to make and advance executions.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "storage/connection.h"
#include "storage/store.h"
#include "tests/support/postgres/postgres.h"
#include "tests/support/status_matchers.h"

namespace capstan::storage {

// Names of all statements that any test of this process has run.
std::set<std::string> StatementsSeen();
// Notes statements in the above.
Observer NotingObserver();

NewExecution MakeExecution(const std::string& request_id = "");
// A step that appends `events` events and stays in `state`.
Commit MakeStep(const HeldExecution& held, State state, int events = 1);
Commit MakeEnd(const HeldExecution& held);
Commit MakePark(const HeldExecution& held, absl::Duration delay);

class StoreTest : public ::testing::Test {
 protected:
  explicit StoreTest(std::string dsn = testing::TestPostgres::Shared().NewDatabase());

  Submitter& submitter();
  Committer& committer();
  LeaseStore& leases();
  Reader& reader();
  std::unique_ptr<FeedTailer> NewTailer();

  // Blocking forms.
  absl::StatusOr<SubmitResult> Submit(NewExecution execution);
  std::vector<ExecutionId> SubmitMany(int count);
  absl::StatusOr<CommitResult> Commit(storage::Commit commit);
  WorkerId NewWorker();
  // Claims all there is, at most `slots`.
  std::vector<HeldExecution> Claim(const WorkerId& worker, int slots = 1000);
  // Submits one and claims it.
  HeldExecution SubmitAndClaim(const WorkerId& worker);
  // `count` executions that share a lease of `worker`.
  std::vector<HeldExecution> HoldTogether(const WorkerId& worker, int count);
  // Loads one execution again.
  std::vector<HeldExecution> Reload(const WorkerId& worker, const HeldExecution& held);

  std::string Sql(const std::string& sql) { return testing::SqlValue(dsn_, sql); }
  std::int64_t Count(const std::string& table_and_where);

  const std::string dsn_;
  StoreOptions options_;
  SystemClock clock_;

 private:
  std::unique_ptr<Submitter> submitter_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<LeaseStore> leases_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace capstan::storage
