#include "tests/support/kubesim/admin_api.h"

#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr std::array<std::pair<std::string_view, PodFate>, 9> kFates = {
    {{"run", PodFate::kRun},
     {"image_pull", PodFate::kImagePull},
     {"config_error", PodFate::kConfigError},
     {"missing_mount", PodFate::kMissingMount},
     {"unschedulable", PodFate::kUnschedulable},
     {"oom_killed", PodFate::kOomKilled},
     {"evicted", PodFate::kEvicted},
     {"node_lost", PodFate::kNodeLost},
     {"crash_loop", PodFate::kCrashLoop}}};

ApiReply Ok(Json body = Json::object()) {
  ApiReply reply;
  reply.body = std::move(body);
  return reply;
}

ApiReply ListFaults(KubeSim& sim) {
  Json faults = Json::array();
  for (const auto& [id, fault] : sim.Faults()) {
    Json entry = FaultToJson(fault);
    entry["id"] = id;
    entry["hits"] = sim.FaultHits(id);
    faults.push_back(std::move(entry));
  }
  return Ok({{"faults", std::move(faults)}});
}

ApiReply InjectFault(KubeSim& sim, const ApiRequest& request) {
  absl::StatusOr<Fault> fault =
      FaultFromJson(Json::parse(request.body, nullptr, /*allow_exceptions=*/false));
  if (!fault.ok()) return BadRequest(std::string(fault.status().message()));
  return Ok({{"id", sim.InjectFault(*std::move(fault))}});
}

ApiReply SetFate(KubeSim& sim, const ApiRequest& request) {
  for (const auto& [name, fate] : kFates) {
    if (name != request.Param("fate")) continue;
    sim.SetPodFate(request.Param("prefix"), fate);
    return Ok();
  }
  return BadRequest(Cat("fate: unknown \"", request.Param("fate"), "\""));
}

ApiReply Audit(KubeSim& sim) {
  Json entries = Json::array();
  for (const AuditEntry& entry : sim.Audit()) entries.push_back(AuditEntryToJson(entry));
  return Ok({{"entries", std::move(entries)}});
}

ApiReply Witness(KubeSim& sim) {
  Json runs = Json::array();
  for (const PodRun& run : sim.PodRuns()) {
    runs.push_back({{"namespace", run.namespace_name},
                    {"pod", run.pod},
                    {"job", run.job},
                    {"job_uid", run.job_uid}});
  }
  Json scales = Json::array();
  for (const ScaleRecord& scale : sim.Scales("", "")) {
    scales.push_back({{"namespace", scale.namespace_name},
                      {"deployment", scale.deployment},
                      {"from", scale.from},
                      {"to", scale.to},
                      {"job", scale.job},
                      {"job_uid", scale.job_uid}});
  }
  return Ok({{"pod_runs", std::move(runs)}, {"scales", std::move(scales)}});
}

}  // namespace

ApiReply HandleAdmin(KubeSim& sim, const ApiRequest& request) {
  const std::string prefix = request.Param("prefix");
  auto done = [](auto&& act) {
    act();
    return Ok();
  };
  const std::map<std::string, std::function<ApiReply()>> routes = {
      {"GET /_sim/faults", [&] { return ListFaults(sim); }},
      {"POST /_sim/faults", [&] { return InjectFault(sim, request); }},
      {"DELETE /_sim/faults", [&] { return done([&] { sim.ClearFaults(); }); }},
      {"POST /_sim/faults/release",
       [&] { return done([&] { sim.ReleaseFault(std::atoi(request.Param("id").c_str())); }); }},
      {"POST /_sim/jobs/hold", [&] { return done([&] { sim.HoldJobs(prefix); }); }},
      {"POST /_sim/jobs/release", [&] { return done([&] { sim.ReleaseJobs(prefix); }); }},
      {"POST /_sim/jobs/finish",
       [&] {
         return done([&] { sim.FinishPod(prefix, std::atoi(request.Param("exit_code").c_str())); });
       }},
      {"POST /_sim/jobs/fate", [&] { return SetFate(sim, request); }},
      {"POST /_sim/compact", [&] { return done([&] { sim.CompactHistory(); }); }},
      {"POST /_sim/watches/close", [&] { return done([&] { sim.CloseWatches(); }); }},
      {"GET /_sim/audit", [&] { return Audit(sim); }},
      {"GET /_sim/witness", [&] { return Witness(sim); }}};
  auto route = routes.find(Cat(request.method, " ", request.path));
  return route == routes.end() ? NotFoundPath() : route->second();
}

}  // namespace capstan::kubesim
