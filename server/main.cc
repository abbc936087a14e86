// capstan-server: puts the parts together, serves until SIGTERM or SIGINT.
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "capstan/config/v1/server_config.pb.h"
#include "core/catalog/catalog.h"
#include "core/clock.h"
#include "core/config/program.h"
#include "core/config/validate.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/telemetry/http_endpoints.h"
#include "core/telemetry/metrics.h"
#include "core/telemetry/server_metrics.h"
#include "core/telemetry/store_metrics.h"
#include "core/telemetry/tracing.h"
#include "core/text.h"
#include "core/version.h"
#include "server/api_server.h"
#include "server/housekeeping.h"
#include "server/methods.h"
#include "server/workflow_calls.h"
#include "storage/store.h"
#include "storage/wiring/wiring.h"

namespace capstan::server {
namespace {

constexpr int kExitFailure = 1;
constexpr int kReadThreads = 4;  // for listing, cancelling, logs
constexpr std::size_t kMaxWaitingReads = 4096;
constexpr absl::Duration kHealthInterval = absl::Seconds(1);
constexpr absl::Duration kFiguresInterval = absl::Seconds(10);
constexpr absl::Duration kPartitionsInterval = absl::Hours(1);

const config::Program kProgram = {
    .name = "capstan-server",
    .purpose = "Serves the Capstan API: stores requests and streams what becomes of them.",
    .version = kVersion,
    .commands = {{"serve", "serve the API (what it does without a command)"},
                 {"migrate", "bring the database's schema up to this version, then end"}},
};

// A flag of this program alone, for scripts: after start-up the file holds "<grpc port> <http
// port>". Taken out of the arguments before the configuration reads them.
struct Arguments {
  std::vector<const char*> rest;
  std::string port_file;
};

Arguments TakePortFile(int argc, char** argv) {
  constexpr std::string_view kFlag = "--port-file";
  Arguments out;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == kFlag && i + 1 < argc) {
      out.port_file = argv[++i];
    } else if (absl::StartsWith(std::string(argument), Cat(kFlag, "="))) {
      out.port_file = argument.substr(kFlag.size() + 1);
    } else {
      out.rest.push_back(argv[i]);
    }
  }
  return out;
}

