// Readers that stop reading: they cost next to nothing, hinder nobody, and miss nothing when they
// go on.
#include <malloc.h>

#include <numeric>

#include "tests/server/service_fixture.h"

namespace capstan::server {
namespace {

using ::testing::Ge;
using v1::Execution;

constexpr int kStalled = 50;
constexpr int kEventsBefore = 40;  // stored before the readers come
constexpr int kEventsDuring = 60;  // stored while they do not read
constexpr std::size_t kEventBytes = 16 << 10;
// The window of HTTP/2 on both sides, what lies between, and bookkeeping. All that was stored for
// one of them is 1.6 MB.
constexpr std::size_t kMostBytesPerStream = 512 << 10;

std::size_t HeapInUse() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

class SlowReaderTest : public ServiceTest {
 protected:
  // A connection of its own that takes 64 KiB of what nobody reads, and not more.
  std::unique_ptr<v1::ExecutionService::Stub> NarrowStub() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    return v1::ExecutionService::NewStub(
        grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server().api().port()),
                                  grpc::InsecureChannelCredentials(), arguments));
  }
  std::unique_ptr<WatchStream> WatchNarrowly(const std::string& name) {
    v1::WatchExecutionRequest request;
    request.set_name(name);
    stubs_.push_back(NarrowStub());
    return std::make_unique<WatchStream>([&](grpc::ClientContext* context) {
      return stubs_.back()->WatchExecution(context, request);
    });
  }
  std::unique_ptr<WatchAllStream> WatchAllNarrowly() {
    stubs_.push_back(NarrowStub());
    return std::make_unique<WatchAllStream>(
        [&](grpc::ClientContext* context) { return stubs_.back()->WatchExecutions(context, {}); });
  }
  void StoreLargeEvent(storage::HeldExecution& held) {
    v1::ExecutionEvent event;
    event.mutable_state_changed()->set_from(held.state);
    event.mutable_state_changed()->set_to(held.state);
    event.mutable_state_changed()->set_message(std::string(kEventBytes, 'x'));
    Store(held, event);
  }
  // A request whose event 1 is about 5 kB.
  static v1::ExecuteActionRequest LargeRequest() {
    v1::ExecuteActionRequest request = ScaleRequest();
    for (int i = 0; i < 32; ++i) {
      (*request.mutable_labels())["label-" + std::to_string(i)] = std::string(128, 'x');
    }
    return request;
  }
  static std::vector<std::int64_t> Seqs(const std::vector<v1::WatchExecutionResponse>& responses) {
    std::vector<std::int64_t> seqs;
    for (const auto& response : responses) seqs.push_back(response.update().event().seq());
    return seqs;
  }
  static std::vector<std::int64_t> UpTo(std::int64_t last) {
    std::vector<std::int64_t> seqs(static_cast<std::size_t>(last));
    std::iota(seqs.begin(), seqs.end(), 1);
    return seqs;
  }

  std::vector<std::unique_ptr<v1::ExecutionService::Stub>> stubs_;
};

TEST_F(SlowReaderTest, StalledReadersOfOneExecutionHinderNobodyAndMissNothing) {
  service_.buffer_events = 8;
  const std::string name = Accept(ScaleRequest());
  storage::HeldExecution held = Hold(name);
  for (int i = 0; i < kEventsBefore; ++i) StoreLargeEvent(held);
  const std::size_t heap_before = HeapInUse();
  std::vector<std::unique_ptr<WatchStream>> stalled;
  v1::WatchExecutionResponse response;
  for (int i = 0; i < kStalled; ++i) {
    stalled.push_back(WatchNarrowly(name));
    ASSERT_TRUE(stalled.back()->Next(response) && response.update().has_snapshot());
  }

  const auto fast = Watch(server(), name, held.last_seq);
  ASSERT_TRUE(fast->Next(response) && response.update().has_snapshot());
  for (int i = 0; i < kEventsDuring; ++i) {
    StoreLargeEvent(held);
    ASSERT_TRUE(fast->Next(response));
    ASSERT_EQ(response.update().event().seq(), held.last_seq) << "as if it were alone";
  }
  EXPECT_THAT(server().metrics().watch_fallbacks.Value(), Ge(kStalled)) << "none keeps what waits";
  EXPECT_LT(HeapInUse(), heap_before + kStalled * kMostBytesPerStream);
  StoreState(held, Execution::STATE_FAILED);

  EXPECT_EQ(Seqs(fast->Rest()), std::vector<std::int64_t>{held.last_seq});
  for (const auto& stream : stalled) {
    EXPECT_EQ(Seqs(stream->Rest()), UpTo(held.last_seq));
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_F(SlowReaderTest, StalledReadersOfAllExecutionsHinderNobodyAndMissNothing) {
  constexpr int kExecutions = 100;
  std::vector<std::unique_ptr<WatchAllStream>> stalled;
  v1::WatchExecutionsResponse response;
  for (int i = 0; i < 10; ++i) {
    stalled.push_back(WatchAllNarrowly());
    ASSERT_TRUE(stalled.back()->NextOfAnyKind(response));
  }
  const auto fast = WatchAll(server(), "");
  ASSERT_TRUE(fast->NextOfAnyKind(response));

  std::vector<std::string> names;
  for (int i = 0; i < kExecutions; ++i) {
    names.push_back(Accept(LargeRequest()));
    ASSERT_TRUE(fast->Next(response));
    ASSERT_EQ(response.update().event().execution(), names.back()) << "as if it were alone";
  }

  for (const auto& stream : stalled) {
    std::vector<std::string> told;
    while (told.size() < names.size() && stream->Next(response)) {
      EXPECT_EQ(response.update().event().seq(), 1);
      told.push_back(response.update().event().execution());
    }
    EXPECT_EQ(told, names);
    stream->context().TryCancel();
    stream->Rest();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  fast->context().TryCancel();
}

}  // namespace
}  // namespace capstan::server
