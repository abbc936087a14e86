// Whom the OPA engine believes by https: a server that the CA of its configuration vouches for,
// under the name that it was called by, and nobody else.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/status_macros.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"
#include "worker/policy/opa_policy_engine.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::CertificateAuthority;
using ::capstan::testing::KeyPair;
using ::testing::HasSubstr;

constexpr char kAllowed[] =
    R"({"result":{"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":[],"bundles":["a"]}})";

// Answers every request with an allow; one connection after the other. Counts those that came as
// far as a request.
class TlsServer {
 public:
  explicit TlsServer(const std::string& folder, const KeyPair& pair)
      : context_(SSL_CTX_new(TLS_server_method())) {
    std::ofstream(folder + "/server.pem") << pair.certificate;
    std::ofstream(folder + "/server.key") << pair.key;
    CAPSTAN_CHECK(SSL_CTX_use_certificate_file(context_, (folder + "/server.pem").c_str(),
                                               SSL_FILETYPE_PEM) == 1);
    CAPSTAN_CHECK(SSL_CTX_use_PrivateKey_file(context_, (folder + "/server.key").c_str(),
                                              SSL_FILETYPE_PEM) == 1);
    signal(SIGPIPE, SIG_IGN);  // a client that does not believe us hangs up
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    CAPSTAN_CHECK(bind(listener_, any, size) == 0 && listen(listener_, 8) == 0);
    CAPSTAN_CHECK(getsockname(listener_, any, &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~TlsServer() {
    shutdown(listener_, SHUT_RDWR);  // ends accept()
    thread_.join();
    close(listener_);
    SSL_CTX_free(context_);
  }

  std::string Url(const std::string& host) const {
    return absl::StrCat("https://", host, ":", port_);
  }
  int requests() const { return requests_; }

 private:
  void Serve() {
    while (true) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      SSL* tls = SSL_new(context_);
      SSL_set_fd(tls, client);
      if (SSL_accept(tls) == 1) Answer(tls);
      SSL_free(tls);
      close(client);
    }
  }

  void Answer(SSL* tls) {
    char buffer[16 << 10];
    if (SSL_read(tls, buffer, sizeof(buffer)) <= 0) return;
    ++requests_;
    const std::string reply = absl::StrCat(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ", std::string(kAllowed).size(),
        "\r\n\r\n", kAllowed);
    SSL_write(tls, reply.data(), static_cast<int>(reply.size()));
    // The client closes; what it still sends must not turn the answer into a reset.
    while (SSL_read(tls, buffer, sizeof(buffer)) > 0) {
    }
  }

  SSL_CTX* context_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> requests_{0};
  std::thread thread_;
};

class OpaTlsTest : public ::testing::Test {
 protected:
  Decision Ask(const std::string& url, const CertificateAuthority& trusted) {
    OpaPolicyEngine::Options options;
    options.client.url = url;
    options.client.ca_file = directory_.path() + "/ca.pem";
    options.required_bundles = {"a"};
    options.timeout = absl::Seconds(10);
    std::ofstream(options.client.ca_file) << trusted.certificate();
    return OpaPolicyEngine::Create(options, clock_).value()->Evaluate(ScaleInput());
  }

  const PolicyDirectory directory_;
  const CertificateAuthority authority_;
  SystemClock clock_;
};

TEST_F(OpaTlsTest, S2_31_AServerThatTheCaVouchesForIsBelieved) {
  const TlsServer server(directory_.path(), authority_.Issue("IP:127.0.0.1"));

  const Decision decision = Ask(server.Url("127.0.0.1"), authority_);

  EXPECT_TRUE(decision.allow) << decision.error_message;
  EXPECT_EQ(server.requests(), 1);
}

TEST_F(OpaTlsTest, S2_32_AServerOfAnotherCaIsNotAskedAndDenies) {
  const TlsServer server(directory_.path(), CertificateAuthority().Issue("IP:127.0.0.1"));

  const Decision decision = Ask(server.Url("127.0.0.1"), authority_);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_THAT(decision.error_message, HasSubstr("certificate"));
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(OpaTlsTest, S2_32_AServerOfAnotherNameIsNotAskedAndDenies) {
  const TlsServer server(directory_.path(), authority_.Issue("DNS:opa.example"));

  const Decision decision = Ask(server.Url("127.0.0.1"), authority_);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_THAT(decision.error_message, HasSubstr("127.0.0.1"));
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(OpaTlsTest, S2_32_AServerWithoutTlsIsNotBelieved) {
  const TlsServer server(directory_.path(), authority_.Issue("IP:127.0.0.1"));
  std::string plain = server.Url("127.0.0.1");
  plain.replace(0, std::string("https").size(), "http");

  EXPECT_FALSE(Ask(plain, authority_).allow);
  EXPECT_EQ(server.requests(), 0);
}

}  // namespace
}  // namespace capstan::policy
