// The checker itself: a good history breaks no promise, and each promise is broken once by the
// smallest change that breaks it.
#include "tests/proof/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/ids.h"
#include "core/kubernetes_names.h"
#include "core/text.h"

namespace capstan::proof {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::IsEmpty;
using v1::Execution;
using v1::ExecutionEvent;

constexpr char kUid[] = "uid-1";

absl::Time At(int second) { return absl::FromUnixSeconds(1'000'000 + second); }

std::string NewName() { return ExecutionName(ExecutionId::Make(At(0))); }

std::string JobName(const std::string& execution) {
  return Cat(kJobNamePrefix, ParseExecutionName(execution)->ToHex());
}

// Appends events of one execution, a second apart.
class Story {
 public:
  Story(History& history, std::string name) : history_(history), name_(std::move(name)) {}

  ExecutionEvent& Event() {
    ExecutionEvent& event = history_.events.emplace_back();
    event.set_execution(name_);
    event.set_seq(++seq_);
    event.mutable_time()->set_seconds(absl::ToUnixSeconds(At(seq_)));
    return event;
  }

  void Accept(const std::string& request, int replicas, bool dry_run = false) {
    v1::Accepted& accepted = *Event().mutable_accepted();
    accepted.set_action("ScaleDeployment");
    accepted.set_request_id(request);
    accepted.set_dry_run(dry_run);
    (*accepted.mutable_parameters()->mutable_fields())["replicas"].set_number_value(replicas);
    target_ = Cat("web-of-", request);
    accepted.mutable_target()->set_kind("Deployment");
    accepted.mutable_target()->set_namespace_("default");
    accepted.mutable_target()->set_name(target_);
    history_.submits.push_back({request, Submitted::Reply::kAccepted, name_});
  }

  v1::StateChanged& To(Execution::State to) {
    v1::StateChanged& changed = *Event().mutable_state_changed();
    changed.set_from(state_);
    changed.set_to(to);
    state_ = to;
    return changed;
  }

  void Decide(bool allow) {
    Event().mutable_policy_evaluated()->mutable_decision()->set_allow(allow);
    history_.decisions.push_back({name_, ++decisions_, allow});
  }

  void End(Execution::State state, Execution::FailureReason reason, Execution::Effect effect) {
    v1::StateChanged& end = To(state);
    end.set_failure_reason(reason);
    end.mutable_outcome()->set_effect(effect);
    if (effect == Execution::EFFECT_APPLIED)
      end.mutable_outcome()->add_resources()->mutable_after();
    history_.outcomes.push_back({name_, state, reason});
  }

  kubesim::AuditEntry& Call(const std::string& verb, const std::string& resource, int second) {
    kubesim::AuditEntry& entry = history_.audit.emplace_back();
    entry.time = At(second);
    entry.verb = verb;
    entry.resource = resource;
    entry.code = 200;
    entry.applied = verb != "get";
    if (resource == "jobs") {
      entry.namespace_name = "capstan-actions";
      entry.name = JobName(name_);
      entry.uid = kUid;
    } else {
      entry.namespace_name = "default";
      entry.name = target_;
    }
    return entry;
  }

  void RunPod(int replicas) {
    history_.pod_runs.push_back({"capstan-actions", "pod", JobName(name_), kUid});
    history_.scales.push_back({"default", target_, 1, replicas, JobName(name_), kUid});
  }

 private:
  History& history_;
  const std::string name_;
  std::string target_;
  Execution::State state_ = Execution::STATE_PENDING;
  int seq_ = 0;
  int decisions_ = 0;
};

// 1 accepted, 2 validating, 3 allowed, 4 artifact, 5 created, 6 running, 7 armed, 8 finished,
// 9 verifying, 10 succeeded.
void Succeed(History& history, const std::string& name, const std::string& request) {
  Story story(history, name);
  story.Accept(request, 3);
  story.To(Execution::STATE_VALIDATING);
  story.Decide(true);
  story.Event().mutable_artifact_stored()->set_artifact("job");
  story.Call("create", "jobs", 4);
  story.Event().mutable_job_created()->mutable_job()->set_uid(kUid);
  story.To(Execution::STATE_RUNNING);
  story.Call("patch", "jobs", 6);
  story.Event().mutable_job_armed();
  story.RunPod(3);
  story.Event().mutable_job_finished()->set_succeeded(true);
  story.To(Execution::STATE_VERIFYING);
  story.Call("get", "deployments", 9);
  story.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
            Execution::EFFECT_APPLIED);
  for (int epoch : {1, 1, 2}) history.writes.push_back({name, 7, epoch});
}

