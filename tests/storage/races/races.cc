#include "tests/storage/races/races.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::testing::SizeIs;

constexpr int kFewRaces = 150;
constexpr int kMostFailures = 5;  // that are told in words
constexpr absl::Duration kPatience = absl::Seconds(30);

// How far the start of one side is moved after it was first: twice as far each time that it is
// first again. And how far at most.
constexpr int kStepMicros = 25;
constexpr int kLongStepMicros = 2000;
constexpr int kMostMicros = 100'000;

const Statement kMarkDead{
    "test_mark_dead",
    "UPDATE worker SET dead_at = clock_timestamp() WHERE id = $1::uuid RETURNING id"};
const Statement kLastSignal{"test_last_signal",
                            "SELECT seqs[1]::bigint FROM feed WHERE kind = 2 "
                            "ORDER BY position DESC LIMIT 1"};

void Spin(absl::Duration duration) {
  const absl::Time until = absl::Now() + duration;
  while (absl::Now() < until) std::this_thread::yield();
}

// The second thread. Both sides meet at each race, then `b` runs there and `a` here.
class Rival {
 public:
  explicit Rival(const std::function<void()>& b) : b_(b), thread_([this] { Loop(); }) {}
  ~Rival() {
    Begin(-1);
    thread_.join();
  }

  // Runs both; `lead` is how much later `a` starts than `b` (less than nothing: earlier).
  void Meet(const std::function<void()>& a, absl::Duration lead) {
    lead_ = lead;
    ready_ = 0;
    Begin(++races_);
    ++ready_;
    while (ready_ < 2) std::this_thread::yield();
    Spin(lead);
    a();
    ended_.wait(races_ - 1);
  }

 private:
  void Begin(int race) {
    begun_ = race;
    begun_.notify_one();
  }
  void Loop() {
    for (int seen = 0;;) {
      begun_.wait(seen);
      seen = begun_;
      if (seen < 0) return;
      ++ready_;
      while (ready_ < 2) std::this_thread::yield();
      Spin(-lead_);
      b_();
      ended_ = seen;
      ended_.notify_one();
    }
  }

  const std::function<void()>& b_;
  absl::Duration lead_;
  int races_ = 0;
  std::atomic<int> begun_ = 0, ended_ = 0, ready_ = 0;
  std::thread thread_;
};

}  // namespace

int RaceCount() {
  const char* count = std::getenv("CAPSTAN_RACES");
  return count != nullptr ? std::atoi(count) : kFewRaces;
}

void RaceTrack::RunRaces(const Race& race) {
  const int races = RaceCount();
  int a_first = 0, lead = 0, step = kStepMicros;
  bool before = false;
  std::minstd_rand random(1);
  std::uniform_int_distribution<int> jitter(-2 * kStepMicros, 2 * kStepMicros);
  {
    Rival rival(race.b);
    for (int i = 0; i < races; ++i) {
      if (race.prepare) race.prepare();
      if (::testing::Test::HasFatalFailure()) break;
      rival.Meet(race.a, absl::Microseconds(lead + jitter(random)));
      const bool first = race.a_was_first();
      a_first += first ? 1 : 0;
      step = first == before ? std::min(2 * step, kLongStepMicros) : kStepMicros;
      before = first;
      lead = std::clamp(lead + (first ? step : -step), -kMostMicros, kMostMicros);
    }
  }
  std::printf("%s: races=%d lost=%d first=%d/%d\n",
              ::testing::UnitTest::GetInstance()->current_test_info()->name(), races, lost_.load(),
              a_first, races - a_first);
  EXPECT_EQ(lost_, 0);
  EXPECT_GT(a_first, 0) << "one side was always second: no race";
  EXPECT_LT(a_first, races) << "one side was always first: no race";
}

void RaceTrack::Keep(bool kept, const std::string& promise) {
  if (kept) return;
  if (++lost_ <= kMostFailures) ADD_FAILURE() << promise;
}

std::vector<HeldExecution> Races::HoldMany(const WorkerId& worker, int count) {
  options_.action_lease_size = 1;
  SubmitMany(count);
  auto held = Claim(worker, count);
  EXPECT_THAT(held, SizeIs(count));
  return held;
}

std::unique_ptr<Connection> Races::Connect() {
  return std::make_unique<Connection>(options_, "test", Planning::kGeneric, Observer(), clock_);
}

Connection& Races::kept() {
  if (kept_ == nullptr) kept_ = Connect();
  return *kept_;
}

std::unique_ptr<LeaseStore> Races::OtherLeases(Clock& clock) {
  auto leases = OpenLeaseStore(options_, NotingObserver(), clock);
  EXPECT_OK(leases);
  return leases.ok() ? *std::move(leases) : nullptr;
}

void Races::MarkDead(const WorkerId& worker) {
  EXPECT_OK(kept().Run(kMarkDead, Params().Add(worker)));
}

int Races::Reap(const WorkerId& survivor) {
  const auto freed = leases().ReapLostWorkers(survivor, absl::Hours(1));
  EXPECT_OK(freed);
  return freed.value_or(-1);
}

std::int64_t Races::SeqOfLastSignal() {
  const auto rows = kept().Run(kLastSignal);
  EXPECT_OK(rows);
  return rows.ok() && !rows->empty() ? rows->Int(0, 0) : -1;
}

std::vector<std::vector<int>> Races::Seqs(const std::vector<ExecutionId>& ids) {
  constexpr std::size_t kSlice = 100;
  std::map<ExecutionId, std::vector<int>> seqs;
  for (std::size_t from = 0; from < ids.size(); from += kSlice) {
    const std::size_t count = std::min(kSlice, ids.size() - from);
    const auto events = reader().ReadAllEvents(absl::MakeSpan(ids).subspan(from, count));
    EXPECT_OK(events);
    if (!events.ok()) break;
    for (const StoredEvent& event : *events) seqs[event.execution].push_back(event.seq);
  }
  std::vector<std::vector<int>> in_order;
  for (const ExecutionId& id : ids) in_order.push_back(seqs[id]);
  return in_order;
}

void Races::AwaitBlocked(int count) {
  const absl::Time until = absl::Now() + kPatience;
  while (Count("pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") <
         count) {
    ASSERT_LT(absl::Now(), until) << "fewer than " << count << " sessions wait for a lock";
  }
}

std::unique_ptr<Connection> Races::Block(const std::string& table, const std::string& id) {
  auto connection = Connect();
  EXPECT_OK(connection->Begin());
  EXPECT_OK(connection->RunScript(
      "block", absl::StrCat("SELECT FROM ", table, " WHERE id = '", id, "' FOR UPDATE").c_str()));
  return connection;
}

}  // namespace capstan::storage
