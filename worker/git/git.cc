#include "worker/git/git.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::git {
namespace {

constexpr std::int64_t kMostOutput = 16 << 20;
constexpr size_t kMostOfMessage = 2000;

constexpr std::pair<const char*, const char*> kEnvironment[] = {
    {"PATH", "/usr/local/bin:/usr/bin:/bin"},
    {"HOME", "/tmp"},
    {"LC_ALL", "C"},
    {"GIT_CONFIG_NOSYSTEM", "1"},
    {"GIT_CONFIG_GLOBAL", "/dev/null"},
    {"GIT_ATTR_NOSYSTEM", "1"},
    {"GIT_TERMINAL_PROMPT", "0"},
    {"GIT_ASKPASS", "/bin/false"},
    {"GIT_SSH_COMMAND", "/bin/false"},
    {"GIT_EDITOR", "/bin/false"},
    {"GIT_SEQUENCE_EDITOR", "/bin/false"},
    {"GIT_PAGER", "cat"},
    {"GIT_ALLOW_PROTOCOL", "none"},
    {"GIT_PROTOCOL_FROM_USER", "0"},
    {"GIT_NO_LAZY_FETCH", "1"},
    {"GIT_NO_REPLACE_OBJECTS", "1"},
    {"GIT_LITERAL_PATHSPECS", "1"},
    {"GIT_AUTHOR_NAME", "Capstan"},
    {"GIT_AUTHOR_EMAIL", "capstan@localhost"},
    {"GIT_COMMITTER_NAME", "Capstan"},
    {"GIT_COMMITTER_EMAIL", "capstan@localhost"},
};

// Stronger than what the repository says.
constexpr std::pair<const char*, const char*> kAnswers[] = {
    {"core.hooksPath", "/dev/null"},
    {"core.fsmonitor", "false"},
    {"core.attributesFile", "/dev/null"},
    {"core.excludesFile", "/dev/null"},
    {"core.alternateRefsCommand", ""},
    {"core.sshCommand", "/bin/false"},
    {"core.gitProxy", ""},
    {"core.askPass", "/bin/false"},
    {"core.sharedRepository", "false"},
    {"core.symlinks", "true"},
    {"core.protectNTFS", "true"},
    {"core.protectHFS", "true"},
    {"protocol.allow", "never"},
    {"protocol.file.allow", "never"},
    {"protocol.ext.allow", "never"},
    {"credential.helper", ""},
    {"diff.external", ""},
    {"diff.ignoreSubmodules", "all"},
    {"submodule.recurse", "false"},
    {"commit.gpgSign", "false"},
    {"gpg.program", "/bin/false"},
    {"maintenance.auto", "false"},
    {"gc.auto", "0"},
    {"i18n.commitEncoding", "UTF-8"},
    {"advice.addEmbeddedRepo", "false"},
    {"checkout.defaultRemote", ""},
    {"worktree.useRelativePaths", "false"},
};

// The last parts of settings below filter.<name>. and diff.<name>. that name programs, and what
// answers them: an empty one is none.
struct DriverSetting {
  const char* section;
  const char* last;
  const char* answer;
};
constexpr DriverSetting kDriverSettings[] = {
    {"filter.", ".clean", ""},     {"filter.", ".smudge", ""}, {"filter.", ".process", ""},
    {"filter.", ".required", "0"}, {"merge.", ".driver", ""},
};

// git says it in the words of the C library, or its own; LC_ALL is C.
bool SaysNoRoom(absl::string_view error) {
  return absl::StrContains(error, "No space left on device") ||
         absl::StrContains(error, "Out of diskspace") ||
         absl::StrContains(error, "Disk quota exceeded");
}

absl::Status StatusOf(const process::Result& result, const std::string& what, std::string error) {
  using End = process::Result::End;
  error.resize(std::min(error.size(), kMostOfMessage));
  switch (result.end) {
    case End::kExited:
      if (result.exit_code == 0) return absl::OkStatus();
      error = Cat(what, ": exit code ", result.exit_code, ": ", error);
      return SaysNoRoom(error) ? absl::ResourceExhaustedError(error) : absl::InternalError(error);
    case End::kStopped:
    case End::kTimedOut:
      return absl::UnavailableError(Cat(what, ": ", result.message));
    case End::kOutputLimit:
    case End::kOutOfMemory:
      return absl::ResourceExhaustedError(Cat(what, ": ", result.message));
    case End::kSignalled:
    case End::kDiskLimit:  // nothing is measured here
    case End::kNotStarted:
      break;
  }
  return absl::InternalError(Cat(what, ": ", result.message, " signal ", result.signal, error));
}

bool IsFolder(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool IsThere(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0;
}

}  // namespace

absl::StatusOr<std::string> FindGitFolder(const std::string& path) {
  if (!IsFolder(path)) return absl::NotFoundError(path + ": no folder");
  std::string folder = path + "/.git";
  if (IsThere(folder)) {
    if (!IsFolder(folder))
      return absl::FailedPreconditionError(folder + ": got a link or a file, want a folder");
  } else {
    folder = path;
  }
  if (IsThere(folder + "/commondir"))
    return absl::FailedPreconditionError(folder + ": belongs to another repository");
  if (!IsFolder(folder + "/objects") || !IsFolder(folder + "/refs") || !IsThere(folder + "/HEAD"))
    return absl::NotFoundError(path + ": no repository");
  return folder;
}

Git::Git(process::Runner& runner, Place place, absl::Duration timeout, std::stop_token stop)
    : runner_(&runner), place_(std::move(place)), timeout_(timeout), stop_(std::move(stop)) {
  for (const auto& [name, value] : kEnvironment) environment_[name] = value;
  environment_["GIT_DIR"] = place_.admin_folder.empty() ? place_.git_folder : place_.admin_folder;
  for (const auto& [key, value] : kAnswers) Answer(key, value);
}

void Git::Answer(std::string_view key, std::string_view value) {
  environment_[Cat("GIT_CONFIG_KEY_", answers_)] = std::string(key);
  environment_[Cat("GIT_CONFIG_VALUE_", answers_)] = std::string(value);
  environment_["GIT_CONFIG_COUNT"] = Cat(++answers_);
}

absl::StatusOr<Git> Git::Open(process::Runner& runner, Place place, absl::Duration timeout,
                              std::stop_token stop) {
  Git git(runner, std::move(place), timeout, std::move(stop));
  CAPSTAN_ASSIGN_OR_RETURN(const std::string names,
                           git.Run({"config", "--list", "--name-only", "--null", "--includes"}));
  for (absl::string_view key : absl::StrSplit(names, '\0', absl::SkipEmpty())) {
    // Files that are read under some condition only could not all be answered.
    if (absl::StartsWith(key, "include.") || absl::StartsWith(key, "includeif."))
      return absl::FailedPreconditionError(Cat(git.place_.git_folder, "/config: got ",
                                               std::string(key), ", want no included files"));
    for (const DriverSetting& setting : kDriverSettings) {
      if (absl::StartsWith(key, setting.section) && absl::EndsWith(key, setting.last))
        git.Answer({key.data(), key.size()}, setting.answer);
    }
  }
  return git;
}

Git Git::WithFiles(const std::string& work_folder) const {
  Git git = *this;
  git.place_.work_folder = work_folder;
  return git;
}

absl::StatusOr<std::string> Git::Run(const std::vector<std::string>& arguments,
                                     const std::map<std::string, std::string>& extra,
                                     std::string input) {
  process::Spec spec;
  spec.input = std::move(input);
  const std::string what = Cat("git ", arguments[0]);
  spec.argv = {"git", "--no-pager"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.environment = environment_;
  if (!place_.work_folder.empty()) spec.environment["GIT_WORK_TREE"] = place_.work_folder;
  for (const auto& [name, value] : extra) spec.environment[name] = value;
  spec.directory = place_.work_folder.empty() ? place_.git_folder : place_.work_folder;
  spec.sandbox.writable = {place_.git_folder};
  if (!place_.work_folder.empty()) spec.sandbox.writable.push_back(place_.work_folder);
  spec.limits.timeout = timeout_;
  spec.limits.output_bytes = kMostOutput;
  std::string out;
  std::string error;
  const process::Result result = runner_->Run(
      spec,
      [&](process::Stream stream, std::string_view piece) {
        (stream == process::Stream::kOut ? out : error).append(piece);
      },
      stop_);
  CAPSTAN_RETURN_IF_ERROR(StatusOf(result, what, std::move(error)));
  return out;
}

}  // namespace capstan::git