void Deny(History& history, const std::string& name, const std::string& request) {
  Story story(history, name);
  story.Accept(request, 0);
  story.To(Execution::STATE_VALIDATING);
  story.Decide(false);
  story.End(Execution::STATE_FAILED, Execution::FAILURE_REASON_POLICY_DENIED,
            Execution::EFFECT_NONE);
}

void DryRun(History& history, const std::string& name, const std::string& request) {
  Story story(history, name);
  story.Accept(request, 3, /*dry_run=*/true);
  story.To(Execution::STATE_VALIDATING);
  story.Decide(true);
  story.End(Execution::STATE_SUCCEEDED, Execution::FAILURE_REASON_UNSPECIFIED,
            Execution::EFFECT_NONE);
}

MATCHER_P2(Breaks, property, text, "") {
  return std::any_of(arg.begin(), arg.end(), [&](const Violation& violation) {
    return violation.property == property && violation.text.find(text) != std::string::npos;
  });
}

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    Succeed(history_, good_, "r-good");
    Deny(history_, denied_, "r-denied");
    DryRun(history_, dry_, "r-dry");
    Watched all;
    all.execution = good_;
    all.ended_well = true;
    for (const ExecutionEvent& event : history_.events) {
      if (event.execution() == good_) all.events.push_back(event);
    }
    history_.watched.push_back(all);
    history_.submits.push_back({"r-lost", Submitted::Reply::kUnknown, ""});
    history_.submits.push_back({"r-refused", Submitted::Reply::kRefused, ""});
    history_.healed = At(0);
    history_.load_floor = 3;
  }

  // The one event of the good execution with this seq.
  ExecutionEvent& Good(int seq) { return history_.events[seq - 1]; }
  kubesim::AuditEntry& Call(const std::string& verb) {
    return *std::find_if(history_.audit.begin(), history_.audit.end(),
                         [&](const auto& entry) { return entry.verb == verb; });
  }
  void Remove(const std::string& execution) {
    std::erase_if(history_.events,
                  [&](const auto& event) { return event.execution() == execution; });
    std::erase_if(history_.outcomes, [&](const auto& row) { return row.execution == execution; });
    std::erase_if(history_.decisions, [&](const auto& row) { return row.execution == execution; });
  }

  const std::string good_ = NewName();
  const std::string denied_ = NewName();
  const std::string dry_ = NewName();
  History history_;
};

TEST_F(HistoryTest, AGoodHistoryBreaksNothing) { EXPECT_THAT(Check(history_), IsEmpty()); }

// ---- 1

TEST_F(HistoryTest, AnAcknowledgedSubmitThatIsNotStoredIsFound) {
  Remove(denied_);
  EXPECT_THAT(Check(history_), Breaks(Property::kSubmitsAreKept, "is not stored"));
}

TEST_F(HistoryTest, ARequestIdThatMadeTwoExecutionsIsFound) {
  Deny(history_, NewName(), "r-denied");
  EXPECT_THAT(Check(history_), Breaks(Property::kSubmitsAreKept, "more than one execution"));
}

TEST_F(HistoryTest, AReplyThatNamesTheExecutionOfAnotherRequestIsFound) {
  history_.submits.push_back({"r-good", Submitted::Reply::kAccepted, denied_});
  EXPECT_THAT(Check(history_), Breaks(Property::kSubmitsAreKept, "belongs to another"));
}

TEST_F(HistoryTest, ARefusedSubmitThatIsStoredIsFound) {
  Deny(history_, NewName(), "r-refused");
  std::erase_if(history_.submits, [](const Submitted& submit) {
    return submit.request_id == "r-refused" && submit.reply == Submitted::Reply::kAccepted;
  });
  EXPECT_THAT(Check(history_), Breaks(Property::kSubmitsAreKept, "refused"));
}

TEST_F(HistoryTest, AnUnknownSubmitMayBeStoredOnce) {
  Deny(history_, NewName(), "r-lost");
  std::erase_if(history_.submits, [](const Submitted& submit) {
    return submit.request_id == "r-lost" && submit.reply == Submitted::Reply::kAccepted;
  });
  EXPECT_THAT(Check(history_), IsEmpty());
}

// ---- 2

TEST_F(HistoryTest, AGapInSeqIsFound) {
  history_.events.erase(history_.events.begin() + 3);
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "stands where 4 belongs"));
}

TEST_F(HistoryTest, AnIllegalTransitionIsFound) {
  Good(2).mutable_state_changed()->set_to(Execution::STATE_VERIFYING);
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "from PENDING to VERIFYING"));
}

