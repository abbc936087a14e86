// Submits of the same key from several servers, and connections that end under a flush.
#include <future>

#include "absl/strings/str_cat.h"
#include "tests/storage/races/races.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::IsOkAndHolds;
using ::testing::SizeIs;

using Answer = absl::StatusOr<SubmitResult>;

class SubmitRaces : public Races {
 protected:
  // Ends the sessions of one of our connections ("submit") while it may be at work.
  void EndSession(const std::string& purpose) {
    static const Statement kEnd{
        "test_end_session",
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name LIKE $1::text AND datname = current_database()"};
    if (killer_ == nullptr) killer_ = Connect();
    EXPECT_OK(killer_->Run(kEnd, Params().Add(absl::StrCat("%/", purpose))));
  }
  // Counts what is sent again, and how often a flush that was sent again was found stored.
  Observer CountRetries() {
    Observer observer = NotingObserver();
    observer.retry = [this](std::string_view, absl::StatusCode) { ++retries_; };
    options_.reconnect_least = absl::Milliseconds(1);
    options_.reconnect_most = absl::Milliseconds(20);
    return observer;
  }

  std::atomic<int> retries_ = 0;

 private:
  std::unique_ptr<Connection> killer_;
};

TEST_F(SubmitRaces, Hole8_AKeyHasOneWinnerAndEverybodyGetsItsId) {
  constexpr int kKeys = 3;
  auto rival = OpenSubmitter(options_, NotingObserver(), clock_);
  ASSERT_OK(rival);
  submitter();
  int race = 0;
  std::vector<Answer> here(kKeys), there(kKeys);
  const auto submit = [&](Submitter& to, bool backwards, bool other_body,
                          std::vector<Answer>& answers) {
    std::vector<std::promise<Answer>> done(kKeys);
    for (int i = 0; i < kKeys; ++i) {
      const int key = backwards ? kKeys - 1 - i : i;
      NewExecution execution = MakeExecution(absl::StrCat("race ", race, " key ", key));
      if (other_body && key == 1) execution.request_hash.back() ^= 1;
      auto& answer = done[static_cast<std::size_t>(key)];
      to.Submit(std::move(execution), [&answer](Answer result) { answer.set_value(result); });
    }
    for (std::size_t key = 0; key < kKeys; ++key) answers[key] = done[key].get_future().get();
  };
  RunRaces({.prepare = {},
            .a = [&] { submit(submitter(), false, false, here); },
            .b = [&] { submit(**rival, true, race % 5 == 0, there); },
            .a_was_first =
                [&] {
                  const bool other_body = race++ % 5 == 0;
                  for (std::size_t key = 0; key < kKeys; ++key) {
                    if (other_body && key == 1) {
                      const bool a = here[key].ok(), b = there[key].ok();
                      Keep(a != b, "one body wins, the other is refused");
                      Keep(absl::IsAlreadyExists((a ? there : here)[key].status()), "not refused");
                      continue;
                    }
                    Keep(here[key].ok() && there[key].ok(), "a submit failed");
                    if (!here[key].ok() || !there[key].ok()) continue;
                    Keep(here[key]->id == there[key]->id, "two executions for a key");
                    Keep(here[key]->deduplicated != there[key]->deduplicated, "not one winner");
                  }
                  return here[0].ok() && !here[0]->deduplicated;
                }});

  EXPECT_EQ(Count("execution"), kKeys * RaceCount());
  EXPECT_EQ(Sql("SELECT sum(cardinality(ids)) FROM lease"), absl::StrCat(kKeys * RaceCount()));
}

TEST_F(SubmitRaces, Hole5_ASubmitWhoseSessionEndsIsStoredOnce) {
  const Observer observer = CountRetries();
  auto opened = OpenSubmitter(options_, observer, clock_);
  ASSERT_OK(opened);
  int submits = 0;
  const auto submit = [&] {
    std::promise<Answer> answer;
    (*opened)->Submit(MakeExecution(++submits % 2 == 0 ? "" : absl::StrCat("key ", submits)),
                      [&](Answer result) { answer.set_value(result); });
    return answer.get_future().get();
  };
  Answer answer;
  RunRaces({.prepare = [&] { retries_ = 0; },
            .a = [&] { answer = submit(); },
            .b = [&] { EndSession("submit"); },
            .a_was_first =
                [&] {
                  Keep(answer.ok() && !answer->deduplicated, "a submit was not settled as its own");
                  const bool undisturbed = retries_ == 0;
                  if (undisturbed) {  // the next one finds the session gone and makes a new one
                    EXPECT_OK(submit());
                  }
                  return undisturbed;
                }});

  EXPECT_EQ(Count("execution"), submits);
  EXPECT_EQ(Sql("SELECT sum(cardinality(ids)) FROM lease"), absl::StrCat(submits));
}

TEST_F(SubmitRaces, Hole5_AStepWhoseSessionEndsIsStoredOnce) {
  HeldExecution held = SubmitAndClaim(NewWorker());
  const Observer observer = CountRetries();
  auto opened = OpenCommitter(options_, observer, clock_);
  ASSERT_OK(opened);
  int number = 0;
  const auto step = [&] {
    auto commit = MakeStep(held, v1::Execution::STATE_VALIDATING, 2);
    commit.decision = NewDecision{++number, true, "digest", "{}", "{}"};
    std::promise<absl::StatusOr<CommitResult>> answer;
    (*opened)->Commit(std::move(commit),
                      [&](absl::StatusOr<CommitResult> result) { answer.set_value(result); });
    return answer.get_future().get();
  };
  absl::StatusOr<CommitResult> answer;
  RunRaces({.prepare = [&] { retries_ = 0; },
            .a = [&] { answer = step(); },
            .b = [&] { EndSession("commit"); },
            .a_was_first =
                [&] {
                  Keep(answer.ok() && *answer == CommitResult::kCommitted,
                       "a step was not settled");
                  held.last_seq += 2;
                  const bool undisturbed = retries_ == 0;
                  if (undisturbed) {
                    EXPECT_THAT(step(), IsOkAndHolds(CommitResult::kCommitted));
                    held.last_seq += 2;
                  }
                  return undisturbed;
                }});

  const auto events = reader().ReadEvents(held.id, 0, 10'000);
  ASSERT_OK(events);
  ASSERT_THAT(*events, SizeIs(held.last_seq)) << "each once";
  for (int i = 0; i < held.last_seq; ++i)
    EXPECT_EQ((*events)[static_cast<std::size_t>(i)].seq, i + 1);
  EXPECT_EQ(Count("policy_decision"), number);
}

}  // namespace
}  // namespace capstan::storage
