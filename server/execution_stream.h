// The stream of one execution: ExecuteAction after its commit, and WatchExecution.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/execution_progress.h"
#include "server/stream.h"
#include "server/watch_hub.h"

namespace capstan::server {

// Whether to go on after the snapshot.
enum class Until { kSnapshot, kTerminal };

template <class Response>
class ExecutionStream final : public Stream<Response>, public ExecutionWatcher {
 public:
  ExecutionStream(const Parts& parts, std::string_view method, grpc::CallbackServerContext* context)
      : Stream<Response>(parts, method, context), progress_(parts.options.buffer_events) {}

  struct Start {
    ExecutionId id;
    std::int32_t after_seq = 0;
    Until until = Until::kTerminal;
    bool deduplicated = false;
    // The call has just stored it: keep trying to read it while the store is away, instead of
    // ending at once.
    bool submitted = false;
  };

  // Registers, then reads the snapshot. Call once, after Open().
  void Follow(const Start& start) {
    // Registered first: what is stored after the snapshot was read is told to this stream.
    parts_.hub.Watch(start.id, Self());
    bool closed = false;
    {
      absl::MutexLock lock(&mu_);
      start_ = start;
      closed = closed_;
    }
    if (closed) return parts_.hub.Unwatch(start.id, this);
    this->Pump();
  }

  void Reached(std::int32_t seq) override {
    bool dropped = false;
    {
      absl::MutexLock lock(&mu_);
      dropped = progress_.Reached(seq, this->writing_);
    }
    if (dropped) parts_.metrics.watch_fallbacks.Increment();
    this->Pump();
  }

  Rpc& rpc() { return this->rpc_; }

 private:
  using Turn = typename Stream<Response>::Turn;
  using Stream<Response>::parts_;
  using Stream<Response>::mu_;

  std::shared_ptr<ExecutionStream> Self() {
    return std::static_pointer_cast<ExecutionStream>(this->shared_from_this());
  }

  Turn Next(Response& response) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!start_) return Turn::kNothing;
    if (progress_.done() || (said_snapshot_ && start_->until == Until::kSnapshot)) {
      return Turn::kFinish;
    }
    v1::ExecutionUpdate& update = *response.mutable_update();
    if (!progress_.Next(parts_.clock.Now(), update)) return Turn::kNothing;
    if constexpr (requires { response.set_deduplicated(true); }) {
      response.set_deduplicated(start_->deduplicated && !said_snapshot_);
    }
    said_snapshot_ = true;
    return Turn::kWrite;
  }

  void HeartbeatDue() override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { progress_.HeartbeatDue(); }

  void Work() override {
    std::optional<std::int32_t> wanted;
    {
      absl::MutexLock lock(&mu_);
      if (!start_ || reading_ || pausing_ || this->finished_ || this->cancelled_) return;
      wanted = progress_.begun() ? progress_.WantsRead() : 0;
      // While a message is on its way its reader may be slow: what it wants next can wait.
      if (!wanted || this->writing_) return;
      reading_ = true;
    }
    const auto done = [self = Self()](absl::StatusOr<EventListPtr> list) {
      self->OnRead(std::move(list));
    };
    if (*wanted == 0) return parts_.events.ReadLatest(start_->id, done);
    parts_.events.ReadAtLeast(start_->id, *wanted, done);
  }

  void OnRead(absl::StatusOr<EventListPtr> list) {
    bool pause = false;
    {
      absl::MutexLock lock(&mu_);
      reading_ = false;
      if (list.ok()) {
        failing_since_.reset();
        if (!progress_.begun()) {
          if (absl::Status status = progress_.Begin(*list, start_->after_seq); !status.ok()) {
            this->end_ = status;
          }
        } else {
          progress_.Deliver(*std::move(list));
          pause = progress_.WantsRead().has_value();  // not there yet: do not spin
        }
      } else {
        pause = MayTryAgain(list.status());
        if (!pause && !this->end_) this->end_ = list.status();
      }
      pausing_ = pause;
    }
    if (pause) {
      parts_.timer.After(parts_.options.read_retry, [weak = std::weak_ptr(Self())] {
        const auto self = weak.lock();
        if (self == nullptr) return;
        {
          absl::MutexLock lock(&self->mu_);
          self->pausing_ = false;
        }
        self->Pump();
      });
    }
    this->Pump();
  }

  bool MayTryAgain(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (!absl::IsUnavailable(status) && !absl::IsResourceExhausted(status)) return false;
    if (!progress_.begun() && !start_->submitted) return false;
    const absl::Duration now = parts_.clock.BootTime();
    if (!failing_since_) failing_since_ = now;
    return now - *failing_since_ < parts_.options.store_patience;
  }

  void Closed() override {
    std::optional<Start> start;
    {
      absl::MutexLock lock(&mu_);
      closed_ = true;
      start = start_;
    }
    if (start) parts_.hub.Unwatch(start->id, this);
  }

  std::optional<Start> start_;  // written once, before the first read
  ExecutionProgress progress_ ABSL_GUARDED_BY(mu_);
  bool said_snapshot_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool pausing_ ABSL_GUARDED_BY(mu_) = false;  // until a failed read is tried again
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Duration> failing_since_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::server
