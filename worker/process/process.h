// Child processes of steps: programs that nobody trusts. Each runs under a supervisor of its own
// (capstan-supervisor), in namespaces and a cgroup of its own as far as the machine allows, without
// anything inherited, and nothing of it outlives the call, the worker, or the deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace capstan::process {

struct Limits {
  absl::Duration timeout = absl::Minutes(10);  // wall clock (boot clock)
  std::int64_t memory_bytes = 0;               // of all its processes; 0: none
  int max_processes = 512;                     // with threads
  double cpus = 0;                             // 0: none
  std::int64_t output_bytes = 64 << 20;        // beyond it the child is stopped
  std::int64_t file_bytes = 0;                 // largest file it may write; 0: none
  // What these folders may hold together, and how many files and folders; 0: any. They are looked
  // at while the child runs, and when it has ended.
  std::vector<std::string> measured = {};
  std::int64_t disk_bytes = 0;
  std::int64_t disk_files = 0;
};

// What it may touch. Everything else of the machine's files can be read only as far as programs
// need it to run (/usr, /lib, /etc without secrets); homes, other workspaces and /proc of others
// are not there.
struct Sandbox {
  bool enabled = true;
  std::vector<std::string> writable;  // folders
  std::vector<std::string> readable;  // folders and files
  // It reaches the network. Without it there is only a loopback of its own.
  bool network = false;
};

struct Spec {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH of `environment`
  std::string directory;
  std::map<std::string, std::string> environment;  // all of it; nothing is inherited
  std::string input;                               // on stdin, then end of file
  // Name to content: files only this child can read, in a folder that the variable CAPSTAN_SECRETS
  // names; gone with it.
  std::map<std::string, std::string> secret_files;
  Limits limits;
  Sandbox sandbox;
};

// What was still there when the first process had ended, and was killed.
struct Orphan {
  int pid = 0;  // as seen in its own namespace
  std::string command;
};

struct Result {
  enum class End {
    kExited,       // exit_code
    kSignalled,    // signal, of its own doing
    kTimedOut,     // limits.timeout
    kStopped,      // the stop token, or the worker ended
    kOutOfMemory,  // limits.memory_bytes
    kOutputLimit,  // limits.output_bytes
    kNotStarted,   // message
    kDiskLimit,    // limits.disk_bytes or disk_files
  };
  End end = End::kNotStarted;
  int exit_code = -1;
  int signal = 0;
  std::string message;                 // for a person
  std::int64_t peak_memory_bytes = 0;  // 0: not known
  std::vector<Orphan> orphans;
  absl::Duration took;
};

enum class Stream { kOut, kErr };

// Thread-safe.
class Runner {
 public:
  virtual ~Runner() = default;

  // Runs a program to its end; blocks. `on_output` gets its output in pieces as it comes, on the
  // calling thread. A stop sends SIGTERM to its first process and, after `grace`, kills everything.
  // When it returns, nothing of the child is left.
  virtual Result Run(const Spec& spec,
                     const std::function<void(Stream, std::string_view)>& on_output,
                     std::stop_token stop) = 0;
};

struct Options {
  std::string supervisor = "capstan-supervisor";  // as core/find_program.h finds it
  absl::Duration grace = absl::Seconds(5);        // between SIGTERM and the kill
  // A child whose worker is not heard from for so long (it hangs, or was stopped) is killed: less
  // than the time after which others may take its work over. Zero: it is not listened for.
  absl::Duration silence = absl::ZeroDuration();
  // A cgroup that this program may make children in, as /proc/self/cgroup names them; with version
  // 2 one without processes. Empty: its own, where that is possible.
  std::string cgroup;
  // Whom a sandboxed child runs as when this program is root; otherwise it is this program's user.
  // In the folders that it is given it acts as the owner of the folder either way.
  std::uint32_t user = 65534;
  std::uint32_t group = 65534;
};

// What this machine gives: namespaces, cgroup limits, Landlock, seccomp. For logs and the doctor.
struct Abilities {
  bool namespaces = false;
  bool memory_limit = false;
  bool process_limit = false;
  bool cpu_limit = false;
  int landlock = 0;  // ABI; 0: none
  bool seccomp = false;
};

// NOT_FOUND: no supervisor. FAILED_PRECONDITION: children could not be kept from outliving their
// step here (no namespaces for this program): let it run as root with CAP_SYS_ADMIN, or where user
// namespaces are allowed.
absl::StatusOr<std::unique_ptr<Runner>> MakeRunner(const Options& options);
Abilities AbilitiesHere(const Options& options);

}  // namespace capstan::process