TEST_F(HistoryTest, ASecondEndIsFound) {
  ExecutionEvent& again = history_.events.emplace_back(Good(10));
  again.set_seq(11);
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "event 11 after the end"));
}

TEST_F(HistoryTest, AFirstEventThatIsNotAcceptedIsFound) {
  Good(1).mutable_job_armed();
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "is first and not Accepted"));
}

TEST_F(HistoryTest, AnEndWithoutItsOutcomeRowIsFound) {
  history_.outcomes.erase(history_.outcomes.begin());
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "has 0 outcome rows"));
}

TEST_F(HistoryTest, AnOutcomeRowThatSaysSomethingElseIsFound) {
  history_.outcomes.front().state = Execution::STATE_CANCELLED;
  EXPECT_THAT(Check(history_), Breaks(Property::kLifeIsLegal, "outcome row says CANCELLED"));
}

// ---- 3

TEST_F(HistoryTest, AWriteUnderAnOlderEpochIsFound) {
  history_.writes.push_back({good_, 7, 1});
  EXPECT_THAT(Check(history_), Breaks(Property::kOwnersOnlyAdvance, "under epoch 1"));
}

TEST_F(HistoryTest, AWriteUnderALeaseThatWasLeftIsFound) {
  history_.writes.push_back({good_, 8, 1});
  history_.writes.push_back({good_, 7, 3});
  EXPECT_THAT(Check(history_), Breaks(Property::kOwnersOnlyAdvance, "moved to another"));
}

TEST_F(HistoryTest, ATakeoverThatWasCountedBeforeIsFound) {
  for (int i = 0; i < 2; ++i) Good(2 + i).mutable_lease_lost()->set_takeovers(1);
  EXPECT_THAT(Check(history_), Breaks(Property::kOwnersOnlyAdvance, "takeover 1 after takeover 1"));
}

// ---- 4

TEST_F(HistoryTest, AJobCreatedBeforeAnAllowIsStoredIsFound) {
  Call("create").time = At(2);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "before an allow"));
}

TEST_F(HistoryTest, ADecisionThatWasNotStoredIsFound) {
  history_.decisions.front().allow = false;
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "is not the stored one"));
}

TEST_F(HistoryTest, AJobThatWasCreatedAgainIsFound) {
  history_.audit.push_back(Call("create"));
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "created 2 times"));
}

TEST_F(HistoryTest, ArmingBeforeTheUidIsRecordedIsFound) {
  Call("patch").time = At(4);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "before its uid was recorded"));
}

TEST_F(HistoryTest, ArmingAnotherJobOfTheSameNameIsFound) {
  Call("patch").uid = "uid-2";
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "uid-2 is not the recorded"));
}

TEST_F(HistoryTest, ArmingTwiceIsFound) {
  history_.audit.push_back(Call("patch"));
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "armed 2 times"));
}

TEST_F(HistoryTest, APodOfAJobThatWasNeverArmedIsFound) {
  std::erase_if(history_.audit, [](const auto& entry) { return entry.verb == "patch"; });
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "never armed"));
}

TEST_F(HistoryTest, ASecondPodIsFound) {
  history_.pod_runs.push_back(history_.pod_runs.front());
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "2 pods ran"));
}

TEST_F(HistoryTest, AnEffectThatHappenedTwiceIsFound) {
  history_.scales.push_back(history_.scales.front());
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "scaled 2 times"));
}

TEST_F(HistoryTest, SuccessWithoutAnyEffectIsFound) {
  history_.pod_runs.clear();
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "SUCCEEDED with 0 pods"));
}

TEST_F(HistoryTest, SuccessWithAnotherEffectThanAskedForIsFound) {
  history_.scales.front().to = 2;
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "not scaled to 3"));
}

TEST_F(HistoryTest, AnEndThatDeniesTheEffectIsFound) {
  Good(10).mutable_state_changed()->mutable_outcome()->set_effect(Execution::EFFECT_NONE);
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "with no effect"));
}

TEST_F(HistoryTest, AnUnknownOutcomeIsFoundUnlessSomebodyInterfered) {
  v1::StateChanged& end = *Good(10).mutable_state_changed();
  end.set_to(Execution::STATE_FAILED);
  end.set_failure_reason(Execution::FAILURE_REASON_OUTCOME_UNKNOWN);
  history_.outcomes.front() = {good_, end.to(), end.failure_reason()};
  history_.watched.clear();
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "nobody interfered"));
  history_.interference = true;
  EXPECT_THAT(Check(history_), IsEmpty());
}

