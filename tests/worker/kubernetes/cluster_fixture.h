// A simulated cluster, a client of it, and Jobs to launch there.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/kubernetes_names.h"
#include "tests/support/kubesim/kubesim.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_launch.h"

namespace capstan::kubernetes {

class ClusterTest : public ::testing::Test {
 protected:
  static constexpr char kNamespace[] = "actions";
  static constexpr char kName[] = "capstan-0123";
  static constexpr char kExecution[] = "0123";
  static constexpr char kHash[] = "hash-1";

  ClusterTest() {
    kubesim::KubeSimOptions options;
    options.namespaces = {kNamespace};
    sim_ = kubesim::KubeSim::Start(options).value();
    ClientOptions client_options;
    client_options.attempt_timeout = absl::Seconds(5);
    client_options.backoff_min = absl::Milliseconds(1);
    client_options.backoff_max = absl::Milliseconds(5);
    client_ = Client::Create({.server = sim_->Url()}, clock_, client_options).value();
    launcher_ = std::make_unique<JobLauncher>(*client_, clock_);
  }

  // A rendered Job that runs `true`.
  static Json RenderedJob(const std::string& name = kName) {
    const Json labels = {{kExecutionLabel, kExecution}, {kInstallationLabel, "test"}};
    return {
        {"apiVersion", "batch/v1"},
        {"kind", "Job"},
        {"metadata",
         {{"name", name},
          {"namespace", kNamespace},
          {"labels", labels},
          {"annotations", {{kArmedAnnotation, kArmedFalse}, {kSpecHashAnnotation, kHash}}}}},
        {"spec",
         {{"suspend", true},
          {"backoffLimit", 0},
          {"activeDeadlineSeconds", 60},
          {"template",
           {{"metadata", {{"labels", labels}}},
            {"spec",
             {{"restartPolicy", "Never"},
              {"containers",
               Json::array(
                   {{{"name", "main"}, {"image", "tools:1"}, {"command", {"true"}}}})}}}}}}},
    };
  }

  absl::StatusOr<CreatedJob> CreateJob(const std::string& name = kName) {
    return launcher_->CreateSuspended(RenderedJob(name).dump(), kExecution, kHash);
  }

  // Created, armed, and its pod has started.
  JobRef RunningJob() {
    sim_->HoldJobs();
    const JobRef ref = CreateJob().value().ref;
    EXPECT_EQ(launcher_->Arm(ref).value(), ArmResult::kArmed);
    EXPECT_TRUE(sim_->WaitFor([&] { return sim_->PodsRun(ref.name) == 1; }));
    return ref;
  }

  bool WaitForEnd(const std::string& name) {
    return sim_->WaitFor([&] {
      return sim_->JobHas(kNamespace, name, "Complete") || sim_->JobHas(kNamespace, name, "Failed");
    });
  }

  void Inject(const std::string& verb, kubesim::FaultKind kind, int count = 1,
              const std::string& resource = "jobs") {
    kubesim::Fault fault;
    fault.verb = verb;
    fault.resource = resource;
    fault.kind = kind;
    fault.count = count;
    sim_->InjectFault(fault);
  }

  SystemClock clock_;
  std::unique_ptr<kubesim::KubeSim> sim_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<JobLauncher> launcher_;
};

}  // namespace capstan::kubernetes
