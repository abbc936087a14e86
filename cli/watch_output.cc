#include "cli/watch_output.h"

#include <stop_token>
#include <utility>

#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/text_format.h"
#include "core/projection.h"

namespace capstan::cli {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
constexpr char kClearLine[] = "\r\033[K";

}  // namespace

WatchOutput::WatchOutput(std::ostream& out, std::ostream& err, Clock& clock, WatchMode mode,
                         size_t width, Invocation invocation)
    : out_(out),
      err_(err),
      clock_(clock),
      mode_(mode),
      width_(width),
      invocation_(std::move(invocation)) {
  if (mode_ != WatchMode::kLive) return;
  ticker_ = std::jthread([this](std::stop_token stop) {
    while (clock_.SleepFor(kTick, stop)) {
      absl::MutexLock lock(&mu_);
      if (drawn_) Draw();
    }
  });
}

WatchOutput::~WatchOutput() { Stop(); }

void WatchOutput::Update(const v1::ExecutionUpdate& update) {
  absl::MutexLock lock(&mu_);
  Fold(update);
  switch (mode_) {
    case WatchMode::kLines:
      if (update.has_event()) out_ << EventLine(update.event()) << "\n" << std::flush;
      AdviseOnApproval();
      break;
    case WatchMode::kLive:
      Draw();
      AdviseOnApproval();
      break;
    case WatchMode::kJson:
      if (!update.has_heartbeat()) out_ << ToJson(update, JsonLayout::kLine) << std::flush;
      break;
    case WatchMode::kQuiet:
      break;
  }
}

void WatchOutput::Say(const std::string& line) {
  absl::MutexLock lock(&mu_);
  SayLocked(line + "\n");
}

void WatchOutput::SayLocked(const std::string& text) {
  const bool draw_again = drawn_;
  Clear();
  err_ << text << std::flush;
  if (draw_again) Draw();
}

void WatchOutput::AdviseOnApproval() {
  const v1::Execution& newest = Newest();
  if (!AwaitsApproval(newest) || newest.approval().number() == advised_) return;
  advised_ = newest.approval().number();
  SayLocked(AwaitsApprovalText(newest.name(), invocation_));
}

void WatchOutput::Stop() {
  if (ticker_.joinable()) {
    ticker_.request_stop();
    ticker_.join();
  }
  absl::MutexLock lock(&mu_);
  Clear();
}

v1::Execution WatchOutput::execution() const {
  absl::MutexLock lock(&mu_);
  return folded_.seq() > 0 ? folded_ : snapshot_;
}

void WatchOutput::Fold(const v1::ExecutionUpdate& update) {
  if (update.has_snapshot()) {
    snapshot_ = update.snapshot();
    Anchor(snapshot_.update_time());
  } else if (update.has_event()) {
    Apply(update.event(), folded_);
    Anchor(update.event().time());
  } else if (update.has_heartbeat()) {
    Anchor(update.heartbeat().time());
  }
}

void WatchOutput::Anchor(const google::protobuf::Timestamp& server_time) {
  const v1::Execution& known = folded_.seq() > 0 ? folded_ : snapshot_;
  age_ = ToTime(server_time) - ToTime(known.create_time());
  age_at_ = clock_.BootTime();
}

const v1::Execution& WatchOutput::Newest() const {
  // Until the replay has caught up, the snapshot knows more.
  return folded_.seq() >= snapshot_.seq() ? folded_ : snapshot_;
}

void WatchOutput::Draw() {
  out_ << kClearLine << LiveLine(Newest(), age_ + clock_.BootTime() - age_at_, width_)
       << std::flush;
  drawn_ = true;
}

void WatchOutput::Clear() {
  if (!drawn_) return;
  out_ << kClearLine << std::flush;
  drawn_ = false;
}

}  // namespace capstan::cli
