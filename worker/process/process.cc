#include "worker/process/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "core/find_program.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/process/cgroup.h"
#include "worker/process/disk_limit.h"
#include "worker/process/fd.h"
#include "worker/process/landlock.h"
#include "worker/process/spec_check.h"
#include "worker/process/wire.h"

namespace capstan::process {
namespace {

constexpr int kLowestFd = 10;  // above those that a supervisor is started with
constexpr size_t kPieceBytes = 64 << 10;
constexpr std::int64_t kMostProbeBytes = 4096;
constexpr size_t kMostReportBytes = 1 << 20;
constexpr absl::Duration kSupervisorPatience = absl::Seconds(20);  // beyond its own deadline

absl::Status Errno(std::string_view what) { return absl::ErrnoToStatus(errno, AbslView(what)); }

absl::Duration BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

absl::StatusOr<Fd> Raise(Fd fd) {
  Fd raised(fcntl(fd.get(), F_DUPFD_CLOEXEC, kLowestFd));
  if (!raised.valid()) return Errno("file descriptor");
  return raised;
}

// A file in memory, open for reading only.
absl::StatusOr<Fd> MemoryFile(const char* name, std::string_view content) {
  const Fd file(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return Errno(name);
  for (size_t written = 0; written < content.size();) {
    const ssize_t size = write(file.get(), content.data() + written, content.size() - written);
    if (size <= 0) return Errno(name);
    written += static_cast<size_t>(size);
  }
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  Fd reader(open(Cat("/proc/self/fd/", file.get()).c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader.valid()) return Errno(name);
  return Raise(std::move(reader));
}

struct Pipe {
  Fd read;
  Fd write;
};

absl::StatusOr<Pipe> Raise(const int (&ends)[2]) {
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  CAPSTAN_ASSIGN_OR_RETURN(pipe.read, Raise(std::move(pipe.read)));
  CAPSTAN_ASSIGN_OR_RETURN(pipe.write, Raise(std::move(pipe.write)));
  return pipe;
}

// For what is written here: a reader that is gone is an error there, and no signal.
absl::StatusOr<Pipe> MakeControl() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Errno("control");
  return Raise(ends);
}

absl::StatusOr<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Errno("pipe");
  return Raise(ends);
}

Result NotStarted(const absl::Status& why) {
  Result result;
  result.message = std::string(why.message());
  return result;
}

// One run, from the worker's side.
class Run {
 public:
  Run(const Spec& spec, const std::function<void(Stream, std::string_view)>& on_output)
      : spec_(spec), on_output_(on_output), disk_(spec.limits) {}
  ~Run();

  absl::Status Start(const std::string& supervisor, const Options& options);
  Result Await(std::stop_token stop);

 private:
  absl::Status Spawn(const std::string& supervisor, int input, int out, int err, int order,
                     int control, int report);
  void Follow(int stop_event);
  bool Read(Fd& from, const std::function<void(std::string_view)>& take);
  void TakeOutput(Stream stream, std::string_view piece);
  void Tell(char what) { send(control_.get(), &what, 1, MSG_NOSIGNAL); }
  // Says that this worker is there, where it is time to; how long until the next time.
  absl::Duration TellAlive();
  // Looks a little further at what the child has on disk; how long until the next time.
  absl::Duration LookAtDisk();
  Result Conclude();

