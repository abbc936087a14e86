// What all server streams have in common: one write in flight, an end that is sent once, and a life
// that lasts until both gRPC and everybody else are done with it.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "capstan/v1/execution_service.pb.h"
#include "server/errors.h"
#include "server/open_streams.h"
#include "server/parts.h"
#include "server/rpc.h"

namespace capstan::server {

// Made by std::make_shared; then Open() keeps it alive until gRPC is done (shared_ptr because the
// hub, the timer and reads in progress may still hold it then). All its methods are thread-safe;
// gRPC is never called while mu_ is held.
template <class Response>
class Stream : public grpc::ServerWriteReactor<Response>,
               public EndableStream,
               public std::enable_shared_from_this<Stream<Response>> {
 public:
  Stream(const Parts& parts, std::string_view method, grpc::CallbackServerContext* context)
      : parts_(parts), rpc_(parts, method, *context) {}

  // Call once, before anything else is told to this stream. False: it was refused and is ending.
  bool Open() {
    self_ = this->shared_from_this();
    parts_.metrics.watch_streams.Increment();
    if (absl::Status status = parts_.streams.Add(self_); !status.ok()) {
      End(status);
      return false;
    }
    ArmHeartbeat();
    return true;
  }

  void End(const absl::Status& status) override {
    {
      absl::MutexLock lock(&mu_);
      if (!end_) end_ = status;
    }
    Pump();
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mu_);
      writing_ = false;
      if (!ok) cancelled_ = true;
    }
    Pump();
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mu_);
      cancelled_ = true;
    }
    Pump();
  }

  void OnDone() override {
    Closed();
    parts_.streams.Remove(this);
    parts_.metrics.watch_streams.Decrement();
    self_.reset();  // may be the last owner
  }

 protected:
  enum class Turn {
    kNothing,  // wait
    kWork,     // nothing to send, but there is more to read
    kWrite,    // `response` was filled
    kFinish,   // all was said: end with OK
  };

  // What to send now.
  virtual Turn Next(Response& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) = 0;
  virtual void HeartbeatDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) = 0;
  // Starts the reads that are needed, if any. Called often, without mu_.
  virtual void Work() = 0;
  // gRPC is done: unregister.
  virtual void Closed() = 0;

  // Does and sends what can be done and sent. Call after every change. When a thread is at it
  // already, that one looks again instead.
  void Pump() {
    const auto keep = this->shared_from_this();  // gRPC may be done with it before this returns
    {
      absl::MutexLock lock(&mu_);
      look_again_ = true;
      if (pumping_) return;
      pumping_ = true;
    }
    while (true) {
      {
        absl::MutexLock lock(&mu_);
        if (!look_again_) {
          pumping_ = false;
          return;
        }
        look_again_ = false;
      }
      Work();
      SendNext();
    }
  }

  const Parts& parts_;
  Rpc rpc_;
  absl::Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);

 private:
  void SendNext() {
    Turn turn = Turn::kNothing;
    absl::Status status;
    {
      absl::MutexLock lock(&mu_);
      if (writing_ || finished_) return;
      if (cancelled_) {
        turn = Turn::kFinish;
        status = absl::CancelledError("the caller left");
      } else if (end_) {
        turn = Turn::kFinish;
        status = *end_;
      } else {
        response_ = Response();
        turn = Next(response_);
      }
      if (turn == Turn::kWork) look_again_ = true;
      if (turn == Turn::kWrite) writing_ = true;
      if (turn == Turn::kFinish) finished_ = true;
    }
    if (turn == Turn::kWrite) {
      parts_.metrics.watch_updates.Increment();
      this->StartWrite(&response_);
    } else if (turn == Turn::kFinish) {
      rpc_.Finish(status);
      this->Finish(ToGrpcStatus(status));
    }
  }

  void ArmHeartbeat() {
    parts_.timer.After(parts_.options.heartbeat_interval,
                       [weak = std::weak_ptr<Stream>(this->shared_from_this())] {
                         const std::shared_ptr<Stream> stream = weak.lock();
                         if (stream == nullptr) return;
                         {
                           absl::MutexLock lock(&stream->mu_);
                           if (stream->finished_) return;
                           stream->HeartbeatDue();
                         }
                         stream->Pump();
                         stream->ArmHeartbeat();
                       });
  }

  bool pumping_ ABSL_GUARDED_BY(mu_) = false;
  bool look_again_ ABSL_GUARDED_BY(mu_) = false;
  Response response_;             // being written
  std::shared_ptr<Stream> self_;  // until OnDone
};

}  // namespace capstan::server