TEST_F(HistoryTest, AJobOfNoExecutionIsFound) {
  Call("create").name = JobName(NewName());
  EXPECT_THAT(Check(history_), Breaks(Property::kOneAllowedEffect, "of no execution"));
}

// ---- 5

TEST_F(HistoryTest, SuccessWithoutTheJobsGoodEndIsFound) {
  Good(8).mutable_job_finished()->set_succeeded(false);
  EXPECT_THAT(Check(history_), Breaks(Property::kSuccessWasSeen, "without a recorded good end"));
}

TEST_F(HistoryTest, AReadBackFromBeforeTheEndIsFound) {
  Call("get").time = At(7);
  EXPECT_THAT(Check(history_), Breaks(Property::kSuccessWasSeen, "not read after"));
}

// ---- 6

TEST_F(HistoryTest, AJobOfADeniedActionIsFound) {
  kubesim::AuditEntry create = Call("create");
  create.name = JobName(denied_);
  history_.audit.push_back(create);
  EXPECT_THAT(Check(history_), Breaks(Property::kNothingWhenNotAllowed, "not allowed"));
}

TEST_F(HistoryTest, AJobOfADryRunIsFound) {
  kubesim::AuditEntry create = Call("create");
  create.name = JobName(dry_);
  history_.audit.push_back(create);
  EXPECT_THAT(Check(history_), Breaks(Property::kNothingWhenNotAllowed, "a dry run"));
}

// ---- 7

TEST_F(HistoryTest, AWatcherThatMissedAnEventIsFound) {
  std::vector<ExecutionEvent>& events = history_.watched.front().events;
  events.erase(events.begin() + 4);
  EXPECT_THAT(Check(history_), Breaks(Property::kWatchersSeeTheStore, "in the place of 5"));
}

TEST_F(HistoryTest, AWatcherThatGotAnEventTwiceIsFound) {
  std::vector<ExecutionEvent>& events = history_.watched.front().events;
  events.insert(events.begin() + 4, events[4]);
  EXPECT_THAT(Check(history_), Breaks(Property::kWatchersSeeTheStore, "event 5 in the place of 6"));
}

TEST_F(HistoryTest, AWatcherThatGotAnotherEventThanTheStoredOneIsFound) {
  history_.watched.front().events[4].set_causation_id("event/1");
  EXPECT_THAT(Check(history_), Breaks(Property::kWatchersSeeTheStore, "not the stored one"));
}

TEST_F(HistoryTest, AStreamThatEndedWellTooEarlyIsFound) {
  history_.watched.front().events.pop_back();
  EXPECT_THAT(Check(history_), Breaks(Property::kWatchersSeeTheStore, "ended well after event 9"));
  history_.watched.front().ended_well = false;
  EXPECT_THAT(Check(history_), IsEmpty());
}

TEST_F(HistoryTest, AWatcherMayBeginInTheMiddle) {
  Watched& watched = history_.watched.front();
  watched.after_seq = 4;
  watched.events.erase(watched.events.begin(), watched.events.begin() + 4);
  EXPECT_THAT(Check(history_), IsEmpty());
}

// ---- 11

TEST_F(HistoryTest, AStrandedExecutionIsFound) {
  history_.events.pop_back();  // the dry run's end
  history_.outcomes.pop_back();
  EXPECT_THAT(Check(history_), Breaks(Property::kEverythingEnds, "has not ended"));
}

TEST_F(HistoryTest, AnEndThatComesTooLateIsFound) {
  history_.healed = At(0) - history_.time_to_end;
  EXPECT_THAT(Check(history_), Breaks(Property::kEverythingEnds, "ended later than 1m"));
}

TEST_F(HistoryTest, ARunThatDidTooLittleIsFound) {
  history_.load_floor = 4;
  EXPECT_THAT(Check(history_), Breaks(Property::kEverythingEnds, "the load floor is 4"));
}

TEST(HistoryOfManyTest, AHundredThousandEventsAreChecked) {
  History history;
  for (int i = 0; i < 10'000; ++i) Succeed(history, NewName(), Cat("r-", i));
  history.load_floor = 10'000;
  EXPECT_EQ(history.events.size(), 100'000u);
  EXPECT_THAT(Check(history), IsEmpty());
  history.events[54'321].set_seq(99);
  EXPECT_THAT(Check(history), Contains(Field(&Violation::property, Property::kLifeIsLegal)));
}

}  // namespace
}  // namespace capstan::proof
