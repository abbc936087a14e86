#include "worker/task/transcript.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace capstan::worker {
namespace {

using ::capstan::testing::IsOk;
using ::capstan::testing::StatusIs;
using storage::NewTranscriptEntry;
using storage::TranscriptRole;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Keeps what is appended, as the store does: gapless, each number once.
class TranscriptTest : public ::testing::Test {
 protected:
  TranscriptTest()
      : transcript_(std::make_shared<Transcript>(
            1,
            [this](std::int64_t first, absl::Span<const NewTranscriptEntry> entries) {
              ++appends_;
              if (!error_.ok()) return error_;
              EXPECT_EQ(first, static_cast<std::int64_t>(stored_.size()) + 1);
              stored_.insert(stored_.end(), entries.begin(), entries.end());
              return absl::OkStatus();
            },
            [this](absl::Duration delay, std::function<void()> flush) {
              EXPECT_EQ(delay, kTranscriptFlushInterval);
              scheduled_.push_back(std::move(flush));
            })) {}

  void Add(const std::string& text, int times = 1) {
    for (int i = 0; i < times; ++i) transcript_->Add("build", 1, 2, TranscriptRole::kChunk, text);
  }
  std::vector<std::string> Texts() const {
    std::vector<std::string> texts;
    for (const NewTranscriptEntry& entry : stored_) texts.push_back(entry.text);
    return texts;
  }

  std::vector<NewTranscriptEntry> stored_;
  absl::Status error_;
  int appends_ = 0;
  std::vector<std::function<void()>> scheduled_;
  std::shared_ptr<Transcript> transcript_;
  Redactor redactor_{{"hunter22"}};
};

TEST_F(TranscriptTest, S4_22_FiftyEntriesAreStoredAtOnce) {
  Add("x", 49);
  EXPECT_THAT(stored_, IsEmpty());

  Add("x");

  EXPECT_THAT(stored_, SizeIs(50));
  EXPECT_EQ(appends_, 1);
}

TEST_F(TranscriptTest, S4_22_FewerAreStoredAfterFiveSeconds) {
  Add("a");
  Add("b");
  ASSERT_THAT(scheduled_, SizeIs(1)) << "once for all that wait";

  scheduled_[0]();

  EXPECT_THAT(Texts(), ElementsAre("a", "b"));
  Add("c");
  EXPECT_THAT(scheduled_, SizeIs(2)) << "and again for the next";
}

TEST_F(TranscriptTest, ATimerThatFiresWhenTheTaskIsGoneDoesNothing) {
  Add("a");
  transcript_.reset();

  scheduled_[0]();

  EXPECT_EQ(appends_, 0);
}

TEST_F(TranscriptTest, WhatCouldNotBeStoredIsStoredLaterInOrder) {
  error_ = absl::UnavailableError("away");
  Add("a", 50);
  Add("b");
  EXPECT_THAT(transcript_->Flush(), StatusIs(absl::StatusCode::kUnavailable));

  error_ = absl::OkStatus();

  EXPECT_OK(transcript_->Flush());
  ASSERT_THAT(stored_, SizeIs(51));
  EXPECT_EQ(stored_.back().text, "b");
}

TEST_F(TranscriptTest, ALongTextBecomesSeveralEntriesCutBetweenCharacters) {
  const std::string text = absl::StrCat(std::string(kTranscriptEntryBytes - 1, 'x'), "üy");

  Add(text);
  ASSERT_OK(transcript_->Flush());

  EXPECT_THAT(stored_, SizeIs(2));
  EXPECT_EQ(stored_[0].text.size(), kTranscriptEntryBytes - 1);
  EXPECT_EQ(stored_[1].text, "üy");
}

TEST_F(TranscriptTest, TextThatIsNotUtf8IsMendedAndAnEmptyOneIsAnEntry) {
  Add(std::string("a\xff\0", 3));
  Add("");
  ASSERT_OK(transcript_->Flush());

  EXPECT_THAT(Texts(), ElementsAre("a\xEF\xBF\xBD\xEF\xBF\xBD", ""));
}

TEST_F(TranscriptTest, StepsThatRunAtTheSameTimeShareIt) {
  std::vector<std::thread> steps;
  for (int i = 0; i < 4; ++i) steps.emplace_back([this] { Add("x", 100); });
  for (std::thread& step : steps) step.join();

  ASSERT_OK(transcript_->Flush());

  EXPECT_THAT(stored_, SizeIs(400));
}

// ---- of one iteration

class IterationTranscriptTest : public TranscriptTest {
 protected:
  IterationTranscript iteration_{*transcript_, redactor_, "build", 1, 2};

