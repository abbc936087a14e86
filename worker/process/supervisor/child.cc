#include "worker/process/supervisor/child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/process/landlock.h"
#include "worker/process/supervisor/root.h"
#include "worker/process/supervisor/seccomp.h"

namespace capstan::process {
namespace {

constexpr rlim_t kOpenFiles = 16384;
constexpr char kHostName[] = "capstan";
constexpr char kDefaultPath[] = "/usr/local/bin:/usr/bin:/bin";

absl::Status Errno(std::string_view what) { return absl::ErrnoToStatus(errno, AbslView(what)); }

[[noreturn]] void Fail(int channel, const absl::Status& status) {
  std::string message = Cat(std::string(1, kFailed), status.message());
  message.resize(std::min(message.size(), kMaxMessage));
  (void)!send(channel, message.data(), message.size(), MSG_NOSIGNAL);
  _exit(127);
}

void LoopbackUp() {
  const Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ioctl(any.get(), SIOCSIFFLAGS, &request);
}

// Everything that init itself has to be for.
absl::Status MakeSandbox(const ChildPlan& plan) {
  const Order& order = plan.order;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return Errno("parent's death");
  sethostname(kHostName, sizeof(kHostName) - 1);
  unshare(CLONE_NEWCGROUP);
  if (!order.spec.sandbox.enabled) return KeepRoot(order, plan.secrets_folder);
  if (!order.spec.sandbox.network) LoopbackUp();
  return EnterNewRoot(order, plan.maps);
}

// ---- rights ----------------------------------------------------------------------------------

absl::Status KeepCapabilities(std::uint32_t kept) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {{kept, kept, 0}, {0, 0, 0}};
  return syscall(SYS_capset, &header, data) == 0 ? absl::OkStatus() : Errno("capabilities");
}

// In this order: what takes away the right to take away comes last.
absl::Status DropRights(const ChildPlan& plan) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
                               SECBIT_KEEP_CAPS_LOCKED);
  if (plan.as_root && plan.order.spec.sandbox.enabled) {
    const Order& order = plan.order;
    if (setgroups(0, nullptr) != 0 || setresgid(order.group, order.group, order.group) != 0 ||
        setresuid(order.user, order.user, order.user) != 0)
      return Errno("user");
  }
  CAPSTAN_RETURN_IF_ERROR(KeepCapabilities(0));
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? absl::OkStatus() : Errno("no_new_privs");
}

absl::Status SetLimit(int what, rlim_t value) {
  rlimit now{};
  getrlimit(what, &now);
  const rlim_t most = now.rlim_max == RLIM_INFINITY ? value : std::min(value, now.rlim_max);
  const rlimit limit = {most, most};
  return setrlimit(what, &limit) == 0 ? absl::OkStatus() : Errno("limits");
}

absl::Status SetLimits(const ChildPlan& plan) {
  const Limits& limits = plan.order.spec.limits;
  CAPSTAN_RETURN_IF_ERROR(SetLimit(RLIMIT_CORE, 0));
  CAPSTAN_RETURN_IF_ERROR(SetLimit(RLIMIT_NOFILE, kOpenFiles));
  CAPSTAN_RETURN_IF_ERROR(SetLimit(RLIMIT_MSGQUEUE, 0));
  if (limits.file_bytes > 0)
    CAPSTAN_RETURN_IF_ERROR(SetLimit(RLIMIT_FSIZE, static_cast<rlim_t>(limits.file_bytes)));
  if (!plan.limit_processes) return absl::OkStatus();
  return SetLimit(RLIMIT_NPROC, static_cast<rlim_t>(limits.max_processes) + 1);
}

absl::Status Restrict(const ChildPlan& plan) {
  const Sandbox& sandbox = plan.order.spec.sandbox;
  if (!sandbox.enabled) return absl::OkStatus();
  CAPSTAN_RETURN_IF_ERROR(RestrictFiles({"/"}, WritablePaths(plan.order)));
  return DenySystemCalls(sandbox.network);
}

