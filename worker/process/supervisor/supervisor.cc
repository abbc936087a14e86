#include "worker/process/supervisor/supervisor.h"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "core/status_macros.h"
#include "core/text.h"
#include "worker/process/cgroup.h"
#include "worker/process/supervisor/child.h"
#include "worker/process/supervisor/descendants.h"
#include "worker/process/supervisor/id_map.h"

namespace capstan::process {
namespace {

bool MayMount() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  syscall(SYS_capget, &header, data);
  return geteuid() == 0 && (data[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

absl::Duration BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

class Supervisor {
 public:
  explicit Supervisor(const Order& order) : order_(order), as_root_(MayMount()) {}
  ~Supervisor() {
    if (!secrets_folder_.empty()) rmdir(secrets_folder_.c_str());
  }

  Result Run();

 private:
  absl::Status Start();
  absl::Status StartInit();
  absl::Status MakeSecretsFolder();
  int NamespaceFlags() const;
  void ArmTimer(absl::Duration from_now);
  void Follow();
  void OnControl();
  int Patience() const;
  void OnSilence();
  void OnTimer();
  void OnMessage();
  void OnInitEnded();
  void Terminate(Result::End cause);
  void KillAll();
  void Finish();

  const Order& order_;
  const bool as_root_;
  Order child_order_;  // as the child sees itself
  IdMaps maps_;
  std::unique_ptr<Cgroup> cgroup_;
  std::string secrets_folder_;
  pid_t init_ = -1;
  Fd channel_;
  Fd signals_;
  Fd timer_;
  absl::Duration started_ = BootTime();
  absl::Duration heard_ = BootTime();  // of the worker
  std::optional<Result::End> cause_;   // why it was told to end
  bool ended_ = false;                 // nothing more to wait for
  bool not_started_ = false;           // result_.message says why
  Result result_;
};

// ---- start -----------------------------------------------------------------------------------

int Supervisor::NamespaceFlags() const {
  const Sandbox& sandbox = order_.spec.sandbox;
  int flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
  if (!as_root_) flags |= CLONE_NEWUSER;
  if (sandbox.enabled && !sandbox.network) flags |= CLONE_NEWNET;
  return flags;
}

absl::Status Supervisor::MakeSecretsFolder() {
  if (order_.spec.sandbox.enabled || order_.spec.secret_files.empty()) return absl::OkStatus();
  char folder[] = "/tmp/capstan-secrets-XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::ErrnoToStatus(errno, folder);
  secrets_folder_ = folder;
  return absl::OkStatus();
}

absl::Status Supervisor::Start() {
  child_order_ = order_;
  const Sandbox& sandbox = order_.spec.sandbox;
  if (!as_root_ && geteuid() != 0) {
    child_order_.user = geteuid();
    child_order_.group = getegid();
  } else if (as_root_ && !sandbox.enabled) {
    child_order_.user = 0;
    child_order_.group = 0;
  } else if (as_root_) {
    std::vector<std::string> paths = sandbox.writable;
    paths.insert(paths.end(), sandbox.readable.begin(), sandbox.readable.end());
    CAPSTAN_ASSIGN_OR_RETURN(maps_, IdMaps::Make(paths, order_.user, order_.group));
  }
  // So that it can open /dev/stdout. Without root it is the worker's user already.
  for (int fd : {STDOUT_FILENO, STDERR_FILENO})
    if (as_root_) (void)!fchown(fd, child_order_.user, child_order_.group);
  CAPSTAN_RETURN_IF_ERROR(MakeSecretsFolder());
  cgroup_ = std::make_unique<Cgroup>(FindCgroupParents(order_.cgroup), CgroupName(getpid()),
                                     order_.spec.limits);
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGCHLD);
  sigaddset(&handled, SIGTERM);
  sigprocmask(SIG_BLOCK, &handled, nullptr);
  signals_ = Fd(signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  timer_ = Fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!signals_.valid() || !timer_.valid()) return absl::ErrnoToStatus(errno, "supervisor");
  return StartInit();
}

absl::Status Supervisor::StartInit() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return absl::ErrnoToStatus(errno, "supervisor");
  channel_ = Fd(ends[0]);
  Fd other(ends[1]);
  init_ =
      static_cast<pid_t>(syscall(SYS_clone, NamespaceFlags(), nullptr, nullptr, nullptr, nullptr));
  if (init_ < 0) return absl::ErrnoToStatus(errno, "namespaces");
  if (init_ == 0) {
    channel_.Close();
    RunInit({child_order_, maps_, as_root_, !cgroup_->Has("pids"), secrets_folder_}, other.get());
  }
  other.Close();
  if (!as_root_) {
    CAPSTAN_RETURN_IF_ERROR(
        WriteIdMap(init_, child_order_.user, geteuid(), child_order_.group, getegid(), false));
  }
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) close(fd);
  if (!cgroup_->Add(init_)) return absl::ErrnoToStatus(errno, "cgroup");
  return send(channel_.get(), &kGo, 1, MSG_NOSIGNAL) == 1 ? absl::OkStatus()
                                                          : absl::ErrnoToStatus(errno, "init");
}

// ---- following -------------------------------------------------------------------------------

void Supervisor::ArmTimer(absl::Duration from_now) {
  itimerspec at{};
  at.it_value = absl::ToTimespec(std::max(from_now, absl::Nanoseconds(1)));
  timerfd_settime(timer_.get(), 0, &at, nullptr);
}

void Supervisor::Terminate(Result::End cause) {
  if (cause_.has_value()) return;
  cause_ = cause;
  send(channel_.get(), &kTerminate, 1, MSG_NOSIGNAL);
  ArmTimer(order_.grace);
}

void Supervisor::OnTimer() {
  if (cause_.has_value()) {
    ended_ = true;
    return;
  }
  result_.message = Cat("ran longer than ", absl::FormatDuration(order_.spec.limits.timeout));
  Terminate(Result::End::kTimedOut);
}

void Supervisor::OnControl() {
  char what = 0;
  const bool heard = read(kControlFd, &what, 1) == 1;
  heard_ = BootTime();
  if (heard && what == kAlive) return;
  if (heard && what == kStop) {
    Terminate(Result::End::kStopped);
    return;
  }
  if (!cause_.has_value()) cause_ = Result::End::kStopped;
  ended_ = true;
}

void Supervisor::OnMessage() {
  char message[kMaxMessage];
  const ssize_t size = recv(channel_.get(), message, sizeof(message), MSG_DONTWAIT);
  if (size <= 0) return;
  ended_ = true;
  if (message[0] == kFailed) {
    not_started_ = true;
    result_.message = std::string(message + 1, static_cast<size_t>(size) - 1);
    return;
  }
  int status = 0;
  std::memcpy(&status, message + 1, sizeof(status));
  const bool exited = WIFEXITED(status);
  result_.end = exited ? Result::End::kExited : Result::End::kSignalled;
  result_.exit_code = exited ? WEXITSTATUS(status) : -1;
  result_.signal = exited ? 0 : WTERMSIG(status);
  result_.orphans = DescendantsOf(init_);
}

void Supervisor::OnInitEnded() {
  char drained[1024];
  while (read(signals_.get(), drained, sizeof(drained)) > 0) {
    if (reinterpret_cast<const signalfd_siginfo*>(drained)->ssi_signo != SIGTERM) continue;
    if (!cause_.has_value()) cause_ = Result::End::kStopped;
    ended_ = true;
  }
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(init_), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
  if (info.si_pid != init_ || ended_) return;
  OnMessage();  // what it said before
  if (ended_) return;
  ended_ = true;
  result_.end = Result::End::kSignalled;
  result_.signal = info.si_code == CLD_EXITED ? SIGKILL : info.si_status;
  result_.message = "the init of its namespaces was killed";
}

// For poll(): until the worker has been silent for too long.
int Supervisor::Patience() const {
  if (order_.silence == absl::ZeroDuration()) return -1;
  const absl::Duration left = heard_ + order_.silence - BootTime();
  return static_cast<int>(absl::ToInt64Milliseconds(std::max(absl::ZeroDuration(), left))) + 1;
}

void Supervisor::OnSilence() {
  // What waits to be read was said in time, if it was said while this process, too, was stopped.
  if (BootTime() - heard_ < order_.silence) return;
  if (!cause_.has_value()) cause_ = Result::End::kStopped;
  result_.message = "nothing was heard of its worker";
  ended_ = true;
}

void Supervisor::Follow() {
  pollfd wanted[] = {{kControlFd, POLLIN, 0},
                     {signals_.get(), POLLIN, 0},
                     {timer_.get(), POLLIN, 0},
                     {channel_.get(), POLLIN, 0}};
  ArmTimer(order_.spec.limits.timeout);
  while (!ended_) {
    poll(wanted, 4, Patience());
    // What the child did comes before what was asked of it.
    if ((wanted[3].revents & POLLIN) != 0) OnMessage();
    if (!ended_ && wanted[1].revents != 0) OnInitEnded();
    if (!ended_ && wanted[2].revents != 0) {
      std::uint64_t count = 0;
      if (read(timer_.get(), &count, sizeof(count)) == sizeof(count)) OnTimer();
    }
    if (!ended_ && wanted[0].revents != 0) OnControl();
    if (!ended_ && order_.silence > absl::ZeroDuration()) OnSilence();
  }
}

// ---- end -------------------------------------------------------------------------------------

std::string MessageFor(const Result& result) {
  if (result.end == Result::End::kStopped) return "stopped";
  if (result.end == Result::End::kSignalled) return Cat("killed by signal ", result.signal);
  return "";
}

// An init is gone only when everything in its namespace is.
void Supervisor::KillAll() {
  if (init_ <= 0) return;
  kill(init_, SIGKILL);
  while (waitpid(init_, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (cgroup_ != nullptr) cgroup_->Kill();
}

void Supervisor::Finish() {
  result_.took = BootTime() - started_;
  if (not_started_ || cgroup_ == nullptr) return;
  result_.peak_memory_bytes = cgroup_->PeakMemoryBytes();
  if (result_.peak_memory_bytes == 0) {
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);  // of its largest process
    result_.peak_memory_bytes = std::int64_t{usage.ru_maxrss} * 1024;
  }
  const bool went_well = result_.end == Result::End::kExited && result_.exit_code == 0;
  if (cause_.has_value()) {
    if (result_.end == Result::End::kNotStarted) result_.signal = SIGKILL;
    result_.end = *cause_;
  } else if (cgroup_->OutOfMemoryKills() > 0 && !went_well) {
    result_.end = Result::End::kOutOfMemory;
    result_.message = Cat("used more than ", order_.spec.limits.memory_bytes, " bytes of memory");
  }
  if (result_.message.empty()) result_.message = MessageFor(result_);
}

Result Supervisor::Run() {
  const absl::Status started = Start();
  if (started.ok()) {
    Follow();
  } else {
    not_started_ = true;
    result_.message = std::string(started.message());
  }
  KillAll();
  Finish();
  cgroup_.reset();
  return std::move(result_);
}

}  // namespace

Result Supervise(const Order& order) { return Supervisor(order).Run(); }

}  // namespace capstan::process