  std::vector<std::string> Roles() const {
    std::vector<std::string> out;
    for (const NewTranscriptEntry& entry : stored_)
      out.push_back(absl::StrCat(static_cast<int>(entry.role), " ", entry.text));
    return out;
  }
};

TEST_F(IterationTranscriptTest, S4_21_ThePromptTheChunksTheResponseAndAllOfItAreThere) {
  iteration_.Entry(TranscriptRole::kPrompt, "Do it.");
  EXPECT_OK(iteration_.Flush());
  EXPECT_THAT(stored_, SizeIs(1)) << "before the call";
  iteration_.Text("I do");
  iteration_.Text(" it.\nDone");
  iteration_.Entry(TranscriptRole::kResponse, "{}");

  EXPECT_OK(iteration_.End());

  EXPECT_THAT(Roles(),
              ElementsAre("1 Do it.", "2 I do it.\n", "2 Done", "5 {}", "6 I do it.\nDone"));
  EXPECT_EQ(stored_[0].step, "build");
  EXPECT_EQ(stored_[0].attempt, 1);
  EXPECT_EQ(stored_[0].iteration, 2);
}

TEST_F(IterationTranscriptTest, ASecretThatComesInPiecesIsNotKept) {
  iteration_.Text("it is hunt");
  iteration_.Text("er22, and\nmore");
  iteration_.Entry(TranscriptRole::kToolResult, "hunter22");

  EXPECT_OK(iteration_.End());

  EXPECT_THAT(Texts(), ElementsAre("it is [redacted], and\n", "more", "[redacted]",
                                   "it is [redacted], and\nmore"));
}

TEST_F(IterationTranscriptTest, APrivateKeyThatComesInPiecesIsNotKept) {
  iteration_.Text("it is\n-----BEGIN RSA PRIVATE KEY-----\n");
  iteration_.Text("MIIBOgIBAAJBAK\n");
  iteration_.Text("-----END RSA PRIVATE KEY-----\nthere\n");

  EXPECT_OK(iteration_.End());

  EXPECT_THAT(Texts(), ElementsAre("it is\n", "[redacted]\nthere\n", "it is\n[redacted]\nthere\n"));
}

TEST_F(IterationTranscriptTest, APrivateKeyWithoutItsEndIsNotKeptEither) {
  iteration_.Text("-----BEGIN PRIVATE KEY-----\nMIIBOgIBAAJBAK\n");

  EXPECT_OK(iteration_.End());

  EXPECT_THAT(Texts(), ElementsAre("[redacted]", "[redacted]"));
}

TEST_F(IterationTranscriptTest, ALineWithoutAnEndIsKeptWhenTheIterationEnds) {
  iteration_.Text("half a line");
  EXPECT_OK(iteration_.Flush());
  EXPECT_THAT(stored_, IsEmpty());

  EXPECT_OK(iteration_.End());

  EXPECT_THAT(Texts(), ElementsAre("half a line", "half a line"));
}

TEST_F(IterationTranscriptTest, WhatIsSaidBeyondTheLimitIsCountedAndNotKept) {
  const std::string line = std::string(kTranscriptEntryBytes - 1, 'x') + "\n";
  for (std::size_t i = 0; i < kTranscriptIterationBytes / line.size(); ++i) iteration_.Text(line);
  const std::size_t kept = stored_.size();

  iteration_.Text("one more\n");
  EXPECT_OK(iteration_.End());

  ASSERT_GT(stored_.size(), kept);
  const std::vector<std::string> roles = Roles();
  EXPECT_THAT(roles, ::testing::Contains("7 9 more bytes of text were not kept"));
  EXPECT_THAT(roles, ::testing::Not(::testing::Contains(HasSubstr("one more\n"))));
}

TEST_F(IterationTranscriptTest, AnErrorOfTheStoreIsKnownAtTheEnd) {
  error_ = absl::FailedPreconditionError("fenced");
  iteration_.Text("a\n");

  EXPECT_THAT(iteration_.End(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(IterationTranscriptTest, AnIterationThatSaidNothingStoresNothing) {
  EXPECT_OK(iteration_.End());

  EXPECT_EQ(appends_, 0);
}

}  // namespace
}  // namespace capstan::worker
