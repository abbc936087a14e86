// Runs inside a sandbox and tries to get out of it: `process_escapes CASE`. Exit 0: denied; 1:
// escaped; 2: no such case. `process_escapes --list` names the cases. From the environment: WORK,
// its own workspace; VICTIM, a folder that it was not given; PORT, of somebody who listens on the
// machine's 127.0.0.1 and of another on UDP; OUTSIDE_PID, a process of the machine.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::string Env(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}
std::string Work() { return Env("WORK"); }
std::string Victim() { return Env("VICTIM"); }
pid_t OutsidePid() { return atoi(Env("OUTSIDE_PID").c_str()); }

bool CanRead(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  char byte;
  return fd >= 0 && read(fd, &byte, 1) == 1;
}
bool CanList(const std::string& path) { return opendir(path.c_str()) != nullptr; }
bool CanWrite(const std::string& path) { return open(path.c_str(), O_WRONLY) >= 0; }
bool CanCreate(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT, 0600) >= 0;
}
bool Called(long result) { return result != -1; }

bool Connects(int type, const char* address, int port) {
  const int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, address, &to.sin_addr);
  const bool under_way = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0;
  if (under_way && errno != EINPROGRESS) return false;
  pollfd wanted = {fd, POLLOUT, 0};
  int error = 0;
  socklen_t size = sizeof(error);
  poll(&wanted, 1, 2000);
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return false;
  return type == SOCK_STREAM || send(fd, "x", 1, 0) == 1;
}

bool LinksOut(bool symbolic) {
  const std::string link = Work() + "/way-out";
  const std::string target = Victim() + "/secret";
  const int made =
      symbolic ? symlink(target.c_str(), link.c_str()) : ::link(target.c_str(), link.c_str());
  return made == 0 && (CanRead(link) || CanWrite(link));
}

// A child that does `what` and is still itself.
template <class What>
bool InChild(What what) {
  const pid_t pid = fork();
  if (pid == 0) _exit(what() ? 1 : 0);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

bool SeesOutsidePids() {
  DIR* folder = opendir("/proc");
  for (dirent* entry = readdir(folder); entry != nullptr; entry = readdir(folder)) {
    if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid()) return true;
  }
  return false;
}

bool OtherDescriptorsAreOpen() {
  for (int fd = 3; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) return true;
  }
  return false;
}

bool GainsByIoctl() {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  return Called(syscall(SYS_ioctl, fd, 0x8914 /* SIOCSIFFLAGS */, &request));
}

bool RunsAsRootBySetuid() {
  for (const char* program : {"/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd"}) {
    struct stat status{};
    if (stat(program, &status) != 0 || (status.st_mode & S_ISUID) == 0) continue;
    if (InChild([program] {
          // A set-user-id program that gained rights could not be traced to its saved ids: ask it.
          const pid_t pid = fork();
          if (pid == 0) {
            const int none = open("/dev/null", O_RDWR);
            for (int fd : {0, 1, 2}) dup2(none, fd);
            execl(program, program, "--version", nullptr);
            _exit(0);
          }
          siginfo_t info{};
          waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED);
          return info.si_uid == 0;
        }))
      return true;
  }
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

bool MakesSetuidFile() {
  const std::string path = Work() + "/suid";
  if (Called(open(path.c_str(), O_WRONLY | O_CREAT, 04755))) return true;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT, 0755);
  return fd < 0 || Called(chmod(path.c_str(), 04755)) || Called(fchmod(fd, 04755)) ||
         Called(fchmodat(AT_FDCWD, path.c_str(), 06755, 0));
}

bool LeavesChroot() {
  if (!Called(chroot(Work().c_str()))) return false;
  return true;
}

bool SignalsOutside() {
  const pid_t outside[] = {OutsidePid(), getppid() == 0 ? 1 : getppid()};
  for (pid_t pid : outside) {
    if (Called(kill(pid, SIGKILL)) && pid != 1) return true;
  }
  return false;
}

// What it reaches is its own; the test is still there to say so.
bool SignalsAll() {
  kill(-1, SIGKILL);
  return false;
}