// Written under another name first: whoever waits for the file never reads half of it.
absl::Status WritePortFile(const std::string& path, int grpc_port, int http_port) {
  const std::string draft = Cat(path, ".draft");
  {
    std::ofstream file(draft, std::ios::trunc);
    file << grpc_port << " " << http_port << "\n";
    if (!file.flush()) return absl::UnavailableError(Cat("cannot write ", draft));
  }
  if (std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::UnavailableError(Cat("cannot write ", path));
}

// `field`: the setting that names it.
absl::StatusOr<std::string> ReadFile(std::string_view field, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(Cat(field, ": cannot read ", path));
  return text.str();
}

absl::StatusOr<ListenOptions> ListenFrom(const config::v1::ServerConfig& config) {
  ListenOptions options;
  options.address = config.listen().address();
  options.reflection = config.reflection();
  const config::v1::TlsConfig& tls = config.listen().tls();
  if (tls.cert_file().empty()) return options;
  options.tls.emplace();
  CAPSTAN_ASSIGN_OR_RETURN(options.tls->certificate_chain,
                           ReadFile("listen.tls.cert_file", tls.cert_file()));
  CAPSTAN_ASSIGN_OR_RETURN(options.tls->private_key,
                           ReadFile("listen.tls.key_file", tls.key_file()));
  if (!tls.client_ca_file().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(options.tls->client_ca,
                             ReadFile("listen.tls.client_ca_file", tls.client_ca_file()));
  }
  return options;
}

absl::StatusOr<storage::StoreOptions> StoreFrom(const config::v1::ServerConfig& config) {
  CAPSTAN_ASSIGN_OR_RETURN(storage::StoreOptions options,
                           storage::OptionsFrom(config.store(), "capstan-server"));
  options.queue_items = config.submit().queue_capacity();
  return options;
}

std::map<std::string, std::set<std::string>> GroupsFrom(const config::v1::ServerConfig& config) {
  std::map<std::string, std::set<std::string>> groups;
  for (const auto& [name, members] : config.groups()) {
    for (absl::string_view member : absl::StrSplit(members, ',')) {
      const absl::string_view identity = absl::StripAsciiWhitespace(member);
      if (!identity.empty()) groups[name].emplace(identity);
    }
  }
  return groups;
}

// SIGTERM and SIGINT wait for sigwait(): blocked before any thread is made, so in all of them.
sigset_t BlockEndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

absl::Status Serve(const config::v1::ServerConfig& config, const std::string& port_file) {
  const sigset_t end_signals = BlockEndSignals();
  SystemClock clock;

  telemetry::MetricsRegistry registry;
  telemetry::ExportBuildInfo(registry, kVersion);
  const telemetry::ServerMetrics metrics(registry, AllMethods());
  telemetry::StoreMetrics store_metrics(registry);
  CAPSTAN_ASSIGN_OR_RETURN(
      const std::unique_ptr<telemetry::Tracer> tracer,
      telemetry::Tracer::Create({.service_name = "capstan-server",
                                 .service_version = kVersion,
                                 .otlp_endpoint = config.tracing().otlp_endpoint(),
                                 .sample_ratio = config.tracing().sample_ratio()}));
  CAPSTAN_ASSIGN_OR_RETURN(const catalog::Catalog catalog,
                           catalog::Catalog::Load(config.catalog_dir() + "/actions"));
  CAPSTAN_ASSIGN_OR_RETURN(const ListenOptions listen, ListenFrom(config));
  CAPSTAN_ASSIGN_OR_RETURN(const storage::StoreOptions store, StoreFrom(config));

  const storage::Observer observer = storage::ObserverOf(store_metrics);
  CAPSTAN_ASSIGN_OR_RETURN(const auto reader, storage::OpenReader(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto admin, storage::OpenAdminStore(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto tasks, storage::OpenTaskStore(store, observer, clock));
  CAPSTAN_RETURN_IF_ERROR(StoreBuiltIn(*tasks, config.catalog_dir()));
  CAPSTAN_ASSIGN_OR_RETURN(auto submitter, storage::OpenSubmitter(store, observer, clock));
  CAPSTAN_ASSIGN_OR_RETURN(const auto tailer, storage::OpenFeedTailer(store, observer, clock));

  OpenStreams streams;
  Timer timer(clock);
  WorkPool pool("reads", kReadThreads, kMaxWaitingReads);
  EventReader events(*reader, {});
  WatchHub hub(*tailer);
  const TokenMaker tokens(tailer->database_id());
  const Parts parts = {
      .catalog = catalog,
      .submitter = *submitter,
      .reader = *reader,
      .admin = *admin,
      .tasks = *tasks,
      .tailer = *tailer,
      .events = events,
      .hub = hub,
      .streams = streams,
      .pool = pool,
      .timer = timer,
      .tokens = tokens,
      .metrics = metrics,
      .tracer = *tracer,
      .clock = clock,
      .options = {.queue_deadline = config::ToDuration(config.submit().queue_deadline()),
                  .heartbeat_interval = config::ToDuration(config.watch().heartbeat_interval()),
                  .buffer_events = static_cast<int>(config.watch().buffer_events()),
                  .groups = GroupsFrom(config),
                  .development_identity = config.listen().development_identity()},
  };
  hub.Start();
  HealthMonitor health(clock, kHealthInterval, [&reader] { return reader->CheckReady(); });
  Housekeeping housekeeping(
      clock, {{[&] {
                 CAPSTAN_ASSIGN_OR_RETURN(const auto stats, reader->ReadStats());
                 storage::Export(stats, store_metrics);
                 return absl::OkStatus();
               },
               kFiguresInterval, "figures"},
              {[&] { return storage::MaintainPartitions(store, {}).status(); }, kPartitionsInterval,
               "partitions"}});
  CAPSTAN_ASSIGN_OR_RETURN(
      const auto http,
      telemetry::HttpEndpoints::Start(config.http().address(), registry,
                                      {{"database", [&health] { return health.status(); }}}));
  CAPSTAN_ASSIGN_OR_RETURN(const auto api, ApiServer::Start(parts, health, listen));
  if (!port_file.empty()) {
    CAPSTAN_RETURN_IF_ERROR(WritePortFile(port_file, api->port(), http->port()));
  }
  Log(Level::kInfo, "serving",
      {{"address", listen.address},
       {"grpc_port", api->port()},
       {"http_port", http->port()},
       {"tls", listen.tls.has_value()},
       {"version", kVersion}});

  int signal = 0;
  sigwait(&end_signals, &signal);
  Log(Level::kInfo, "draining", {{"signal", signal}});
  api->Drain(config::ToDuration(config.drain_timeout()));
  submitter.reset();  // answers what is queued, while those who wait for it still exist
  hub.Stop();
  housekeeping.Stop();
  health.Stop();
  pool.Stop();
  events.Stop();
  timer.Stop();
  Log(Level::kInfo, "stopped");
  return absl::OkStatus();
}

absl::Status MigrateDatabase(const config::v1::ServerConfig& config) {
  CAPSTAN_ASSIGN_OR_RETURN(const storage::StoreOptions store, StoreFrom(config));
  CAPSTAN_ASSIGN_OR_RETURN(const int version, storage::Migrate(store));
  Log(Level::kInfo, "schema is up to date", {{"version", version}});
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const Arguments arguments = TakePortFile(argc, argv);
  config::v1::ServerConfig config;
  const config::StartUp start =
      config::Begin(kProgram, static_cast<int>(arguments.rest.size()), arguments.rest.data(),
                    config, [&config] { return config::Validate(config); });
  if (start.exit_code) return *start.exit_code;
  Level level = Level::kInfo;
  ParseLogLevel(config.log().level(), &level);  // Validate() has accepted it
  SetLogLevel(level);
  const absl::Status status =
      start.command == "migrate" ? MigrateDatabase(config) : Serve(config, arguments.port_file);
  if (status.ok()) return config::kExitOk;
  Log(Level::kError, "cannot go on", {{"error", status.message()}});
  return kExitFailure;
}

}  // namespace
}  // namespace capstan::server

int main(int argc, char** argv) { return capstan::server::Main(argc, argv); }
