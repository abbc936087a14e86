#include "worker/kubernetes/log_reader.h"

#include <gmock/gmock.h>

#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/kubernetes/cluster_fixture.h"
#include "tests/worker/kubernetes/instant_clock.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::ReceivedRequest;
using ::capstan::testing::ScriptedServer;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A log whose bytes tell where they stand.
std::string LogOf(size_t size) {
  std::string log;
  while (log.size() < size) log += std::to_string(log.size()) + "\n";
  log.resize(size);
  return log;
}

class LogReaderTest : public ::testing::Test {
 protected:
  LogPiece Read(const std::string& log, uint64_t offset, bool ended) {
    ScriptedServer server([&](const ReceivedRequest& request) {
      target_ = request.target;
      return Answer(200, log);
    });
    auto client = Client::Create({.server = server.Url()}, clock_).value();
    return ReadLogPiece(*client, {"actions", "pod", "main"}, offset, ended).value();
  }
  LogPiece ReadAnswer(int code, const std::string& message, bool ended) {
    const Json body = {{"kind", "Status"}, {"code", code}, {"message", message}};
    ScriptedServer server([&](const ReceivedRequest&) { return Answer(code, body.dump()); });
    auto client = Client::Create({.server = server.Url()}, clock_).value();
    return ReadLogPiece(*client, {"actions", "pod", "main"}, 5, ended).value();
  }

  InstantClock clock_;
  std::string target_;
};

TEST_F(LogReaderTest, ARunningContainerGivesWhatIsNew) {
  const LogPiece piece = Read("hello world", 6, false);

  EXPECT_EQ(piece.offset, 6);
  EXPECT_EQ(piece.bytes, "world");
  EXPECT_EQ(piece.next_offset, 11);
  EXPECT_FALSE(piece.truncated);
}

TEST_F(LogReaderTest, NothingNewIsAnEmptyPiece) {
  const LogPiece piece = Read("hello", 5, false);

  EXPECT_THAT(piece.bytes, IsEmpty());
  EXPECT_EQ(piece.next_offset, 5);
}

TEST_F(LogReaderTest, ARunningContainerIsReadUpToTheHeadOnly) {
  const std::string log = LogOf(kLogHeadBytes + 1000);

  const LogPiece piece = Read(log, 10, false);

  EXPECT_TRUE(piece.bytes == log.substr(10, kLogHeadBytes - 10));
  EXPECT_EQ(piece.next_offset, kLogHeadBytes);
  EXPECT_THAT(target_, HasSubstr("limitBytes=1048576"));
}

TEST_F(LogReaderTest, BeyondTheHeadARunningContainerIsNotAskedAtAll) {
  const LogPiece piece = Read("unread", kLogHeadBytes, false);

  EXPECT_THAT(piece.bytes, IsEmpty());
  EXPECT_THAT(target_, IsEmpty());
}

TEST_F(LogReaderTest, AnEndedContainerGivesTheRestWhenItFits) {
  const std::string log = LogOf(kLogHeadBytes + kLogTailBytes);

  const LogPiece piece = Read(log, 7, true);

  EXPECT_TRUE(piece.bytes == log.substr(7));
  EXPECT_EQ(piece.next_offset, log.size());
  EXPECT_FALSE(piece.truncated);
  EXPECT_EQ(piece.gap_begin, piece.gap_end);
}

TEST_F(LogReaderTest, ALongLogLosesItsMiddle) {
  const std::string log = LogOf(kLogHeadBytes + 4 * kLogTailBytes + 123);

  const LogPiece piece = Read(log, 100, true);

  EXPECT_TRUE(piece.truncated);
  EXPECT_EQ(piece.gap_begin, kLogHeadBytes);
  EXPECT_EQ(piece.gap_end, log.size() - kLogTailBytes);
  EXPECT_TRUE(piece.bytes == log.substr(100, kLogHeadBytes - 100) + log.substr(piece.gap_end));
  EXPECT_EQ(piece.next_offset, log.size());
}

TEST_F(LogReaderTest, ReadingTheEndAgainGivesNothing) {
  const std::string log = LogOf(kLogHeadBytes + 4 * kLogTailBytes);

  const LogPiece piece = Read(log, log.size(), true);

  EXPECT_THAT(piece.bytes, IsEmpty());
  EXPECT_EQ(piece.next_offset, log.size());
  EXPECT_FALSE(piece.truncated);
}

TEST_F(LogReaderTest, ALogThatWasRotatedAwayIsMarked) {
  const LogPiece piece = Read("new file", 500, true);

  EXPECT_TRUE(piece.truncated);
  EXPECT_EQ(piece.next_offset, 500);
}

TEST_F(LogReaderTest, APodThatIsGoneIsMissingAndNoError) {
  const LogPiece piece = ReadAnswer(404, "pods \"pod\" not found", true);

  EXPECT_TRUE(piece.missing);
  EXPECT_EQ(piece.next_offset, 5);
}

TEST_F(LogReaderTest, AContainerThatHasNotStartedHasNothingYet) {
  const LogPiece piece = ReadAnswer(
      400, "container \"main\" in pod \"pod\" is waiting to start: ContainerCreating", false);

  EXPECT_FALSE(piece.missing);
  EXPECT_THAT(piece.bytes, IsEmpty());
}

TEST_F(LogReaderTest, AFailedReadIsAnError) {
  ScriptedServer server([&](const ReceivedRequest&) { return Answer(500, "kubelet"); });
  auto client = Client::Create({.server = server.Url()}, clock_).value();

  EXPECT_THAT(ReadLogPiece(*client, {"actions", "pod", "main"}, 0, true),
              StatusIs(absl::StatusCode::kUnavailable));
}

class LogReaderClusterTest : public ClusterTest {};

TEST_F(LogReaderClusterTest, ALogIsCopiedWhileTheContainerRunsAndAfterItEnded) {
  sim_->RegisterProgram({"true"}, [](kubesim::ProgramRun& run) -> std::optional<int> {
    if (run.state().is_null()) {
      run.Print("begun\n");
      run.state() = true;
    }
    return std::nullopt;
  });
  const JobRef ref = CreateJob().value().ref;
  ASSERT_EQ(launcher_->Arm(ref).value(), ArmResult::kArmed);
  ASSERT_TRUE(sim_->WaitFor([&] {
    const auto pods = sim_->PodsOfJob(kNamespace, kName);
    return !pods.empty() &&
           !sim_->PodLog(kNamespace, pods[0]["metadata"]["name"].get<std::string>()).empty();
  }));
  const std::string pod =
      sim_->PodsOfJob(kNamespace, kName)[0]["metadata"]["name"].get<std::string>();

  const LogPiece first = ReadLogPiece(*client_, {kNamespace, pod, "main"}, 0, false).value();
  sim_->FinishPod(kName, 0, "ended\n");
  ASSERT_TRUE(WaitForEnd(kName));
  const LogPiece second =
      ReadLogPiece(*client_, {kNamespace, pod, "main"}, first.next_offset, true).value();

  EXPECT_EQ(first.bytes, "begun\n");
  EXPECT_EQ(second.bytes, "ended\n");
}

}  // namespace
}  // namespace capstan::kubernetes
