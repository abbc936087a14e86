#include "worker/phases/claude_engine.h"

#include <atomic>
#include <filesystem>
#include <system_error>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/phases/claude_result.h"
#include "worker/phases/claude_session.h"
#include "worker/phases/small_file.h"
#include "worker/phases/stream_json.h"

namespace capstan::phases {
namespace {

constexpr std::size_t kMaxStderrBytes = 2048;
constexpr std::int64_t kMaxFileBytes = 4LL << 30;  // that it or a tool may write

PhaseResult Failed(PhaseError error, std::string message) {
  PhaseResult result;
  result.error = error;
  result.message = std::move(message);
  return result;
}

PhaseError ErrorOf(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kInvalidArgument) return PhaseError::kInvalidRequest;
  if (status.code() == absl::StatusCode::kFailedPrecondition) return PhaseError::kAuthentication;
  return PhaseError::kProcess;
}

// Ends a run that has said nothing for too long. A thread of its own, for as long as it lives.
class StallWatch {
 public:
  StallWatch(absl::Duration stall, Clock& clock, std::stop_source& run)
      : stall_(stall), clock_(clock), last_(clock.BootTime()) {
    thread_ = std::jthread([this, &run](std::stop_token done) { Watch(run, done); });
  }

  void Heard() {
    absl::MutexLock lock(&mu_);
    last_ = clock_.BootTime();
  }
  bool stalled() const { return stalled_; }

 private:
  void Watch(std::stop_source& run, const std::stop_token& done) {
    for (;;) {
      absl::Duration left;
      {
        absl::MutexLock lock(&mu_);
        left = last_ + stall_ - clock_.BootTime();
      }
      if (left <= absl::ZeroDuration()) break;
      if (!clock_.SleepFor(left, done)) return;
    }
    stalled_ = true;
    run.request_stop();
  }

  const absl::Duration stall_;
  Clock& clock_;
  std::atomic<bool> stalled_ = false;
  absl::Mutex mu_;
  absl::Duration last_ ABSL_GUARDED_BY(mu_);
  std::jthread thread_;  // last: it uses the others
};

// Links followed: in the sandbox only the folder where the program really is can be read.
std::filesystem::path RealPath(const std::string& program) {
  std::error_code error;
  std::filesystem::path real = std::filesystem::canonical(program, error);
  return error ? std::filesystem::path(program) : real;
}

}  // namespace

PhaseResult ClaudeEngine::Run(const PhaseRequest& request, PhaseObserver& observer,
                              std::stop_token stop) {
  const std::string& name = request.model.empty() ? options_.default_model : request.model;
  const Model* model = models_.Find(name);
  if (model == nullptr) {
    return Failed(PhaseError::kInvalidRequest,
                  Cat("model: got ", name, ", want one of ", models_.KnownNames()));
  }
  absl::StatusOr<ClaudeHome> home = ClaudeHome::Make(options_.scratch);
  if (!home.ok()) return Failed(ErrorOf(home.status()), std::string(home.status().message()));
  const absl::StatusOr<process::Spec> spec = MakeSpec(request, *model, home->path());
  absl::Status ready = spec.status();
  if (ready.ok() && request.resume) {
    ready = home->RestoreSession(request.session, request.workspace, request.session_state);
  }
  if (!ready.ok()) return Failed(ErrorOf(ready), std::string(ready.message()));

  PhaseResult result = RunIn(*spec, request, *model, observer, std::move(stop));
  result.session_state = home->SaveSession(request.session);
  return result;
}

absl::StatusOr<process::Spec> ClaudeEngine::MakeSpec(const PhaseRequest& request,
                                                     const Model& model,
                                                     const std::string& home) const {
  process::Spec spec;
  CAPSTAN_ASSIGN_OR_RETURN(spec.argv, ClaudeArguments(options_, request, model));
  const std::filesystem::path program = RealPath(options_.program);
  spec.argv[0] = program.string();
  spec.directory = request.workspace;
  spec.input = request.prompt;
  spec.environment = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                      {"LANG", "C.UTF-8"},
                      {"HOME", home},
                      {"TMPDIR", home + "/tmp"},
                      {"CLAUDE_CONFIG_DIR", home + "/.claude"},
                      {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"},
                      {"DISABLE_AUTOUPDATER", "1"},
                      {"CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"},  // a second retry layer
                      {"CLAUDE_CODE_MAX_RETRIES", Cat(kMaxTries - 1)},
                      {"MAX_THINKING_TOKENS", Cat(request.thinking_tokens)}};
  if (!options_.base_url.empty()) spec.environment["ANTHROPIC_BASE_URL"] = options_.base_url;
  if (!options_.ca_file.empty()) spec.environment["NODE_EXTRA_CA_CERTS"] = options_.ca_file;
  if (!request.traceparent.empty()) spec.environment["TRACEPARENT"] = request.traceparent;
  if (options_.api_key_file.empty()) {
    spec.environment["ANTHROPIC_API_KEY"] = "held-by-the-gateway";
  } else {
    CAPSTAN_ASSIGN_OR_RETURN(spec.secret_files["api_key"], ReadKeyFile(options_.api_key_file));
  }
  spec.limits.timeout = request.timeout;
  spec.limits.memory_bytes = options_.memory_bytes;
  spec.limits.max_processes = options_.max_processes;
  spec.limits.file_bytes = kMaxFileBytes;
  spec.limits.measured = {request.workspace, home};
  spec.limits.disk_bytes = options_.disk_bytes;
  spec.limits.disk_files = options_.disk_files;
  spec.sandbox.enabled = options_.sandbox;
  spec.sandbox.network = true;
  spec.sandbox.writable = {request.workspace, home};
  spec.sandbox.readable = options_.readable;
  spec.sandbox.readable.push_back(program.parent_path().string());
  if (!options_.ca_file.empty()) spec.sandbox.readable.push_back(options_.ca_file);
  return spec;
}

PhaseResult ClaudeEngine::RunIn(const process::Spec& spec, const PhaseRequest& request,
                                const Model& model, PhaseObserver& observer, std::stop_token stop) {
  StreamJson stream(observer);
  std::string stderr_text;
  std::stop_source run;
  const std::stop_callback pass_on(stop, [&run] { run.request_stop(); });
  bool key_refused = false;
  process::Result process;
  bool stalled = false;
  {
    StallWatch watch(request.stall, clock_, run);
    process = runner_.Run(
        spec,
        [&](process::Stream from, std::string_view piece) {
          watch.Heard();
          if (from == process::Stream::kErr) {
            stderr_text += piece.substr(0, kMaxStderrBytes - stderr_text.size());
            return;
          }
          stream.Add(piece);
          key_refused = stream.retry_status() == 401 || stream.retry_status() == 403;
          if (key_refused) run.request_stop();
        },
        run.get_token());
    stalled = watch.stalled();
  }
  stream.End();
  ClaudeEnd end = ClaudeEnd::kItself;
  if (!stop.stop_requested() && process.end == process::Result::End::kStopped) {
    if (key_refused) end = ClaudeEnd::kKeyRefused;
    if (stalled) end = ClaudeEnd::kStalled;
  }
  return JudgeClaude(stream, process, stderr_text, request, model, models_, end);
}

}  // namespace capstan::phases