bool ForksWithoutEnd() {
  int made = 0;
  std::vector<pid_t> pids;
  for (; made < 2000; ++made) {
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      pause();
      _exit(0);
    }
    pids.push_back(pid);
  }
  for (pid_t pid : pids) kill(pid, SIGKILL);
  return made >= 200;  // of 100 that it may have
}

bool WritesBigFile() {
  signal(SIGXFSZ, SIG_IGN);
  const int fd = open((Work() + "/big").c_str(), O_WRONLY | O_CREAT, 0600);
  return Called(ftruncate(fd, 64 << 20)) || Called(pwrite(fd, "x", 1, 64 << 20));
}

bool DumpsCore() {
  rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  if (Called(setrlimit(RLIMIT_CORE, &limit))) return true;
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_max != 0;
}

bool TracesParent() { return Called(ptrace(PTRACE_ATTACH, getppid(), nullptr, nullptr)); }

bool ReadsOtherMemory() {
  char byte;
  iovec local = {&byte, 1};
  iovec remote = {reinterpret_cast<void*>(&Work), 1};
  return Called(process_vm_readv(OutsidePid(), &local, 1, &remote, 1, 0)) ||
         Called(process_vm_readv(1, &local, 1, &remote, 1, 0)) || CanRead("/proc/1/mem") ||
         CanRead("/proc/1/environ");
}

bool LoadsBpf() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = attributes.value_size = 4;
  attributes.max_entries = 1;
  return Called(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)));
}

