// A connection with TLS: the server's certificate is checked against the CA that --ca-file names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>

#include "cli/commands.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/sample_messages.h"

namespace capstan::cli {
namespace {

struct KeyPair {
  std::string certificate;  // PEM, its own CA, good for 127.0.0.1 and an hour
  std::string key;          // PEM
};

std::string ToPem(const std::function<int(BIO*)>& write) {
  std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
  CAPSTAN_CHECK(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

KeyPair MakeKeyPair() {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), &X509_free);
  X509* x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("capstan test"), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(x509));
  for (auto [id, value] : {std::pair(NID_subject_alt_name, "IP:127.0.0.1"),
                           std::pair(NID_basic_constraints, "critical,CA:TRUE")}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
  }
  CAPSTAN_CHECK(X509_sign(x509, key.get(), EVP_sha256()) > 0);
  return {.certificate = ToPem([&](BIO* bio) { return PEM_write_bio_X509(bio, x509); }),
          .key = ToPem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tls_test.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    server_.catalog.action = ScaleDeploymentAction();
  }
  ~TlsTest() override { std::filesystem::remove_all(directory_); }

  int ListActionsTrusting(const std::string& certificate) {
    const std::string ca_file = directory_ + "/ca.pem";
    std::ofstream(ca_file) << certificate;
    Environment environment{
        .in = in_,
        .out = out_,
        .err = err_,
        .variables = {{"CAPSTAN_ADDRESS", server_.address}, {"CAPSTAN_CA_FILE", ca_file}},
        .clock = clock_,
        .stop = {}};
    return cli::Run({"action", "list"}, environment);
  }

  std::string directory_;
  KeyPair pair_ = MakeKeyPair();
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
  EXPECT_EQ(ListActionsTrusting(pair_.certificate), 0);
  EXPECT_THAT(out_.str(), ::testing::HasSubstr("ScaleDeployment"));
}

TEST_F(TlsTest, AServerOfAnotherCaIsNot) {
  EXPECT_EQ(ListActionsTrusting(MakeKeyPair().certificate), 64 + 14);
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace capstan::cli