  const Spec& spec_;
  const std::function<void(Stream, std::string_view)>& on_output_;
  pid_t supervisor_ = -1;
  absl::Duration deadline_;
  absl::Duration silence_;
  absl::Duration told_ = -absl::InfiniteDuration();  // that this worker is alive
  Fd out_;
  Fd err_;
  Fd control_;
  Fd report_;
  std::string report_bytes_;
  std::int64_t output_bytes_ = 0;
  bool too_much_output_ = false;
  DiskLimit disk_;
  bool told_to_stop_ = false;
};

absl::Status Run::Start(const std::string& supervisor, const Options& options) {
  silence_ = options.silence;
  Order order{spec_, options.grace, options.silence, options.user, options.group, options.cgroup};
  order.spec.input.clear();
  CAPSTAN_ASSIGN_OR_RETURN(const Fd order_file, MemoryFile("order", Encode(order)));
  CAPSTAN_ASSIGN_OR_RETURN(const Fd input, MemoryFile("input", spec_.input));
  CAPSTAN_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  CAPSTAN_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  CAPSTAN_ASSIGN_OR_RETURN(Pipe control, MakeControl());
  CAPSTAN_ASSIGN_OR_RETURN(Pipe report, MakePipe());
  CAPSTAN_RETURN_IF_ERROR(Spawn(supervisor, input.get(), out.write.get(), err.write.get(),
                                order_file.get(), control.read.get(), report.write.get()));
  for (const Fd* fd : {&out.read, &err.read, &report.read}) fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  control_ = std::move(control.write);
  report_ = std::move(report.read);
  deadline_ = BootTime() + spec_.limits.timeout + options.grace + kSupervisorPatience;
  return absl::OkStatus();
}

absl::Status Run::Spawn(const std::string& supervisor, int input, int out, int err, int order,
                        int control, int report) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup destroy = [&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  };
  const int fds[] = {input, out, err, order, control, report};
  for (int target = 0; target <= kReportFd; ++target)
    posix_spawn_file_actions_adddup2(&actions, fds[target], target);
  posix_spawn_file_actions_addclosefrom_np(&actions, kReportFd + 1);
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setpgroup(&attributes, 0);  // a Ctrl-C is the worker's to handle
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  char name[] = "capstan-supervisor";
  char* const argv[] = {name, nullptr};
  char* const environment[] = {nullptr};
  const int error =
      posix_spawn(&supervisor_, supervisor.c_str(), &actions, &attributes, argv, environment);
  return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, supervisor);
}

