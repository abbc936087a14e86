// Ways out of a sandbox, tried from inside by process_escapes and looked at from outside.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <set>

#include "absl/strings/str_split.h"
#include "core/text.h"
#include "tests/worker/process/process_fixture.h"
#include "worker/process/fd.h"

namespace capstan::process {
namespace {

using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Somebody of the machine who must not be reached.
class Listener {
 public:
  Listener() : tcp_(socket(AF_INET, SOCK_STREAM, 0)), abstract_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(bind(tcp_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(tcp_.get(), 5), 0);
    getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string text = Name();
    text.copy(name.sun_path + 1, text.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    EXPECT_EQ(bind(abstract_.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
    EXPECT_EQ(listen(abstract_.get(), 5), 0);
  }
  int port() const { return port_; }
  std::string Name() const { return Cat("capstan-test-", getpid()); }
  bool WasReached() const {
    pollfd wanted[] = {{tcp_.get(), POLLIN, 0}, {abstract_.get(), POLLIN, 0}};
    return poll(wanted, 2, 0) != 0;
  }

 private:
  Fd tcp_;
  Fd abstract_;
  int port_ = 0;
};

class SandboxTest : public ProcessFixture {
 protected:
  Spec Escape(const std::string& name) {
    Spec spec = Script("");
    spec.argv = {CAPSTAN_ESCAPES, name};
    spec.sandbox.readable = {std::filesystem::canonical(CAPSTAN_ESCAPES)};
    spec.argv[0] = spec.sandbox.readable[0];
    spec.environment = {{"WORK", workspace_.path()},
                        {"VICTIM", victim_.path()},
                        {"PORT", Cat(listener_.port())},
                        {"ABSTRACT", listener_.Name()},
                        {"OUTSIDE_PID", Cat(getpid())}};
    spec.limits.max_processes = 100;
    spec.limits.file_bytes = 16 << 20;
    return spec;
  }

  std::vector<std::string> Cases() {
    Spec spec = Escape("--list");
    Run(spec);
    return absl::StrSplit(out_, '\n', absl::SkipEmpty());
  }

  std::vector<std::string> Escaped(const std::vector<std::string>& cases, const Sandbox* sandbox) {
    std::vector<std::string> escaped;
    for (const std::string& name : cases) {
      Spec spec = Escape(name);
      if (sandbox != nullptr) spec.sandbox = *sandbox;
      const Result result = Run(spec);
      const bool denied = result.end == Result::End::kExited && result.exit_code == 0;
      if (!denied || out_ != "denied\n") escaped.push_back(Cat(name, ": ", out_, result.message));
    }
    return escaped;
  }

  testing::TemporaryDirectory victim_;
  Listener listener_;
};

TEST_F(SandboxTest, FiftyEscapesAreDenied) {
  victim_.Write("secret", "of another");
  struct stat shadow_before{};
  stat("/etc/shadow", &shadow_before);

  const std::vector<std::string> cases = Cases();
  const std::vector<std::string> escaped = Escaped(cases, nullptr);

  EXPECT_THAT(std::set<std::string>(cases.begin(), cases.end()), SizeIs(Ge(50)));
  EXPECT_THAT(escaped, IsEmpty());
  EXPECT_FALSE(listener_.WasReached());
  std::ifstream secret(victim_.path() + "/secret");
  std::string text;
  std::getline(secret, text);
  EXPECT_EQ(text, "of another");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(victim_.path()), {}), 1);
  struct stat shadow_after{};
  stat("/etc/shadow", &shadow_after);
  EXPECT_EQ(shadow_before.st_mtime, shadow_after.st_mtime);
  EXPECT_FALSE(std::filesystem::exists("/escaped"));
}

// The attempts are real: without the walls they get through.
TEST_F(SandboxTest, TheSameAttemptsSucceedWithoutASandbox) {
  victim_.Write("secret", "of another");
  Sandbox none;
  none.enabled = false;

  const std::vector<std::string> escaped =
      Escaped({"read_other_workspace", "symlink_out", "dots_out", "list_root_home", "list_sys",
               "connect_to_machine", "abstract_socket", "create_in_other_workspace"},
              &none);

  EXPECT_THAT(escaped, SizeIs(8));
  EXPECT_TRUE(listener_.WasReached());
}

TEST_F(SandboxTest, WithANetworkTheMachineIsReachedByAddressOnly) {
  Sandbox network;
  network.network = true;
  network.writable = {workspace_.path()};
  network.readable = {std::filesystem::canonical(CAPSTAN_ESCAPES)};

  const std::vector<std::string> escaped =
      Escaped({"connect_to_machine", "raw_socket", "packet_socket", "configure_network",
               "new_net_namespace"},
              &network);

  EXPECT_THAT(escaped, SizeIs(1));
}

TEST_F(SandboxTest, ItHasALoopbackOfItsOwn) {
  const Result result = RunScript("cat /proc/net/dev | tail -n +3 | cut -d: -f1");

  EXPECT_EQ(out_, "    lo\n") << result.message;
}

TEST_F(SandboxTest, OrdinaryProgramsRun) {
  const Result result = RunScript(
      "set -e; git init -q repository; cd repository; echo a > a; git add a;"
      "git -c user.name=x -c user.email=y commit -qm first; mkdir b; git mv a b/c;"
      "echo text > /tmp/file; echo text > /dev/null; head -c 4 /dev/urandom > random;"
      "echo out > /dev/stdout; perl -e 'print fork() ? \"\" : \"forked\\n\"; wait'");

  EXPECT_EQ(result.exit_code, 0) << result.message << err_;
  EXPECT_EQ(out_, "out\nforked\n");
}

}  // namespace
}  // namespace capstan::process