// ---- the first process -----------------------------------------------------------------------

std::vector<std::string> EnvironmentOf(const ChildPlan& plan) {
  std::vector<std::string> lines;
  const Spec& spec = plan.order.spec;
  for (const auto& [name, value] : spec.environment) lines.push_back(Cat(name, "=", value));
  if (!spec.secret_files.empty())
    lines.push_back(
        Cat("CAPSTAN_SECRETS=", spec.sandbox.enabled ? kSecretsFolder : plan.secrets_folder));
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Only returns when it cannot.
absl::Status Execute(const Spec& spec, const std::vector<char*>& argv,
                     const std::vector<char*>& environment) {
  const std::string& name = spec.argv[0];
  if (name.find('/') != std::string::npos) {
    execve(name.c_str(), argv.data(), environment.data());
    return Errno(name);
  }
  const auto path = spec.environment.find("PATH");
  int error = ENOENT;
  for (absl::string_view folder :
       absl::StrSplit(path == spec.environment.end() ? kDefaultPath : path->second, ':')) {
    execve(absl::StrCat(folder, "/", name).c_str(), argv.data(), environment.data());
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
  }
  return absl::ErrnoToStatus(error, name);
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

absl::Status BecomeProgram(const ChildPlan& plan) {
  const Spec& spec = plan.order.spec;
  std::vector<std::string> arguments = spec.argv;
  std::vector<std::string> variables = EnvironmentOf(plan);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> environment = Pointers(variables);
  setsid();
  ResetSignals();
  umask(022);
  CAPSTAN_RETURN_IF_ERROR(SetLimits(plan));
  CAPSTAN_RETURN_IF_ERROR(DropRights(plan));
  if (chdir(spec.directory.empty() ? "/" : spec.directory.c_str()) != 0)
    return Errno("directory: " + spec.directory);
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return Errno("descriptors");
  CAPSTAN_RETURN_IF_ERROR(Restrict(plan));
  return Execute(spec, argv, environment);
}

// ---- init ------------------------------------------------------------------------------------

// Its own rights are one: to signal the first process.
void GiveUpMost() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  (void)KeepCapabilities(1U << CAP_KILL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of rights forgets it
}

// Takes the ended children off the list; says when the first process is among them.
void Reap(pid_t first, int channel) {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (pid != first) continue;
    char message[1 + sizeof(status)] = {kEnded};
    std::memcpy(message + 1, &status, sizeof(status));
    (void)!send(channel, message, sizeof(message), MSG_NOSIGNAL);
  }
}

[[noreturn]] void Serve(pid_t first, int channel, int signals) {
  pollfd wanted[] = {{channel, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    poll(wanted, 2, -1);
    if (wanted[1].revents != 0) {
      char drained[1024];
      (void)!read(signals, drained, sizeof(drained));
      Reap(first, channel);
    }
    if (wanted[0].revents == 0) continue;
    char message = 0;
    if (recv(channel, &message, 1, MSG_DONTWAIT) == 0) _exit(0);  // the supervisor is gone
    if (message == kTerminate) kill(first, SIGTERM);
  }
}

}  // namespace

void RunInit(const ChildPlan& plan, int channel) {
  char go = 0;
  if (recv(channel, &go, 1, 0) != 1 || go != kGo) _exit(0);
  const absl::Status made = MakeSandbox(plan);
  if (!made.ok()) Fail(channel, made);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // the first process is not to look into this one
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  sigprocmask(SIG_SETMASK, &child_ended, nullptr);
  const int signals = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
  const pid_t first = fork();
  if (first < 0 || signals < 0) Fail(channel, Errno("first process"));
  if (first == 0) Fail(channel, BecomeProgram(plan));
  GiveUpMost();
  close_range(0, 2, 0);
  Serve(first, channel, signals);
}

}  // namespace capstan::process