Run::~Run() {
  if (supervisor_ <= 0) return;
  control_.Close();
  while (waitpid(supervisor_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Run::TakeOutput(Stream stream, std::string_view piece) {
  if (too_much_output_) return;
  const auto left = static_cast<size_t>(spec_.limits.output_bytes - output_bytes_);
  if (piece.size() > left) {
    too_much_output_ = true;
    piece = piece.substr(0, left);
    Tell(kKill);
  }
  output_bytes_ += static_cast<std::int64_t>(piece.size());
  if (!piece.empty()) on_output_(stream, piece);
}

// One piece; closes at the end of the stream. False: nothing was there.
bool Run::Read(Fd& from, const std::function<void(std::string_view)>& take) {
  if (!from.valid()) return false;
  char piece[kPieceBytes];
  const ssize_t size = read(from.get(), piece, sizeof(piece));
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) from.Close();
    return false;
  }
  if (size == 0) {
    from.Close();
    return false;
  }
  take({piece, static_cast<size_t>(size)});
  return true;
}

absl::Duration Run::TellAlive() {
  if (silence_ == absl::ZeroDuration()) return absl::InfiniteDuration();
  const absl::Duration interval = silence_ / 5;
  const absl::Duration now = BootTime();
  if (now - told_ >= interval) {
    Tell(kAlive);
    told_ = now;
  }
  return told_ + interval - now;
}

absl::Duration Run::LookAtDisk() {
  if (!disk_.complaint().empty()) return absl::InfiniteDuration();
  const absl::Duration wait = disk_.Look(BootTime());
  if (!disk_.complaint().empty()) Tell(kKill);
  return wait;
}

// Until the supervisor is gone: the end of its report says so.
void Run::Follow(int stop_event) {
  const auto take_out = [this](std::string_view piece) { TakeOutput(Stream::kOut, piece); };
  const auto take_err = [this](std::string_view piece) { TakeOutput(Stream::kErr, piece); };
  const auto take_report = [this](std::string_view piece) {
    if (report_bytes_.size() < kMostReportBytes) report_bytes_.append(piece);
  };
  while (report_.valid()) {
    pollfd wanted[] = {{out_.get(), POLLIN, 0},
                       {err_.get(), POLLIN, 0},
                       {report_.get(), POLLIN, 0},
                       {stop_event, POLLIN, 0}};
    const absl::Duration left = std::max(
        absl::ZeroDuration(), std::min({deadline_ - BootTime(), TellAlive(), LookAtDisk()}));
    poll(wanted, 4,
         static_cast<int>(std::min<std::int64_t>(absl::ToInt64Milliseconds(left) + 1, INT_MAX)));
    if (BootTime() > deadline_) kill(supervisor_, SIGKILL);  // with it goes all that it started
    if (wanted[3].revents != 0) {
      Tell(kStop);
      told_to_stop_ = true;
      stop_event = -1;
    }
    Read(out_, take_out);
    Read(err_, take_err);
    Read(report_, take_report);
  }
  // What is left in the pipes. Their ends are not waited for: a program may have handed them on.
  while (Read(out_, take_out)) {
  }
  while (Read(err_, take_err)) {
  }
}

Result Run::Conclude() {
  absl::StatusOr<Result> report = DecodeResult(report_bytes_);
  if (!report.ok()) {
    Result lost;
    lost.end = BootTime() > deadline_ ? Result::End::kTimedOut : Result::End::kStopped;
    lost.message = "its supervisor died";
    return lost;
  }
  if (too_much_output_ && report->end != Result::End::kNotStarted) {
    report->end = Result::End::kOutputLimit;
    report->message = Cat("wrote more than ", spec_.limits.output_bytes, " bytes of output");
  }
  if (told_to_stop_) return *std::move(report);
  const bool of_itself =
      report->end != Result::End::kNotStarted && report->end != Result::End::kStopped;
  if (of_itself) disk_.LookAtAll();
  if (!disk_.complaint().empty()) {
    report->end = Result::End::kDiskLimit;
    report->message = disk_.complaint();
  }
  return *std::move(report);
}

Result Run::Await(std::stop_token stop) {
  const Fd stopped(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const std::stop_callback wake(stop, [&stopped] { eventfd_write(stopped.get(), 1); });
  Follow(stopped.get());
  return Conclude();
}

class SupervisedRunner final : public Runner {
 public:
  SupervisedRunner(std::string supervisor, Options options)
      : supervisor_(std::move(supervisor)), options_(std::move(options)) {}

  Result Run(const Spec& spec, const std::function<void(Stream, std::string_view)>& on_output,
             std::stop_token stop) override {
    if (const absl::Status valid = CheckSpec(spec); !valid.ok()) return NotStarted(valid);
    if (stop.stop_requested()) {
      Result result;
      result.end = Result::End::kStopped;
      result.message = "stopped before it was started";
      return result;
    }
    process::Run run(spec, on_output);
    if (const absl::Status started = run.Start(supervisor_, options_); !started.ok())
      return NotStarted(started);
    return run.Await(std::move(stop));
  }

 private:
  const std::string supervisor_;
  const Options options_;
};

absl::StatusOr<std::string> FindSupervisor(const Options& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string path, FindProgram(options.supervisor));
  char real[PATH_MAX];
  if (realpath(path.c_str(), real) == nullptr || access(real, X_OK) != 0)
    return absl::NotFoundError(path + ": no such program");
  return std::string(real);
}

// Runs the only program that is known to be there, in a sandbox; says what went wrong.
absl::Status Try(const std::string& supervisor, const Options& options) {
  Spec spec;
  spec.argv = {supervisor, "--version"};
  spec.limits.timeout = absl::Seconds(30);
  spec.limits.output_bytes = kMostProbeBytes;
  spec.sandbox.readable = {supervisor};
  std::string said;
  const Result result = SupervisedRunner(supervisor, options)
                            .Run(spec, [&](Stream, std::string_view text) { said += text; }, {});
  if (result.end == Result::End::kExited && result.exit_code == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(Cat("no sandbox on this machine: ", result.message,
                                           " (exit code ", result.exit_code, ") ", said));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const Options& options) {
  CAPSTAN_ASSIGN_OR_RETURN(std::string supervisor, FindSupervisor(options));
  RemoveStaleCgroups(FindCgroupParents(options.cgroup));
  CAPSTAN_RETURN_IF_ERROR(Try(supervisor, options));
  return std::make_unique<SupervisedRunner>(std::move(supervisor), options);
}

Abilities AbilitiesHere(const Options& options) {
  Abilities abilities;
  const absl::StatusOr<std::string> supervisor = FindSupervisor(options);
  abilities.namespaces = supervisor.ok() && Try(*supervisor, options).ok();
  Limits limits;
  limits.memory_bytes = 1 << 30;
  limits.cpus = 1;
  const Cgroup cgroup(FindCgroupParents(options.cgroup), CgroupName(getpid()), limits);
  abilities.memory_limit = cgroup.Has("memory");
  abilities.process_limit = cgroup.Has("pids");
  abilities.cpu_limit = cgroup.Has("cpu");
  abilities.landlock = LandlockAbi();
  abilities.seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
  return abilities;
}

}  // namespace capstan::process
