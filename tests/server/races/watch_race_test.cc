// Streams that open while what they follow moves.
#include "tests/server/service_fixture.h"
#include "tests/storage/races/races.h"

namespace capstan::server {
namespace {

using v1::Execution;

// A stream that has missed something would wait for ever; this one gives up.
constexpr absl::Duration kPatience = absl::Seconds(20);

class WatchRaces : public ServiceTest, protected storage::RaceTrack {
 protected:
  // No heartbeat mends what was missed.
  WatchRaces() { service_.heartbeat_interval = absl::Hours(1); }
};

// Registered first, then the snapshot, then what is above it.
TEST_F(WatchRaces, Hole12_AStreamThatOpensWhileTheLastEventIsStoredMissesNothing) {
  storage::HeldExecution held;
  std::string name;
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReader<v1::WatchExecutionResponse>> stream;
  v1::WatchExecutionResponse first;
  bool open = false;
  server();
  RunRaces({.prepare =
                [&] {
                  name = Accept(ScaleRequest());
                  held = Hold(name);
                },
            .a = [&] { StoreState(held, Execution::STATE_FAILED); },
            .b =
                [&] {
                  context = std::make_unique<grpc::ClientContext>();
                  context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
                  v1::WatchExecutionRequest request;
                  request.set_name(name);
                  stream = server().executions().WatchExecution(context.get(), request);
                  open = stream->Read(&first);
                },
            .a_was_first =
                [&] {
                  Keep(open && first.update().has_snapshot(), "the first message is the snapshot");
                  std::int64_t seq = 0;
                  bool in_order = true;
                  v1::WatchExecutionResponse next;
                  while (stream->Read(&next))
                    in_order = in_order && next.update().event().seq() == ++seq;
                  Keep(in_order && seq == 2, "each event once and in order, to the end");
                  Keep(stream->Finish().ok(), "the stream has not ended with the execution");
                  return first.update().snapshot().seq() == 2;
                }});
}

}  // namespace
}  // namespace capstan::server
