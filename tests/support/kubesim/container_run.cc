#include "tests/support/kubesim/container_run.h"

#include <utility>

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr size_t kMaxTerminationMessage = 4096;
constexpr size_t kMaxMessageFromLog = 2048;
constexpr int64_t kMaxLinesFromLog = 80;

Json BaseStatus(const std::string& name, const std::string& image) {
  return {{"name", name},
          {"image", image},
          {"imageID", ""},
          {"ready", false},
          {"restartCount", 0},
          {"started", false},
          {"state", Json::object()},
          {"lastState", Json::object()}};
}

// What the kubelet makes of an argument: $(NAME) is that variable of the container where it has
// one,
// $$ is $.
std::string Expanded(std::string_view text, const Json& container) {
  std::string out;
  while (!text.empty()) {
    size_t used = 1;
    out += text[0];
    if (text.starts_with("$$")) {
      used = 2;
    } else if (size_t close = text.find(')'); text.starts_with("$(") && close != text.npos) {
      const std::string_view name = text.substr(2, close - 2);
      const Json& variables = At(container, {"env"});
      for (size_t i = 0; variables.is_array() && i < variables.size(); ++i) {
        if (TextAt(variables[i], {"name"}) != name) continue;
        out.replace(out.size() - 1, 1, TextAt(variables[i], {"value"}));
        used = close + 1;
        break;
      }
    }
    text.remove_prefix(used);
  }
  return out;
}

}  // namespace

std::vector<std::string> ContainerRun::ArgvOf(const Json& container) {
  std::vector<std::string> argv;
  for (const char* part : {"command", "args"}) {
    const Json& words = At(container, {part});
    for (size_t i = 0; words.is_array() && i < words.size(); ++i) {
      argv.push_back(Expanded(words[i].get<std::string>(), container));
    }
  }
  return argv;
}

ContainerRun::ContainerRun(Identity identity, const Json& container, Program program,
                           std::map<std::string, std::string> files, Clock& clock, PodLogs& logs,
                           Timers& timers, const ApiCaller& call)
    : identity_(std::move(identity)),
      name_(TextAt(container, {"name"})),
      image_(TextAt(container, {"image"})),
      message_from_log_(TextAt(container, {"terminationMessagePolicy"}) == "FallbackToLogsOnError"),
      argv_(ArgvOf(container)),
      program_(std::move(program)),
      files_(std::move(files)),
      clock_(clock),
      logs_(logs),
      timers_(timers),
      call_(call),
      started_(clock.BootTime()),
      started_at_(Timestamp(clock.Now())) {
  logs_.Append(identity_.pod_uid, name_, clock_.Now(), "");
  if (program_) return;
  message_ = Cat("failed to create containerd task: exec: \"", argv_.empty() ? "" : argv_[0],
                 "\": executable file not found in $PATH");
  Finish(kExitStartError, "StartError");
}

void ContainerRun::Print(std::string_view text) {
  logs_.Append(identity_.pod_uid, name_, clock_.Now(), text);
}

void ContainerRun::SetTerminationMessage(std::string message) {
  message_ = std::move(message);
  if (message_.size() > kMaxTerminationMessage) message_.resize(kMaxTerminationMessage);
}

absl::Duration ContainerRun::Elapsed() const { return clock_.BootTime() - started_; }

void ContainerRun::WakeAt(absl::Duration elapsed) {
  timers_.Add(started_ + elapsed, identity_.pod);
}

std::optional<std::string> ContainerRun::ReadFile(const std::string& path) const {
  auto file = files_.find(path);
  if (file == files_.end()) return std::nullopt;
  return file->second;
}

ProgramRun::Reply ContainerRun::Call(const std::string& method, const std::string& path,
                                     const Json& body, const std::string& content_type) {
  return call_(*this, method, path, body, content_type);
}

bool ContainerRun::Advance() {
  if (finished()) return false;
  std::optional<int> exit_code = program_(*this);
  if (!exit_code.has_value()) return false;
  Finish(*exit_code);
  return true;
}

void ContainerRun::Finish(int exit_code, std::string reason) {
  if (finished()) return;
  exit_code_ = exit_code;
  finished_at_ = Timestamp(clock_.Now());
  reason_ = !reason.empty() ? std::move(reason) : exit_code == 0 ? "Completed" : "Error";
  logs_.Finish(identity_.pod_uid, name_);
}

std::string ContainerRun::TerminationMessage() const {
  if (!message_.empty() || !message_from_log_ || exit_code_.value_or(0) == 0) return message_;
  LogQuery query;
  query.container = name_;
  query.tail_lines = kMaxLinesFromLog;
  std::string text = logs_.Read(identity_.pod_uid, query).text;
  return text.size() > kMaxMessageFromLog ? text.substr(text.size() - kMaxMessageFromLog) : text;
}

Json ContainerRun::Status(bool ready) const {
  Json status = BaseStatus(name_, image_);
  status["containerID"] = Cat("containerd://", identity_.pod_uid, "-", name_);
  if (!finished()) {
    status["ready"] = ready;
    status["started"] = true;
    status["state"]["running"] = {{"startedAt", started_at_}};
    return status;
  }
  Json& terminated = status["state"]["terminated"];
  terminated = {{"exitCode", *exit_code_},
                {"reason", reason_},
                {"startedAt", started_at_},
                {"finishedAt", finished_at_},
                {"containerID", status["containerID"]}};
  if (std::string message = TerminationMessage(); !message.empty()) {
    terminated["message"] = std::move(message);
  }
  return status;
}

Json ContainerRun::WaitingStatus(const Json& container, const std::string& reason,
                                 const std::string& message) {
  Json status = BaseStatus(TextAt(container, {"name"}), TextAt(container, {"image"}));
  status["state"]["waiting"] = {{"reason", reason}};
  if (!message.empty()) status["state"]["waiting"]["message"] = message;
  return status;
}

}  // namespace capstan::kubesim
