#include "cli/watch_output.h"

#include <algorithm>
#include <stop_token>
#include <utility>
#include <vector>

#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/task_view.h"
#include "cli/text_format.h"
#include "core/projection.h"

namespace capstan::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(125);

}  // namespace

WatchOutput::WatchOutput(std::ostream& out, std::ostream& err, Clock& clock, WatchMode mode,
                         std::function<TerminalSize()> terminal_size, Invocation invocation)
    : out_(out),
      err_(err),
      clock_(clock),
      mode_(mode),
      terminal_size_(std::move(terminal_size)),
      invocation_(std::move(invocation)) {
  if (mode_ != WatchMode::kLive) return;
  ticker_ = std::jthread([this](std::stop_token stop) {
    while (clock_.SleepFor(kTick, stop)) {
      absl::MutexLock lock(&mu_);
      if (area_.drawn()) Draw();
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
  const bool draw_again = area_.drawn();
  Clear();
  err_ << text << std::flush;
  if (draw_again) Draw();
}

void WatchOutput::AdviseOnApproval() {
  const v1::Execution& newest = Newest();
  if (!AwaitsApproval(newest) || newest.approval().number() == advised_) return;
  advised_ = newest.approval().number();
  SayLocked(AwaitsApprovalText(newest, invocation_));
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
  const TerminalSize size = terminal_size_();
  // A line that ends in the last column would wrap on some terminals.
  const size_t columns = std::max<size_t>(size.columns, 2) - 1;
  const v1::Execution& newest = Newest();
  const absl::Duration age = age_ + clock_.BootTime() - age_at_;
  std::vector<std::string> lines;
  if (IsTask(newest)) {
    lines = TaskView(newest, ToTime(newest.create_time()) + age, clock_.BootTime() / kTick,
                     {.columns = columns, .rows = size.rows});
  } else {
    lines = {LiveLine(newest, age, columns)};
  }
  out_ << area_.Draw(std::move(lines), size.columns) << std::flush;
}

void WatchOutput::Clear() { out_ << area_.Clear(terminal_size_().columns) << std::flush; }

}  // namespace capstan::cli
