#include "core/config/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/config/load.h"
#include "tests/support/status_matchers.h"

namespace capstan::config {
namespace {

using ::capstan::testing::IsOkAndHolds;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;

using Flags = std::vector<std::pair<std::string, std::string>>;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

absl::Status ValidateServer(const Flags& changes) {
  Flags flags = {{"store.dsn", "host=/tmp"}};
  flags.insert(flags.end(), changes.begin(), changes.end());
  v1::ServerConfig config;
  absl::Status loaded = Load({.flags = flags}, config);
  return loaded.ok() ? Validate(config) : loaded;
}

absl::Status ValidateWorker(const Flags& changes) {
  Flags flags = {{"store.dsn", "host=/tmp"}, {"kubernetes.kubeconfig", "/kube/config"}};
  flags.insert(flags.end(), changes.begin(), changes.end());
  v1::WorkerConfig config;
  absl::Status loaded = Load({.flags = flags}, config);
  return loaded.ok() ? Validate(config) : loaded;
}

TEST(ValidateServerTest, TheDefaultsWithADsnAreValid) { EXPECT_OK(ValidateServer({})); }

TEST(ValidateServerTest, RefusesAnotherAddressThanLoopbackWithoutTls) {
  EXPECT_THAT(ValidateServer({{"listen.address", "0.0.0.0:50051"}}),
              StatusIs(kInvalid, HasSubstr("plain text is not served to other machines")));
  EXPECT_THAT(ValidateServer({{"listen.address", "[::]:50051"}}),
              StatusIs(kInvalid, HasSubstr("listen.address: got \"[::]:50051\"")));
}

TEST(ValidateServerTest, TakesAnyAddressWithTls) {
  EXPECT_OK(ValidateServer({{"listen.address", "0.0.0.0:50051"},
                            {"listen.tls.cert_file", "/tls/cert"},
                            {"listen.tls.key_file", "/tls/key"}}));
}

TEST(ValidateServerTest, TakesLoopbackAndUnixSocketsWithoutTls) {
  EXPECT_OK(ValidateServer({{"listen.address", "127.0.0.1:0"}}));
  EXPECT_OK(ValidateServer({{"listen.address", "unix:/run/capstan.sock"}}));
}

TEST(ValidateServerTest, BelievesClaimedCallersOnlyOnLoopback) {
  EXPECT_OK(ValidateServer({{"listen.development_identity", "true"}}));
  EXPECT_THAT(ValidateServer({{"listen.address", "0.0.0.0:50051"},
                              {"listen.development_identity", "true"},
                              {"listen.tls.cert_file", "/tls/cert"},
                              {"listen.tls.key_file", "/tls/key"}}),
              StatusIs(kInvalid, HasSubstr("listen.development_identity: got \"true\"")));
}

TEST(ValidateWorkerTest, S2_68_KeepsFailedJobsForTenMinutesAtMost) {
  EXPECT_OK(ValidateWorker({{"jobs.keep_failed", "true"}, {"jobs.keep_failed_for", "10m"}}));
  EXPECT_THAT(ValidateWorker({{"jobs.keep_failed_for", "11m"}}),
              StatusIs(kInvalid, HasSubstr("jobs.keep_failed_for: got \"11m\"")));
}

TEST(ValidateWorkerTest, S2_22_TheLimitForAParentMayBeTakenAway) {
  EXPECT_OK(ValidateWorker({{"limits.per_parent_in_flight", "0"}}));
  EXPECT_THAT(ValidateWorker({{"limits.per_parent_in_flight", "10001"}}),
              StatusIs(kInvalid, HasSubstr("limits.per_parent_in_flight: got \"10001\"")));
}

TEST(ValidateServerTest, RefusesHalfACertificate) {
  EXPECT_THAT(ValidateServer({{"listen.tls.cert_file", "/tls/cert"}}),
              StatusIs(kInvalid, HasSubstr("listen.tls")));
  EXPECT_THAT(ValidateServer({{"listen.tls.client_ca_file", "/tls/ca"}}),
              StatusIs(kInvalid, HasSubstr("listen.tls.client_ca_file")));
}

TEST(ValidateServerTest, RefusesZeroLimitsAndDurations) {
  EXPECT_THAT(ValidateServer({{"submit.queue_capacity", "0"}}),
              StatusIs(kInvalid, HasSubstr("submit.queue_capacity: want more than 0")));
  EXPECT_THAT(ValidateServer({{"drain_timeout", "0s"}}),
              StatusIs(kInvalid, HasSubstr("drain_timeout: want more than 0")));
}

TEST(ValidateWorkerTest, LimitsOfTasksMayBeOff) {
  EXPECT_OK(ValidateWorker({{"tasks.workspace_mib", "0"},
                            {"tasks.workspace_files", "0"},
                            {"tasks.messages_api.base_url", "https://model.example"},
                            {"tasks.messages_api.calls_per_minute", "0"}}));
}

TEST(ValidateServerTest, WantsExactlyOneDsn) {
  EXPECT_THAT(ValidateServer({{"store.dsn_file", "/secret"}}),
              StatusIs(kInvalid, HasSubstr("exactly one of store.dsn and store.dsn_file")));
  EXPECT_THAT(ValidateServer({{"store.dsn", ""}}), StatusIs(kInvalid, HasSubstr("exactly one")));
}

TEST(ValidateServerTest, RefusesWhatCannotBeAnAddressLevelRatioOrEndpoint) {
  EXPECT_THAT(ValidateServer({{"http.address", "9464"}}),
              StatusIs(kInvalid, HasSubstr("http.address")));
  EXPECT_THAT(ValidateServer({{"http.address", "unix:/x"}}),
              StatusIs(kInvalid, HasSubstr("http.address")));
  EXPECT_THAT(ValidateServer({{"log.level", "loud"}}), StatusIs(kInvalid, HasSubstr("log.level")));
  EXPECT_THAT(ValidateServer({{"tracing.sample_ratio", "1.5"}}),
              StatusIs(kInvalid, HasSubstr("a number from 0 to 1")));
  EXPECT_THAT(ValidateServer({{"tracing.sample_ratio", "nan"}}),
              StatusIs(kInvalid, HasSubstr("a number from 0 to 1")));
  EXPECT_THAT(ValidateServer({{"tracing.otlp_endpoint", "collector:4317"}}),
              StatusIs(kInvalid, HasSubstr("http://host:port")));
  EXPECT_THAT(ValidateServer({{"catalog_dir", ""}}), StatusIs(kInvalid, HasSubstr("catalog_dir")));
}

TEST(ValidateWorkerTest, TheDefaultsWithADsnAndAKubeconfigAreValid) {
  EXPECT_OK(ValidateWorker({}));
}

TEST(ValidateWorkerTest, S4_35_NamesInFullWhomTasksMayCall) {
  const auto validate = [](Flags changes) {
    changes.emplace_back("tasks.workspace_dir", "/srv/work");
    return ValidateWorker(changes);
  };
  EXPECT_OK(validate({{"tasks.http.allowed", "api.internal,api.internal:8443,http://[::1]:8080"},
                      {"tasks.http.secret_files", "token=/secrets/token"},
                      {"tasks.http.ca_file", "/tls/ca"},
                      {"tasks.scripts_dir", "/srv/scripts"}}));
  EXPECT_THAT(validate({{"tasks.http.allowed", "api.internal,*.internal"}}),
              StatusIs(kInvalid, HasSubstr("tasks.http.allowed: got \"*.internal\"")));
  EXPECT_THAT(validate({{"tasks.http.secret_files", "token=token"}}),
              StatusIs(kInvalid, HasSubstr("tasks.http.secret_files.token: got \"token\"")));
  EXPECT_THAT(validate({{"tasks.http.ca_file", "ca"}}),
              StatusIs(kInvalid, HasSubstr("tasks.http.ca_file: got \"ca\"")));
  EXPECT_THAT(validate({{"tasks.scripts_dir", "scripts"}}),
              StatusIs(kInvalid, HasSubstr("tasks.scripts_dir: got \"scripts\"")));
}

TEST(ValidateWorkerTest, WantsExactlyOneWayToTheCluster) {
  EXPECT_THAT(ValidateWorker({{"kubernetes.in_cluster", "true"}}),
              StatusIs(kInvalid, HasSubstr("exactly one of kubernetes.kubeconfig")));
  EXPECT_THAT(ValidateWorker({{"kubernetes.kubeconfig", ""}}),
              StatusIs(kInvalid, HasSubstr("exactly one of kubernetes.kubeconfig")));
}

TEST(ValidateWorkerTest, RefusesAHeartbeatThatCannotKeepALease) {
  EXPECT_THAT(ValidateWorker({{"lease.heartbeat", "6s"}}),
              StatusIs(kInvalid, HasSubstr("lease.heartbeat: got \"6s\"")));
}

TEST(ValidateWorkerTest, RefusesTransactionsThatOutliveAThirdOfALease) {
  EXPECT_THAT(ValidateWorker({{"store.idle_in_transaction_timeout", "5s"}}),
              StatusIs(kInvalid, HasSubstr("store.idle_in_transaction_timeout")));
}

TEST(ValidateWorkerTest, RefusesImagesThatAreNotPinned) {
  EXPECT_THAT(ValidateWorker({{"kubernetes.runner_images", "kubectl=registry:5000/kubectl"}}),
              StatusIs(kInvalid, HasSubstr("kubernetes.runner_images.kubectl")));
  EXPECT_THAT(ValidateWorker({{"kubernetes.runner_images", "kubectl=r/kubectl:latest"}}),
              StatusIs(kInvalid, HasSubstr("other than latest")));
  EXPECT_OK(ValidateWorker({{"kubernetes.runner_images", "a=r:5000/k:1.34,b=r/k@sha256:00"}}));
}

TEST(ValidateWorkerTest, RefusesAPolicyThatCouldNeverAllow) {
  EXPECT_THAT(ValidateWorker({{"policy.required_bundles", ","}}),
              StatusIs(kInvalid, HasSubstr("policy.required_bundles")));
  EXPECT_THAT(ValidateWorker({{"policy.dir", ""}}), StatusIs(kInvalid, HasSubstr("policy.dir")));
}

TEST(IsLoopbackTest, KnowsTheAddressesThatStayOnTheMachine) {
  EXPECT_THAT(IsLoopback("127.0.0.1:1"), IsOkAndHolds(true));
  EXPECT_THAT(IsLoopback("127.9.9.9:1"), IsOkAndHolds(true));
  EXPECT_THAT(IsLoopback("localhost:1"), IsOkAndHolds(true));
  EXPECT_THAT(IsLoopback("[::1]:1"), IsOkAndHolds(true));
  EXPECT_THAT(IsLoopback("unix:/run/x"), IsOkAndHolds(true));
  EXPECT_THAT(IsLoopback("10.0.0.1:1"), IsOkAndHolds(false));
  EXPECT_THAT(IsLoopback("127.0.0.1.example.com:1"), IsOkAndHolds(false));
  EXPECT_THAT(IsLoopback("[::ffff:10.0.0.1]:1"), IsOkAndHolds(false));
}

TEST(IsLoopbackTest, RefusesWhatIsNoAddress) {
  EXPECT_THAT(IsLoopback(""), StatusIs(kInvalid));
  EXPECT_THAT(IsLoopback("localhost"), StatusIs(kInvalid));
  EXPECT_THAT(IsLoopback(":50051"), StatusIs(kInvalid));
  EXPECT_THAT(IsLoopback("::1:50051"), StatusIs(kInvalid));
  EXPECT_THAT(IsLoopback("localhost:65536"), StatusIs(kInvalid));
  EXPECT_THAT(IsLoopback("unix:"), StatusIs(kInvalid));
}

TEST(ReadDsnTest, ReadsTheFileWithoutItsLineEnd) {
  const std::string path = ::testing::TempDir() + "/dsn";
  std::ofstream(path) << "host=db password=x\n";
  v1::StoreConfig store;
  store.set_dsn_file(path);

  EXPECT_THAT(ReadDsn(store), IsOkAndHolds("host=db password=x"));
}

TEST(ReadDsnTest, RefusesAMissingAndAnEmptyFile) {
  const std::string path = ::testing::TempDir() + "/empty_dsn";
  std::ofstream(path) << "\n";
  v1::StoreConfig empty;
  empty.set_dsn_file(path);
  v1::StoreConfig missing;
  missing.set_dsn_file("/nonexistent/dsn");

  EXPECT_THAT(ReadDsn(empty), StatusIs(kInvalid, HasSubstr("is empty")));
  EXPECT_THAT(ReadDsn(missing), StatusIs(absl::StatusCode::kNotFound, HasSubstr("dsn_file")));
}

}  // namespace
}  // namespace capstan::config
