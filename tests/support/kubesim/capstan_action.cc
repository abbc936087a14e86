#include "tests/support/kubesim/capstan_action.h"

#include "action_program/action.h"
#include "action_program/command_line.h"
#include "action_program/host.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/patch.h"
#include "tests/support/kubesim/text.h"
#include "worker/kubernetes/api_error.h"

namespace capstan::kubesim {
namespace {

using action_program::Host;
using kubernetes::PatchType;

// A Host on the API calls of one pod.
class PodHost final : public Host {
 public:
  explicit PodHost(ProgramRun& run) : run_(run) {}

  absl::StatusOr<Json> Get(kubernetes::Resource resource, std::string_view name_space,
                           std::string_view name) override {
    return Call("get", "GET", resource, name_space, name, nullptr, "");
  }

  absl::StatusOr<Json> Create(kubernetes::Resource resource, std::string_view name_space,
                              const Json& object) override {
    return Call("create", "POST", resource, name_space, "", object, "application/json");
  }

  absl::StatusOr<Json> Patch(kubernetes::Resource resource, std::string_view name_space,
                             std::string_view name, PatchType type, const Json& patch) override {
    const std::string_view content = type == PatchType::kJson    ? kJsonPatch
                                     : type == PatchType::kMerge ? kMergePatch
                                                                 : kStrategicMergePatch;
    return Call("patch", "PATCH", resource, name_space, name, patch, std::string(content));
  }

  absl::Status DeletePod(std::string_view name_space, std::string_view name, const std::string& uid,
                         absl::Duration grace) override {
    const Json options = {{"preconditions", {{"uid", uid}}},
                          {"gracePeriodSeconds", absl::ToInt64Seconds(grace)}};
    return Call("delete", "DELETE", kubernetes::kPods, name_space, name, options,
                "application/json")
        .status();
  }

  absl::StatusOr<std::string> ReadFile(const std::string& path) override {
    if (std::optional<std::string> text = run_.ReadFile(path)) return *std::move(text);
    return absl::NotFoundError(Cat("cannot open ", path));
  }

  void Print(std::string_view line) override { run_.Print(Cat(line, "\n")); }

 private:
  absl::StatusOr<Json> Call(std::string_view verb, const std::string& method,
                            kubernetes::Resource resource, std::string_view name_space,
                            std::string_view name, const Json& body, const std::string& content) {
    std::string path = Cat(resource.api, "/namespaces/", name_space, "/", resource.plural);
    if (!name.empty()) path += Cat("/", name);
    ProgramRun::Reply reply = run_.Call(method, path, body, content);
    if (reply.code < 300) return std::move(reply.body);
    const std::string what =
        Cat(verb, " ", resource.plural, " ", name_space, name.empty() ? "" : "/", name);
    return kubernetes::StatusFromResponse(what, reply.code, reply.body.dump(), "",
                                          /*is_write=*/method != "GET");
  }

  ProgramRun& run_;
};

int Fail(ProgramRun& run, const absl::Status& status) {
  run.Print(Cat(action_program::Explain(status), "\n"));
  return 1;
}

}  // namespace

std::optional<int> CapstanAction(ProgramRun& run) {
  const std::vector<std::string> args(run.argv().begin() + 1, run.argv().end());
  const absl::StatusOr<action_program::Command> command = action_program::ParseCommandLine(args);
  if (!command.ok()) return Fail(run, command.status());
  PodHost host(run);
  const absl::StatusOr<action_program::Progress> progress = action_program::Advance(*command, host);
  if (!progress.ok()) return Fail(run, progress.status());
  if (*progress == action_program::Progress::kDone) return 0;
  run.WakeAt(run.Elapsed() + action_program::kPollInterval);
  return std::nullopt;
}

}  // namespace capstan::kubesim
