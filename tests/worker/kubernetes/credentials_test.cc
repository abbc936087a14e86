#include "worker/kubernetes/credentials.h"

#include <gmock/gmock.h>

#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::kubernetes {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CredentialsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    return directory_.Write(name, text);
  }

  const testing::TemporaryDirectory directory_;
  const std::string folder_ = directory_.path();
};

constexpr char kKubeconfig[] = R"(apiVersion: v1
kind: Config
current-context: main
contexts:
- name: main
  context: {cluster: c1, user: u1, namespace: actions}
- name: files
  context: {cluster: c2, user: u2}
- name: broken
  context: {cluster: nowhere, user: u1}
clusters:
- name: c1
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes
- name: c2
  cluster: {server: "https://c2", certificate-authority: pki/ca.pem}
users:
- name: u1
  user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}
- name: u2
  user: {tokenFile: /var/token, token: ignored, client-certificate: me.pem, client-key: me.key}
)";

TEST_F(CredentialsTest, TheCurrentContextIsTaken) {
  absl::StatusOr<ClusterConfig> config = LoadKubeconfig({Write("config", kKubeconfig)}, "");

  ASSERT_OK(config);
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->ca_data, "CA");
  EXPECT_EQ(config->tls_server_name, "kubernetes");
  EXPECT_EQ(config->client_certificate_data, "CERT");
  EXPECT_EQ(config->client_key_data, "KEY");
  EXPECT_EQ(config->default_namespace, "actions");
}

TEST_F(CredentialsTest, RelativePathsStartAtTheirFile) {
  absl::StatusOr<ClusterConfig> config = LoadKubeconfig({Write("config", kKubeconfig)}, "files");

  ASSERT_OK(config);
  EXPECT_EQ(config->ca_file, folder_ + "/pki/ca.pem");
  EXPECT_EQ(config->client_certificate_file, folder_ + "/me.pem");
  EXPECT_EQ(config->token_file, "/var/token");
  EXPECT_THAT(config->token, IsEmpty());
  EXPECT_EQ(config->default_namespace, "default");
}

TEST_F(CredentialsTest, TheFirstFileToDefineANameWins) {
  const std::string first = Write("first", R"(
clusters: [{name: c1, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u1, user: {token: mine}}]
)");

  absl::StatusOr<ClusterConfig> config =
      LoadKubeconfig({folder_ + "/missing", first, Write("second", kKubeconfig)}, "");

  ASSERT_OK(config);
  EXPECT_EQ(config->server, "http://127.0.0.1:1");
  EXPECT_EQ(config->token, "mine");
}

TEST_F(CredentialsTest, WhatIsNotDefinedIsNamed) {
  const std::string path = Write("config", kKubeconfig);

  EXPECT_THAT(LoadKubeconfig({path}, "other"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("context named \"other\"")));
  EXPECT_THAT(LoadKubeconfig({path}, "broken"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cluster named \"nowhere\"")));
  EXPECT_THAT(LoadKubeconfig({folder_ + "/none"}, ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder_ + "/none")));
}

TEST_F(CredentialsTest, UncheckedTlsIsRefused) {
  const std::string path = Write("config", R"(
current-context: a
contexts: [{name: a, context: {cluster: a}}]
clusters: [{name: a, cluster: {server: "https://a", insecure-skip-tls-verify: true}}]
)");

  EXPECT_THAT(LoadKubeconfig({path}, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("insecure-skip-tls-verify")));
}

TEST_F(CredentialsTest, PluginsAreRefusedByName) {
  const std::string path = Write("config", R"(
current-context: a
contexts: [{name: a, context: {cluster: a, user: cloud}}]
clusters: [{name: a, cluster: {server: "https://a"}}]
users: [{name: cloud, user: {exec: {command: get-token}}}]
)");

  EXPECT_THAT(LoadKubeconfig({path}, ""),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"cloud\""), HasSubstr("exec"))));
}

TEST_F(CredentialsTest, BrokenFilesAreNamed) {
  EXPECT_THAT(LoadKubeconfig({Write("config", "a: [")}, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(folder_ + "/config")));
  EXPECT_THAT(LoadKubeconfig({Write("list", "- a")}, ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a kubeconfig")));
}

TEST_F(CredentialsTest, TheListOfFilesComesFromTheVariableOrTheHome) {
  EXPECT_THAT(KubeconfigPaths("/a::/b", "/home/x"), ElementsAre("/a", "/b"));
  EXPECT_THAT(KubeconfigPaths("", "/home/x"), ElementsAre("/home/x/.kube/config"));
}

TEST_F(CredentialsTest, APodUsesItsServiceAccount) {
  Write("token", "t");
  Write("ca.crt", "CA");
  Write("namespace", "capstan\n");

  absl::StatusOr<ClusterConfig> config = InClusterConfig("10.96.0.1", "443", folder_);

  ASSERT_OK(config);
  EXPECT_EQ(config->server, "https://10.96.0.1:443");
  EXPECT_EQ(config->token_file, folder_ + "/token");
  EXPECT_EQ(config->ca_file, folder_ + "/ca.crt");
  EXPECT_EQ(config->default_namespace, "capstan");
}

TEST_F(CredentialsTest, AnIpv6AddressGetsItsBrackets) {
  Write("token", "t");

  EXPECT_EQ(InClusterConfig("fd00::1", "443", folder_)->server, "https://[fd00::1]:443");
}

TEST_F(CredentialsTest, OutsideAPodThereIsNoServiceAccount) {
  EXPECT_THAT(InClusterConfig("", "", folder_), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(InClusterConfig("10.96.0.1", "443", folder_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("token")));
}

}  // namespace
}  // namespace capstan::kubernetes
