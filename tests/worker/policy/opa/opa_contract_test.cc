// The OPA engine keeps the contract of every PolicyEngine, shown on a real OPA server.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/worker/policy/policy_engine_contract.h"
#include "worker/policy/bundle_loader.h"
#include "worker/policy/opa_policy_engine.h"

namespace capstan::policy {
namespace {

std::string opa_program;  // Set by main().

constexpr absl::Duration kStart = absl::Seconds(30);

bool Listens(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  const bool listens = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return listens;
}

// `opa run --server` on the bundles of a directory, as docs/policies.md says.
class OpaServer {
 public:
  explicit OpaServer(const BundleFiles& files) {
    for (const PolicyFile& file : files.files) {
      if (!file.is_test()) folder_.Write("served/" + file.path, file.source);
    }
    folder_.Write("served/decision.rego", DecisionModule(files.bundles));
    folder_.Write("served/.manifest",
                  absl::StrCat(R"({"revision": ")", files.digest, R"(", "roots": ["capstan"]})"));
    Start();
  }
  ~OpaServer() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  std::string url() const { return "unix://" + socket(); }

 private:
  std::string socket() const { return folder_.path() + "/opa.sock"; }

  void Start() {
    std::vector<std::string> arguments = {opa_program,
                                          "run",
                                          "--server",
                                          "--addr",
                                          url(),
                                          "--bundle",
                                          folder_.path() + "/served",
                                          "--log-level",
                                          "error",
                                          "--skip-version-check"};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ASSERT_EQ(posix_spawn(&pid_, opa_program.c_str(), nullptr, nullptr, argv.data(), environ), 0);
    // The server says nothing to wait for once it listens.
    SystemClock clock;
    const absl::Duration end = clock.BootTime() + kStart;
    while (!Listens(socket()) && clock.BootTime() < end) std::this_thread::yield();
    ASSERT_TRUE(Listens(socket()));
  }

  PolicyDirectory folder_;
  pid_t pid_ = 0;
};

class OpaEngine final : public EngineUnderTest {
 public:
  OpaEngine(const BundleFiles& files, const std::vector<std::string>& required,
            const RegoLimits& limits)
      : server_(files) {
    OpaPolicyEngine::Options options;
    options.client.url = server_.url();
    options.client.max_reply_bytes = limits.max_output_bytes;
    options.required_bundles = required;
    options.timeout = limits.timeout;
    options.max_input_bytes = limits.max_input_bytes;
    engine_ = OpaPolicyEngine::Create(options, clock_).value();
  }
  Decision Evaluate(const PolicyInput& input) override { return engine_->Evaluate(input); }

 private:
  SystemClock clock_;
  OpaServer server_;
  std::unique_ptr<OpaPolicyEngine> engine_;
};

std::unique_ptr<EngineUnderTest> MakeOpaEngine(const PolicyDirectory& directory,
                                               const std::vector<std::string>& required,
                                               const RegoLimits& limits) {
  return std::make_unique<OpaEngine>(ReadBundleFiles(directory.path(), required).value(), required,
                                     limits);
}

INSTANTIATE_TEST_SUITE_P(Opa, PolicyEngineContract, ::testing::Values(MakeOpaEngine));

// What prints the path of opa; making it takes minutes the first time.
std::string FindOpa() {
  std::FILE* pipe = popen(CAPSTAN_SOURCE_DIR "/tests/e2e/tools.sh opa", "re");
  if (pipe == nullptr) return "";
  char path[4096] = {};
  if (std::fgets(path, sizeof(path), pipe) == nullptr) path[0] = '\0';
  if (pclose(pipe) != 0) return "";
  path[std::strcspn(path, "\n")] = '\0';
  return path;
}

}  // namespace
}  // namespace capstan::policy

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  capstan::policy::opa_program = capstan::policy::FindOpa();
  if (!capstan::policy::opa_program.empty()) return RUN_ALL_TESTS();
  std::printf("NOT RUN: %d tests: opa cannot be made; tools.sh says why\n",
              testing::UnitTest::GetInstance()->total_test_count());
  return 77;  // SKIP_RETURN_CODE of CMakeLists.txt: ctest lists it.
}
