#include "server/execution_progress.h"

#include <algorithm>
#include <utility>

#include "core/text.h"
#include "server/errors.h"
#include "server/proto_time.h"

namespace capstan::server {

absl::Status ExecutionProgress::Begin(EventListPtr list, std::int32_t after_seq) {
  if (after_seq > list->last_seq()) {
    return Error(
        absl::StatusCode::kOutOfRange, "AFTER_SEQ_OUT_OF_RANGE",
        Cat("after_seq: got ", after_seq, ", want at most ", list->last_seq(), ", the last event"),
        {{"lastSeq", Cat(list->last_seq())}});
  }
  begun_ = true;
  snapshot_due_ = true;
  last_ = after_seq;
  reached_ = std::max(reached_, list->last_seq());
  list_ = std::move(list);
  return absl::OkStatus();
}

bool ExecutionProgress::Reached(std::int32_t seq, bool writing) {
  reached_ = std::max(reached_, seq);
  if (!begun_ || !writing || snapshot_due_ || list_ == nullptr) return false;
  if (reached_ - last_ <= max_pending_) return false;
  list_.reset();
  return true;
}

std::optional<std::int32_t> ExecutionProgress::WantsRead() const {
  if (!begun_ || done_ || list_ != nullptr || reached_ <= last_) return std::nullopt;
  return reached_;
}

void ExecutionProgress::Deliver(EventListPtr list) {
  reached_ = std::max(reached_, list->last_seq());
  if (list->last_seq() > last_) list_ = std::move(list);
}

bool ExecutionProgress::Next(absl::Time now, v1::ExecutionUpdate& update) {
  if (!begun_) return false;
  if (snapshot_due_) {
    snapshot_due_ = false;
    heartbeat_due_ = false;
    *update.mutable_snapshot() = list_->Snapshot();
  } else if (list_ != nullptr && last_ < list_->last_seq()) {
    heartbeat_due_ = false;
    *update.mutable_event() = list_->at(++last_);
  } else if (heartbeat_due_) {
    heartbeat_due_ = false;
    update.mutable_heartbeat()->set_seq(reached_);
    *update.mutable_heartbeat()->mutable_time() = ToProto(now);
    return true;
  } else {
    return false;
  }
  if (last_ == list_->last_seq()) {
    done_ = list_->terminal;
    list_.reset();
  }
  return true;
}

}  // namespace capstan::server
