// Two operations that meet, many times over. Each race is one pair of calls on real connections,
// started at the same moment; the starts are then moved against each other so that either side
// comes first about as often, which is where the window in between lies.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/storage/store_fixture.h"

namespace capstan::storage {

// Of each kind: 150, or CAPSTAN_RACES.
int RaceCount();

struct Race {
  // Before each race; may be empty.
  std::function<void()> prepare;
  // The two sides, each on a thread of its own.
  std::function<void()> a, b;
  // After each race: checks what became of it (see RaceTrack::Keep) and says whether `a` was first.
  std::function<bool()> a_was_first;
};

// A clock whose boot time stands still until it is moved.
class HandClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
  absl::Duration BootTime() override { return absl::Microseconds(micros_.load()); }
  bool SleepFor(absl::Duration duration, std::stop_token stop) override {
    return system_.SleepFor(duration, stop);
  }
  void Advance(absl::Duration by) { micros_ += absl::ToInt64Microseconds(by); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> micros_ = 0;
};

// Part of a fixture.
class RaceTrack {
 protected:
  // Runs `race` RaceCount() times and prints how it went. Fails when something was lost or when one
  // side was always first: then it was no race.
  void RunRaces(const Race& race);
  // Counts a promise that was not kept as lost; the first few say why. Thread-safe.
  void Keep(bool kept, const std::string& promise);

 private:
  std::atomic<int> lost_ = 0;
};

class Races : public StoreTest, protected RaceTrack {
 protected:
  // `count` executions, each alone in a lease of `worker`.
  std::vector<HeldExecution> HoldMany(const WorkerId& worker, int count);
  std::unique_ptr<Connection> Connect();
  // A second process.
  std::unique_ptr<LeaseStore> OtherLeases(Clock& clock);
  void MarkDead(const WorkerId& worker);
  // Takes the leases of those that are marked dead.
  int Reap(const WorkerId& survivor);
  // Where the execution stood when its last signal was stored.
  std::int64_t SeqOfLastSignal();
  // Events by execution, in the order of `ids`: their numbers.
  std::vector<std::vector<int>> Seqs(const std::vector<ExecutionId>& ids);

  // Waits until `count` sessions of this database wait for locks; fails after half a minute.
  void AwaitBlocked(int count);
  // A transaction that holds the row of `table` with this id.
  std::unique_ptr<Connection> Block(const std::string& table, const std::string& id);

 private:
  Connection& kept();

  std::unique_ptr<Connection> kept_;
};

}  // namespace capstan::storage
