// capstan-kubesim: the simulated cluster as a program, for the demo and for tests of other
// processes. Prints its address on standard output when it is ready and runs until SIGTERM or
// SIGINT.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/kubesim/kubesim.h"
#include "tests/support/kubesim/text.h"

namespace {

using capstan::kubesim::KubeSim;
using capstan::kubesim::KubeSimOptions;
using capstan::kubesim::Split;

struct Arguments {
  KubeSimOptions options;
  std::string kubeconfig;
  std::string namespace_name = "capstan-actions";
  std::vector<std::string> deployments;
  std::vector<std::string> service_accounts;
  std::vector<std::string> nodes;
  bool die_with_parent = false;
};

// NAMESPACE/NAME=REPLICAS
bool AddDeployment(KubeSim& sim, const std::string& text) {
  std::vector<std::string> halves = Split(text, '=');
  std::vector<std::string> names = Split(halves[0], '/');
  if (halves.size() != 2 || names.size() != 2 || halves[1].empty() || halves[1].size() > 6 ||
      halves[1].find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  sim.AddDeployment(names[0], names[1], std::stoi(halves[1]));
  return true;
}

int Run(const Arguments& arguments, const sigset_t& signals) {
  KubeSimOptions options = arguments.options;
  if (!arguments.nodes.empty()) options.nodes = arguments.nodes;
  absl::StatusOr<std::unique_ptr<KubeSim>> started = KubeSim::Start(std::move(options));
  if (!started.ok()) {
    std::fprintf(stderr, "capstan-kubesim: %s\n", std::string(started.status().message()).c_str());
    return 1;
  }
  KubeSim& sim = **started;
  sim.AddNamespace(arguments.namespace_name);
  for (const std::string& name : arguments.service_accounts) {
    sim.AddServiceAccount(arguments.namespace_name, name);
  }
  for (const std::string& deployment : arguments.deployments) {
    if (AddDeployment(sim, deployment)) continue;
    std::fprintf(stderr, "--deployment: got \"%s\", want NAMESPACE/NAME=REPLICAS\n",
                 deployment.c_str());
    return 2;
  }
  if (!arguments.kubeconfig.empty()) {
    absl::Status written = sim.WriteKubeconfig(arguments.kubeconfig, arguments.namespace_name);
    if (!written.ok()) {
      std::fprintf(stderr, "capstan-kubesim: %s\n", std::string(written.message()).c_str());
      return 1;
    }
  }
  std::printf("%s\n", sim.Url().c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("A simulated Kubernetes cluster on loopback", "capstan-kubesim");
  app.add_option("--port", arguments.options.port, "Port on 127.0.0.1; 0 takes a free one");
  app.add_option("--kubeconfig-out", arguments.kubeconfig, "Write a kubeconfig here");
  app.add_option("--audit-log", arguments.options.audit_file,
                 "Write every call here, a JSON line each");
  app.add_option("--namespace", arguments.namespace_name,
                 "Namespace of the actions, made at start and named in the kubeconfig");
  app.add_option("--deployment", arguments.deployments, "NAMESPACE/NAME=REPLICAS, made at start");
  app.add_option("--service-account", arguments.service_accounts,
                 "ServiceAccount made in --namespace");
  app.add_option("--node", arguments.nodes, "A ready node; without any there is one, kubesim-node");
  app.add_flag("--require-service-accounts", arguments.options.require_service_accounts,
               "Refuse pods whose ServiceAccount does not exist");
  app.add_option("--token", arguments.options.token, "Bearer token that every call must carry");
  app.add_flag("--die-with-parent", arguments.die_with_parent, "End when the parent process ends");
  CLI11_PARSE(app, argc, argv);

  // Blocked before any thread starts, so that only sigwait() gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (arguments.die_with_parent) {
    pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 0;  // it was gone before we asked
  }
  return Run(arguments, signals);
}
