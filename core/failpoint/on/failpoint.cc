// CAPSTAN_FAILPOINT=name:action[:nth][,…]: at the nth hit (default 1) of `name` do `action`, once:
//   crash           _exit(137) at once, as SIGKILL would
//   error           return UNAVAILABLE "failpoint NAME"
//   delay=MILLIS    return OK after that time
//   pause           raise(SIGSTOP); whoever runs the test sends SIGCONT
// CAPSTAN_FAILPOINT_LOG=file: appends the name of every failpoint that is hit, one a line.
#include "core/failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace capstan {
namespace {

struct Trap {
  std::string action;
  int nth = 1;
};

class Failpoints {
 public:
  Failpoints() {
    const char* spec = std::getenv("CAPSTAN_FAILPOINT");
    for (absl::string_view item :
         absl::StrSplit(absl::string_view(spec == nullptr ? "" : spec), ',', absl::SkipEmpty())) {
      const std::vector<std::string> parts = absl::StrSplit(item, ':');
      if (parts.size() < 2) continue;
      Trap trap{parts[1]};
      if (parts.size() > 2) (void)absl::SimpleAtoi(parts[2], &trap.nth);
      traps_[parts[0]] = trap;
    }
    if (const char* log = std::getenv("CAPSTAN_FAILPOINT_LOG")) {
      log_ = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
  }

  absl::Status Hit(const std::string& name) {
    if (log_ >= 0) {
      const std::string line = absl::StrCat(name, "\n");
      if (write(log_, line.data(), line.size()) < 0) return absl::InternalError("failpoint log");
    }
    std::string action;
    {
      absl::MutexLock lock(&mu_);
      const auto trap = traps_.find(name);
      if (trap == traps_.end() || ++hits_[trap->first] != trap->second.nth) return absl::OkStatus();
      action = trap->second.action;
    }
    return Do(name, action);
  }

 private:
  static absl::Status Do(const std::string& name, absl::string_view action) {
    if (action == "crash") _exit(137);
    if (action == "pause") raise(SIGSTOP);
    if (action == "error") return absl::UnavailableError(absl::StrCat("failpoint ", name));
    if (int millis = 0;
        absl::ConsumePrefix(&action, "delay=") && absl::SimpleAtoi(action, &millis)) {
      absl::SleepFor(absl::Milliseconds(millis));
    }
    return absl::OkStatus();
  }

  absl::Mutex mu_;
  std::map<std::string, Trap, std::less<>> traps_;
  std::map<std::string, int> hits_ ABSL_GUARDED_BY(mu_);
  int log_ = -1;
};

}  // namespace

absl::Status HitFailpoint(std::string_view name) {
  static Failpoints* failpoints = new Failpoints;
  return failpoints->Hit(std::string(name));
}

}  // namespace capstan
