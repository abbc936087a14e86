// capstan-worker: leases executions, checks them against policy, launches their Jobs and follows
// them to their end. This is where its parts are put together; nothing else constructs them.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "capstan/config/v1/worker_config.pb.h"
#include "core/catalog/catalog.h"
#include "core/clock.h"
#include "core/config/program.h"
#include "core/config/validate.h"
#include "core/find_program.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/telemetry/http_endpoints.h"
#include "core/telemetry/metrics.h"
#include "core/telemetry/store_metrics.h"
#include "core/telemetry/tracing.h"
#include "core/telemetry/worker_metrics.h"
#include "core/version.h"
#include "storage/store.h"
#include "storage/wiring/wiring.h"
#include "worker/action_effects.h"
#include "worker/doctor/doctor.h"
#include "worker/held_set.h"
#include "worker/janitor.h"
#include "worker/keeper.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/credentials.h"
#include "worker/kubernetes/job_watch.h"
#include "worker/policy/condition_set.h"
#include "worker/policy/opa_policy_engine.h"
#include "worker/policy/policy_store.h"
#include "worker/policy/rego_policy_engine.h"
#include "worker/runner.h"
#include "worker/task/task_parts.h"
#include "worker/thread_pool.h"

namespace capstan::worker {
namespace {

constexpr int kExitFailed = 1;

std::string HostName() {
  char name[256] = "unknown";
  gethostname(name, sizeof name - 1);
  return name;
}

absl::StatusOr<kubernetes::ClusterConfig> ClusterOf(const config::v1::KubernetesConfig& config) {
  if (config.in_cluster()) {
    const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
    const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
    return kubernetes::InClusterConfig(host == nullptr ? "" : host, port == nullptr ? "" : port,
                                       std::string(kubernetes::kServiceAccountDirectory));
  }
  return kubernetes::LoadKubeconfig({config.kubeconfig()}, config.context());
}

ActionOptions ActionOptionsFrom(const config::v1::WorkerConfig& config) {
  ActionOptions options;
  options.actions_namespace = config.kubernetes().namespace_();
  options.installation = config.kubernetes().installation();
  options.images = catalog::DefaultRunnerImages();
  for (const auto& [alias, image] : config.kubernetes().runner_images())
    options.images[alias] = image;
  options.start_deadline = config::ToDuration(config.jobs().start_deadline());
  options.keep_failed_jobs = config.jobs().keep_failed();
  options.environment = config.policy().environment();
  options.rate_limit = static_cast<int>(config.policy().rate_limit());
  options.rate_window = config::ToDuration(config.policy().rate_window());
  return options;
}

std::vector<std::string> ActionNames(const catalog::Catalog& catalog) {
  std::vector<std::string> names;
  for (const catalog::ActionDefinition& action : catalog.List()) names.push_back(action.name);
  return names;
}

absl::StatusOr<std::unique_ptr<policy::PolicyStore>> LoadPolicies(
    const config::v1::PolicyConfig& config, const std::string& check_program, Clock& clock,
    telemetry::WorkerMetrics& metrics) {
  policy::PolicyStore::Options options;
  options.directory = config.dir();
  options.required_bundles.assign(config.required_bundles().begin(),
                                  config.required_bundles().end());
  options.check_program = check_program;
  options.limits.timeout = config::ToDuration(config.timeout());
  return policy::PolicyStore::Create(
      options, clock, [&metrics](policy::PolicyReload reload, const policy::PolicyStatus& status) {
        metrics.policy_info.Set(status.digest);
        if (reload != policy::PolicyReload::kLoaded) metrics.policy_reload_failures.Increment();
      });
}

absl::StatusOr<std::unique_ptr<policy::PolicyEngine>> OpaEngine(
    const config::v1::PolicyConfig& config, Clock& clock) {
  policy::OpaPolicyEngine::Options options;
  options.client.url = config.opa_url();
  options.client.ca_file = config.opa_ca_file();
  options.client.token_file = config.opa_token_file();
  options.required_bundles.assign(config.required_bundles().begin(),
                                  config.required_bundles().end());
  options.timeout = config::ToDuration(config.timeout());
  return policy::OpaPolicyEngine::Create(options, clock);
}

// What the catalog names has to be there: a condition that is missing could only ever fail.
absl::Status CheckConditions(const catalog::Catalog& catalog,
                             const policy::ConditionSet& conditions) {
  for (const catalog::ActionDefinition& action : catalog.List()) {
    for (const auto* uses : {&action.preconditions, &action.postconditions}) {
      for (const catalog::ConditionUse& use : *uses) {
        if (conditions.Has(use.name)) continue;
        return absl::InvalidArgumentError(
            absl::StrCat("catalog: action ", action.name, " names the condition ", use.name,
                         ", want one of: ", absl::StrJoin(conditions.names(), ", ")));
      }
    }
  }
  return absl::OkStatus();
}

// Runs until SIGTERM or SIGINT. Everything is declared in the order of who needs whom, and ends in
// the opposite one.
absl::Status Serve(const config::v1::WorkerConfig& config, const sigset_t& ends) {
  SystemClock clock;
  telemetry::MetricsRegistry registry;
  telemetry::ExportBuildInfo(registry, kVersion);
  CAPSTAN_ASSIGN_OR_RETURN(const catalog::Catalog catalog,
                           catalog::Catalog::Load(config.catalog_dir() + "/actions"));
  telemetry::WorkerMetrics worker_metrics(registry, ActionNames(catalog));
  telemetry::StoreMetrics store_metrics(registry);
  CAPSTAN_ASSIGN_OR_RETURN(
      const std::unique_ptr<telemetry::Tracer> tracer,
      telemetry::Tracer::Create({.service_name = "capstan-worker",
                                 .service_version = kVersion,
                                 .instance_id = HostName(),
                                 .otlp_endpoint = config.tracing().otlp_endpoint(),
                                 .sample_ratio = config.tracing().sample_ratio()}));

  CAPSTAN_ASSIGN_OR_RETURN(const std::string check_program,
                           FindProgram(config.policy().check_program()));
  std::unique_ptr<policy::PolicyStore> policies;  // null where an OPA server decides
  std::unique_ptr<policy::PolicyEngine> engine;
  if (config.policy().opa_url().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(policies,
                             LoadPolicies(config.policy(), check_program, clock, worker_metrics));
    engine = std::make_unique<policy::RegoPolicyEngine>(*policies, clock);
  } else {
    CAPSTAN_ASSIGN_OR_RETURN(engine, OpaEngine(config.policy(), clock));
  }
  CAPSTAN_ASSIGN_OR_RETURN(
      const policy::ConditionSet conditions,
      policy::ConditionSet::LoadOrEmbedded({.directory = config.catalog_dir() + "/conditions",
                                            .check_program = check_program,
                                            .limits = {}},
                                           clock));
  CAPSTAN_RETURN_IF_ERROR(CheckConditions(catalog, conditions));
  worker_metrics.conditions_embedded.Set(conditions.embedded() ? 1 : 0);
  Log(Level::kInfo, "conditions loaded", {{"digest", conditions.digest()}});

  CAPSTAN_ASSIGN_OR_RETURN(const kubernetes::ClusterConfig cluster, ClusterOf(config.kubernetes()));
  kubernetes::ClientOptions client_options;
  client_options.queries_per_second = config.kubernetes().qps();
  client_options.burst = static_cast<int>(config.kubernetes().burst());
  client_options.on_answer = [&](std::string_view verb, int code) {
    worker_metrics.kubernetes_requests.With({verb, code == 0 ? "none" : absl::StrCat(code)})
        .Increment();
  };
  client_options.user_agent = absl::StrCat("capstan-worker/", kVersion);
  CAPSTAN_ASSIGN_OR_RETURN(const std::unique_ptr<kubernetes::Client> client,
                           kubernetes::Client::Create(cluster, clock, client_options));
  const ActionOptions actions = ActionOptionsFrom(config);
  kubernetes::JobWatch watch(*client, clock,
                             {.name_space = actions.actions_namespace,
                              .installation = actions.installation,
                              .reflector = {}});

  CAPSTAN_ASSIGN_OR_RETURN(storage::StoreOptions store,
                           storage::OptionsFrom(config.store(), "capstan-worker"));
  const absl::Duration lease_ttl = config::ToDuration(config.lease().ttl());
  store.lease_ttl = lease_ttl;
  const storage::Observer observer = storage::ObserverOf(store_metrics);
  CAPSTAN_ASSIGN_OR_RETURN(const auto committer, storage::OpenCommitter(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto leases, storage::OpenLeaseStore(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto reader, storage::OpenReader(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto feed, storage::OpenFeedTailer(store, observer, clock));

  CAPSTAN_ASSIGN_OR_RETURN(const auto tasks, storage::OpenTaskStore(store, observer, clock));

  Fence fence(clock, lease_ttl);
  ActionEffects effects(catalog, *engine, conditions, *client, clock, *tracer, worker_metrics,
                        actions);
  ThreadPool pool(clock, static_cast<int>(config.threads()));
  HeldSet held(pool, fence, worker_metrics);
  Runner runner(*committer, *leases, effects, watch, *client, held, fence, clock, *tracer,
                worker_metrics,
                {.max_executions = static_cast<int>(config.lease().max_executions()),
                 .per_parent_in_flight = static_cast<int>(config.limits().per_parent_in_flight()),
                 .start_deadline = actions.start_deadline});
  CAPSTAN_ASSIGN_OR_RETURN(const std::unique_ptr<TaskParts> task_parts,
                           TaskParts::Make(config, {*committer, *leases, *tasks, catalog, *engine,
                                                    held, pool, clock, *tracer, worker_metrics}));
  std::vector<Advancer*> advancers = {&runner};
  if (task_parts != nullptr) advancers.push_back(&task_parts->runner());
  Keeper keeper(*leases, held, std::move(advancers), pool, fence, clock, store_metrics,
                {.info = {HostName(), kVersion},
                 .lease_ttl = lease_ttl,
                 .heartbeat = config::ToDuration(config.lease().heartbeat())});
  Janitor janitor(*reader, *client, clock, worker_metrics,
                  {.actions_namespace = actions.actions_namespace,
                   .installation = actions.installation,
                   .failed_grace = config.jobs().keep_failed()
                                       ? config::ToDuration(config.jobs().keep_failed_for())
                                       : absl::Minutes(1)});

  CAPSTAN_ASSIGN_OR_RETURN(const auto http,
                           telemetry::HttpEndpoints::Start(
                               config.http().address(), registry,
                               {{"heartbeat", [&] { return keeper.CheckReady(); }},
                                {"policy", [&] {
                                   if (policies == nullptr) return absl::OkStatus();
                                   const policy::PolicyStatus status = policies->status();
                                   return status.unavailable.empty()
                                              ? absl::OkStatus()
                                              : absl::FailedPreconditionError(status.unavailable);
                                 }}}));
  if (policies != nullptr) policies->Start();
  watch.Start();
  CAPSTAN_RETURN_IF_ERROR(keeper.Start());
  feed->Start([&](const std::vector<storage::FeedRow>& rows) { keeper.OnFeed(rows); });
  janitor.Start();
  Log(Level::kInfo, "worker started", {{"version", kVersion}, {"http_port", http->port()}});

  int signal = 0;
  sigwait(&ends, &signal);
  Log(Level::kInfo, "worker stops", {{"signal", signal}});
  janitor.Stop();
  feed->Stop();
  keeper.Stop(config::ToDuration(config.drain_timeout()));
  pool.Stop();
  watch.Stop();
  if (policies != nullptr) policies->Stop();
  return absl::OkStatus();
}

catalog::ManifestOptions ManifestsOf(const config::v1::WorkerConfig& config,
                                     const doctor::Arguments& arguments) {
  catalog::ManifestOptions options;
  options.actions_namespace = config.kubernetes().namespace_();
  options.images = ActionOptionsFrom(config).images;
  options.target_namespaces = arguments.target_namespaces;
  if (!arguments.system_namespace.empty()) options.system_namespace = arguments.system_namespace;
  if (!arguments.worker_account.empty()) options.worker_account = arguments.worker_account;
  return options;
}

// The exit code: 0 all is well, 1 findings, or it could not be looked.
absl::StatusOr<int> RunDoctor(const config::v1::WorkerConfig& config,
                              const doctor::Arguments& arguments) {
  SystemClock clock;
  CAPSTAN_ASSIGN_OR_RETURN(const catalog::Catalog catalog,
                           catalog::Catalog::Load(config.catalog_dir() + "/actions"));
  CAPSTAN_ASSIGN_OR_RETURN(const kubernetes::ClusterConfig cluster, ClusterOf(config.kubernetes()));
  kubernetes::ClientOptions client_options;
  client_options.queries_per_second = config.kubernetes().qps();
  client_options.burst = static_cast<int>(config.kubernetes().burst());
  client_options.user_agent = absl::StrCat("capstan-worker/", kVersion, " doctor");
  CAPSTAN_ASSIGN_OR_RETURN(const std::unique_ptr<kubernetes::Client> client,
                           kubernetes::Client::Create(cluster, clock, client_options));
  const doctor::Report report = doctor::Examine(*client, catalog, ManifestsOf(config, arguments));
  std::cout << (arguments.json ? report.ToJson() : report.Text()) << std::flush;
  return report.ok() ? config::kExitOk : kExitFailed;
}

int Main(int argc, char** argv) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // before any thread: all of them inherit it
  signal(SIGPIPE, SIG_IGN);

  config::v1::WorkerConfig config;
  const config::Program program{
      .name = "capstan-worker",
      .purpose = "leases executions, launches their Jobs and follows them to their end",
      .version = kVersion,
      .commands = {{"doctor", "ask the cluster for every right that is needed; -o json"}}};
  const doctor::Arguments arguments = doctor::TakeArguments(argc, argv);
  if (!arguments.error.empty()) {
    std::cerr << program.name << ": " << arguments.error << "\n";
    return config::kExitUsage;
  }
  const config::StartUp start =
      config::Begin(program, static_cast<int>(arguments.rest.size()), arguments.rest.data(), config,
                    [&] { return config::Validate(config); });
  if (start.exit_code.has_value()) return *start.exit_code;
  if (Level level; ParseLogLevel(config.log().level(), &level)) SetLogLevel(level);
  if (start.command == "doctor") {
    const absl::StatusOr<int> code = RunDoctor(config, arguments);
    if (code.ok()) return *code;
    std::cerr << program.name << ": " << code.status().message() << "\n";
    return kExitFailed;
  }
  const absl::Status status = Serve(config, ends);
  if (status.ok()) return config::kExitOk;
  Log(Level::kError, "worker could not run", {{"error", status.ToString()}});
  return kExitFailed;
}

}  // namespace
}  // namespace capstan::worker

int main(int argc, char** argv) { return capstan::worker::Main(argc, argv); }
