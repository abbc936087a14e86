#include "worker/process/supervisor/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/status_macros.h"

namespace capstan::process {
namespace {

// Names, since a library may be older than its kernel: names that it does not know are left out.
constexpr const char* kDenied[] = {
    // Mounts and namespaces.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "statmount",
    "listmount",
    "quotactl",
    "quotactl_fd",
    "swapon",
    "swapoff",
    "open_by_handle_at",
    "name_to_handle_at",
    // Other processes.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "migrate_pages",
    "move_pages",
    // Keys.
    "keyctl",
    "add_key",
    "request_key",
    // Parts of the kernel with a history.
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "lookup_dcookie",
    "fanotify_init",
    "vmsplice",
    "remap_file_pages",
    "modify_ldt",
    "uselib",
    "nfsservctl",
    "_sysctl",
    "sysfs",
    "mknod",
    "mknodat",
    // The machine.
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "reboot",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "adjtimex",
    "clock_adjtime",
    "clock_adjtime64",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "acct",
    "syslog",
    "vhangup",
};

// Those with a fall-back that programs use: their arguments lie in memory, where a filter cannot
// look.
constexpr const char* kAbsent[] = {"clone3", "openat2"};

constexpr unsigned long kNewNamespaces[] = {CLONE_NEWNS,    CLONE_NEWUSER, CLONE_NEWPID,
                                            CLONE_NEWNET,   CLONE_NEWIPC,  CLONE_NEWUTS,
                                            CLONE_NEWCGROUP};

// Calls that give a file its mode, and which argument it is; of the second kind only when they make
// a file, which the argument before it says.
struct ModeArgument {
  const char* call;
  unsigned argument;
};
constexpr ModeArgument kModes[] = {
    {"chmod", 1}, {"fchmod", 1}, {"fchmodat", 2}, {"fchmodat2", 2}, {"creat", 1}};
constexpr ModeArgument kOpens[] = {{"open", 2}, {"openat", 3}};

constexpr int kLastFamily = 64;

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
    if (context_ != nullptr) seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  }

  // Whatever the arguments are.
  void Deny(const char* call, int error) { Add(call, error, {}); }
  void DenyMasked(const char* call, unsigned argument, std::uint64_t mask, std::uint64_t value) {
    Add(call, EPERM, {SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value)});
  }
  void DenyEqual(const char* call, unsigned argument, std::uint64_t value) {
    Add(call, EPERM, {SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, value)});
  }
  void Add(const char* call, int error, const std::vector<scmp_arg_cmp>& where) {
    const int number = seccomp_syscall_resolve_name(call);
    if (context_ == nullptr || number == __NR_SCMP_ERROR) return;
    const int added = seccomp_rule_add_array(context_.get(), SCMP_ACT_ERRNO(error), number,
                                             static_cast<unsigned>(where.size()), where.data());
    if (added != 0) failed_ = absl::ErrnoToStatus(-added, std::string("seccomp: ") + call);
  }
  absl::Status Load() {
    CAPSTAN_RETURN_IF_ERROR(failed_);
    if (context_ == nullptr) return absl::InternalError("seccomp: no filter");
    const int loaded = seccomp_load(context_.get());
    return loaded == 0 ? absl::OkStatus() : absl::ErrnoToStatus(-loaded, "seccomp");
  }

 private:
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  absl::Status failed_;
};

void DenySockets(Filter& filter, bool network) {
  std::set<int> allowed = {AF_UNIX, AF_INET, AF_INET6};
  if (network) allowed.insert(AF_NETLINK);
  for (int family = 0; family < kLastFamily; ++family) {
    if (allowed.contains(family)) continue;
    filter.DenyEqual("socket", 0, static_cast<std::uint64_t>(family));
  }
  filter.Add("socket", EPERM, {SCMP_CMP(0, SCMP_CMP_GE, kLastFamily)});
  for (int family : {AF_INET, AF_INET6}) {
    filter.Add("socket", EPERM,
               {SCMP_CMP(0, SCMP_CMP_EQ, static_cast<std::uint64_t>(family)),
                SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW)});
  }
  // Of netlink only addresses and routes, protocol 0.
  filter.Add("socket", EPERM, {SCMP_CMP(0, SCMP_CMP_EQ, AF_NETLINK), SCMP_CMP(2, SCMP_CMP_NE, 0)});
}

}  // namespace

absl::Status DenySystemCalls(bool network) {
  Filter filter;
  for (const char* call : kDenied) filter.Deny(call, EPERM);
  for (const char* call : kAbsent) filter.Deny(call, ENOSYS);
  for (unsigned long space : kNewNamespaces) {
    filter.DenyMasked("clone", 0, space, space);
    filter.DenyMasked("unshare", 0, space, space);
  }
  // In a writable folder the child acts as its owner: a set-user-id program there would be one of
  // that owner's.
  for (std::uint64_t bit : {S_ISUID, S_ISGID}) {
    for (const ModeArgument& mode : kModes) filter.DenyMasked(mode.call, mode.argument, bit, bit);
    for (const ModeArgument& mode : kOpens) {
      filter.Add(mode.call, EPERM,
                 {SCMP_CMP(mode.argument - 1, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT),
                  SCMP_CMP(mode.argument, SCMP_CMP_MASKED_EQ, bit, bit)});
    }
  }
  filter.DenyEqual("ioctl", 1, 0x5412);  // TIOCSTI: types into a terminal
  filter.DenyEqual("ioctl", 1, 0x541c);  // TIOCLINUX
  DenySockets(filter, network);
  return filter.Load();
}

}  // namespace capstan::process