bool OpensPerf() {
  perf_event_attr attributes{};
  attributes.size = sizeof(attributes);
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.exclude_kernel = 1;
  return Called(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

bool OpensByHandle() {
  alignas(file_handle) char space[sizeof(file_handle) + 128] = {};
  auto* handle = reinterpret_cast<file_handle*>(space);
  handle->handle_bytes = 8;
  handle->handle_type = 1;
  space[sizeof(file_handle)] = 2;  // the root of the file system that /usr lies on
  return Called(open_by_handle_at(open("/usr", O_RDONLY), handle, O_RDONLY));
}

bool MountsAnew() {
  return Called(syscall(SYS_open_tree, AT_FDCWD, "/usr", 1)) ||
         Called(syscall(SYS_fsopen, "tmpfs", 0)) ||
         Called(syscall(SYS_move_mount, AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0)) ||
         Called(syscall(SYS_mount_setattr, AT_FDCWD, "/usr", 0, nullptr, 0));
}

bool NewNamespace(int flag) {
  if (InChild([flag] { return Called(unshare(flag)); })) return true;
  const long cloned = syscall(SYS_clone, flag | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (cloned == 0) _exit(0);
  return Called(cloned);
}

bool AbstractSocket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string name = Env("ABSTRACT");
  memcpy(to.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return Called(connect(fd, reinterpret_cast<sockaddr*>(&to), size));
}

bool RawSocket(int family, int type, int protocol) {
  return Called(socket(family, type, protocol));
}

bool ChangesMachine() {
  const timeval then = {1, 0};
  return Called(settimeofday(&then, nullptr)) || Called(sethostname("x", 1)) ||
         Called(setdomainname("x", 1));
}

bool GainsUser() {
  return Called(setuid(0)) || Called(setgid(0)) || Called(setresuid(0, 0, 0)) ||
         Called(setgroups(0, nullptr));
}

bool Renames() {
  return Called(rename((Victim() + "/secret").c_str(), (Work() + "/taken").c_str())) ||
         Called(unlink((Victim() + "/secret").c_str())) || Called(rmdir(Victim().c_str()));
}

bool SendsUnder32Bit() {
  // The numbers of the 32-bit calls are others: a filter for 64 bits alone would let them through.
  return InChild([] {
    long result = -1;
    asm volatile("int $0x80" : "=a"(result) : "a"(21L /* mount */), "b"(0L), "c"(0L), "d"(0L));
    return result == 0 || result == -14 /* EFAULT: it went in */;
  });
}

struct Case {
  const char* name;
  bool (*escapes)();
};

const Case kCases[] = {
    {"read_shadow", [] { return CanRead("/etc/shadow"); }},
    {"read_ssh_of_root", [] { return CanList("/root/.ssh") || CanRead("/root/.ssh/id_rsa"); }},
    {"list_root_home", [] { return CanList("/root"); }},
    {"list_homes", [] { return CanList("/home"); }},
    {"read_var", [] { return CanList("/var") || CanList("/var/lib"); }},
    {"list_sys", [] { return CanList("/sys") || CanList("/sys/kernel"); }},
    {"read_other_workspace", [] { return CanRead(Victim() + "/secret"); }},
    {"list_other_workspace", [] { return CanList(Victim()); }},
    {"list_beside_workspace",
     [] {
       return CanRead(Work() + "/../" + Victim().substr(Victim().rfind('/') + 1) + "/secret");
     }},
    {"create_in_other_workspace", [] { return CanCreate(Victim() + "/created"); }},
    {"rename_other_workspace", Renames},
    {"symlink_out", [] { return LinksOut(true); }},
    {"hardlink_out", [] { return LinksOut(false); }},
    {"dots_out", [] { return CanRead(Work() + "/../../../../../../etc/shadow"); }},
    {"proc_self_root", [] { return CanRead("/proc/self/root/etc/shadow"); }},
    {"proc_1_root", [] { return CanRead("/proc/1/root/etc/shadow") || CanList("/proc/1/root"); }},
    {"proc_1_environ", [] { return CanRead("/proc/1/environ") || CanRead("/proc/1/maps"); }},
    {"proc_1_descriptors", [] { return CanList("/proc/1/fd"); }},
    {"outside_pids", SeesOutsidePids},
    {"outside_environ", [] { return CanRead("/proc/" + Env("OUTSIDE_PID") + "/environ"); }},
    {"inherited_descriptors", OtherDescriptorsAreOpen},
    {"ptrace_parent", TracesParent},
    {"other_memory", ReadsOtherMemory},
    {"mount_tmpfs", [] { return Called(mount("x", "/tmp", "tmpfs", 0, nullptr)); }},
    {"mount_bind", [] { return Called(mount("/usr", "/tmp", nullptr, MS_BIND, nullptr)); }},
    {"remount_writable",
     [] { return Called(mount(nullptr, "/usr", nullptr, MS_REMOUNT | MS_BIND, nullptr)); }},
    {"mount_anew", MountsAnew},
    {"umount", [] { return Called(umount2("/proc", MNT_DETACH)); }},
    {"pivot_root", [] { return Called(syscall(SYS_pivot_root, "/tmp", "/tmp")); }},
    {"chroot", LeavesChroot},
    {"new_user_namespace", [] { return NewNamespace(CLONE_NEWUSER); }},
    {"new_mount_namespace", [] { return NewNamespace(CLONE_NEWNS); }},
    {"new_net_namespace", [] { return NewNamespace(CLONE_NEWNET); }},
    {"new_pid_namespace", [] { return NewNamespace(CLONE_NEWPID); }},
    {"new_user_and_net", [] { return NewNamespace(CLONE_NEWUSER | CLONE_NEWNET); }},
    {"clone3", [] { return Called(syscall(SYS_clone3, nullptr, 0)) || errno != ENOSYS; }},
    {"setns", [] { return Called(setns(open("/proc/self/ns/net", O_RDONLY), 0)); }},
    {"keyctl", [] { return Called(syscall(SYS_keyctl, 0, -3, 1)); }},
    {"add_key", [] { return Called(syscall(SYS_add_key, "user", "x", "y", 1, -2)); }},
    {"bpf", LoadsBpf},
    {"perf_event_open", OpensPerf},
    {"userfaultfd", [] { return Called(syscall(SYS_userfaultfd, 1)); }},
    {"io_uring",
     [] {
       char params[256] = {};
       return Called(syscall(SYS_io_uring_setup, 1, params));
     }},
    {"open_by_handle", OpensByHandle},
    {"raw_socket", [] { return RawSocket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }},
    {"raw_socket_6", [] { return RawSocket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }},
    {"packet_socket",
     [] { return RawSocket(AF_PACKET, SOCK_RAW, 0) || RawSocket(AF_PACKET, SOCK_DGRAM, 0); }},
    {"netlink_socket",
     [] { return RawSocket(AF_NETLINK, SOCK_RAW, 0) || RawSocket(AF_NETLINK, SOCK_RAW, 9); }},
    {"vsock", [] { return RawSocket(AF_VSOCK, SOCK_STREAM, 0); }},
    {"kernel_crypto_socket", [] { return RawSocket(AF_ALG, SOCK_SEQPACKET, 0); }},
    {"connect_to_machine",
     [] { return Connects(SOCK_STREAM, "127.0.0.1", atoi(Env("PORT").c_str())); }},
    {"connect_to_metadata", [] { return Connects(SOCK_STREAM, "169.254.169.254", 80); }},
    {"connect_out", [] { return Connects(SOCK_STREAM, "192.0.2.1", 443); }},
    {"dns", [] { return Connects(SOCK_DGRAM, "192.0.2.53", 53); }},
    {"abstract_socket", AbstractSocket},
    {"configure_network", GainsByIoctl},
    {"setuid_program", RunsAsRootBySetuid},
    {"setuid_file", MakesSetuidFile},
    {"become_root", GainsUser},
    {"chown",
     [] {
       return Called(chown("/usr/bin/env", getuid(), getgid())) ||
              Called(chown((Work() + "/mine").c_str(), 0, 0));
     }},
    {"chmod_outside", [] { return Called(chmod("/usr", 0777)) || Called(chmod("/etc", 0777)); }},
    {"write_usr", [] { return CanCreate("/usr/escaped") || CanWrite("/usr/bin/env"); }},
    {"write_etc", [] { return CanCreate("/etc/escaped") || CanWrite("/etc/passwd"); }},
    {"write_root", [] { return CanCreate("/escaped") || Called(mkdir("/escaped", 0700)); }},
    {"write_sys", [] { return CanWrite("/sys/kernel/mm/ksm/run"); }},
    {"write_proc_sys",
     [] { return CanWrite("/proc/sys/kernel/core_pattern") || CanWrite("/proc/sysrq-trigger"); }},
    {"cgroup_leave",
     [] {
       return CanWrite("/sys/fs/cgroup/cgroup.procs") ||
              CanWrite("/sys/fs/cgroup/pids/cgroup.procs");
     }},
    {"mknod_device",
     [] { return Called(mknod((Work() + "/disk").c_str(), S_IFBLK | 0600, 0xfe00)); }},
    {"open_disk",
     [] { return CanRead("/dev/vda") || CanRead("/dev/mem") || CanRead("/dev/kmsg"); }},
    {"signal_outside", SignalsOutside},
    {"signal_all", SignalsAll},
    {"fork_bomb", ForksWithoutEnd},
    {"big_file", WritesBigFile},
    {"core_dump", DumpsCore},
    {"change_machine", ChangesMachine},
    {"reboot", [] { return Called(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, nullptr)); }},
    {"load_module",
     [] { return Called(syscall(SYS_init_module, nullptr, 0, "")) || errno != EPERM; }},
    {"kexec", [] { return Called(syscall(SYS_kexec_load, 0, 0, nullptr, 0)); }},
    {"swapon", [] { return Called(swapon((Work() + "/swap").c_str(), 0)) || errno != EPERM; }},
    {"quota",
     [] { return Called(syscall(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), nullptr, 0, nullptr)); }},
    {"io_ports",
     [] { return Called(syscall(SYS_iopl, 3)) || Called(syscall(SYS_ioperm, 0, 1, 1)); }},
    {"kernel_log", [] { return Called(syscall(SYS_syslog, 3, nullptr, 0)); }},
    {"calls_of_32_bits", SendsUnder32Bit},
    {"no_randomisation",
     [] {
       // Harmless: it is about itself alone. It must not make it anybody else.
       personality(ADDR_NO_RANDOMIZE);
       return geteuid() == 0 || CanRead("/etc/shadow");
     }},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  for (const Case& one : kCases) {
    if (name == "--list") std::puts(one.name);
    if (name != one.name) continue;
    const bool escaped = one.escapes();
    std::puts(escaped ? "escaped" : "denied");
    return escaped ? 1 : 0;
  }
  return name == "--list" ? 0 : 2;
}
