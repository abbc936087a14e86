// A connection with TLS: the server's certificate is checked against the CA that --ca-file names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "cli/commands.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/sample_messages.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/temporary_directory.h"

namespace capstan::cli {
namespace {

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() { server_.catalog.action = ScaleDeploymentAction(); }

  int ListActionsTrusting(const std::string& certificate) {
    const std::string ca_file = directory_.Write("ca.pem", certificate);
    Environment environment{
        .in = in_,
        .out = out_,
        .err = err_,
        .variables = {{"CAPSTAN_ADDRESS", server_.address}, {"CAPSTAN_CA_FILE", ca_file}},
        .clock = clock_,
        .stop = {}};
    return cli::Run({"action", "list"}, environment);
  }

  const testing::TemporaryDirectory directory_;
  const testing::CertificateAuthority authority_;
  const testing::KeyPair pair_ = authority_.Issue("IP:127.0.0.1");
  FakeServer server_{grpc::SslServerCredentials([this] {
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({pair_.key, pair_.certificate});
    return options;
  }())};
  SystemClock clock_;
  std::istringstream in_;
  std::ostringstream out_, err_;
};

TEST_F(TlsTest, AServerWhoseCaIsTrustedIsReached) {
  EXPECT_EQ(ListActionsTrusting(authority_.certificate()), 0);
  EXPECT_THAT(out_.str(), ::testing::HasSubstr("ScaleDeployment"));
}

TEST_F(TlsTest, AServerOfAnotherCaIsNot) {
  EXPECT_EQ(ListActionsTrusting(testing::CertificateAuthority().certificate()), 64 + 14);
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace capstan::cli
