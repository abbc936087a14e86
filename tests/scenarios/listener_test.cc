// The listener of the real server program, from its configuration on: TLS, client certificates,
// reflection, health, and what is refused at start.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>
#include <future>

#include "absl/strings/str_cat.h"
#include "core/ids.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/scenarios/system.h"
#include "tests/support/certificates/certificates.h"

namespace capstan::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kAlice[] = "URI:spiffe://shop.example/alice";
constexpr char kBob[] = "URI:spiffe://shop.example/bob";

// A client's side of TLS.
grpc::SslCredentialsOptions Trusting(const CertificateAuthority& authority) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority.certificate();
  return options;
}
grpc::SslCredentialsOptions As(const KeyPair& client, const CertificateAuthority& authority) {
  grpc::SslCredentialsOptions options = Trusting(authority);
  options.pem_cert_chain = client.certificate;
  options.pem_private_key = client.key;
  return options;
}

class ListenerTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = system_->LogFile(name);
    std::ofstream(path) << content;
    return path;
  }
  // Flags of a listener with TLS.
  std::vector<std::string> TlsFlags() {
    return {absl::StrCat("--listen.tls.cert_file=", Write("server.pem", pair_.certificate)),
            absl::StrCat("--listen.tls.key_file=", Write("server.key", pair_.key))};
  }
  std::vector<std::string> MutualTlsFlags() {
    std::vector<std::string> flags = TlsFlags();
    flags.push_back(absl::StrCat("--listen.tls.client_ca_file=",
                                 Write("clients.pem", client_authority_.certificate())));
    return flags;
  }

  static std::shared_ptr<grpc::Channel> Connect(
      const Server& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server.address, credentials, arguments);
  }
  static std::shared_ptr<grpc::Channel> Connect(const Server& server,
                                                const grpc::SslCredentialsOptions& options) {
    return Connect(server, grpc::SslCredentials(options));
  }
  static grpc::Status ListActions(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    v1::ListActionsResponse response;
    return v1::CatalogService::NewStub(channel)->ListActions(&context, {}, &response);
  }
  // What the server has stored of an accepted request.
  static Streamed Accept(const std::shared_ptr<grpc::Channel>& channel,
                         v1::ExecuteActionRequest request) {
    Server through;
    through.executions = v1::ExecutionService::NewStub(channel);
    request.set_wait_until(v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED);
    return Execute(through, request);
  }
  // Asks reflection for the services; `answer` are the bytes of its response.
  static grpc::Status ListServices(const Server& server, std::string& answer) {
    // ServerReflectionRequest{list_services: "*"}; the one request and one response of a stream
    // look like a unary call.
    const grpc::Slice slice(std::string("\x3a\x01*"));
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::ClientContext context;
    grpc::GenericStub stub(Connect(server, grpc::InsecureChannelCredentials()));
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", {},
                   &request, &response,
                   [&](const grpc::Status& status) { done.set_value(status); });
    const grpc::Status status = done.get_future().get();
    grpc::Slice bytes;
    if (status.ok() && response.DumpToSingleSlice(&bytes).ok()) {
      answer.assign(bytes.begin(), bytes.end());
    }
    return status;
  }
  // The first check of the database may not be over yet: a watch says when it is.
  static bool BecomesHealthy(const Server& server, const std::string& service) {
    const auto stub =
        grpc::health::v1::Health::NewStub(Connect(server, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    const auto reader = stub->Watch(&context, request);
    grpc::health::v1::HealthCheckResponse response;
    while (reader->Read(&response)) {
      if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING) continue;
      context.TryCancel();
      return true;
    }
    return false;
  }
  // Starts it with flags that it refuses; what it says, before its exit status.
  std::pair<std::string, int> Refused(const std::vector<std::string>& flags) {
    const auto process = system_->LaunchServer({}, flags);
    const int status = process->Wait();
    return {process->Log(), WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  }

  const std::unique_ptr<System> system_ = System::Make();
  const CertificateAuthority authority_;         // of the server
  const CertificateAuthority client_authority_;  // of its clients
  const KeyPair pair_ = authority_.Issue("IP:127.0.0.1");
};

// ---- TLS

TEST_F(ListenerTest, WithTlsAClientThatTrustsItsAuthorityIsAnswered) {
  const Server server = system_->StartServer({}, TlsFlags());

  const grpc::Status status = ListActions(Connect(server, Trusting(authority_)));

  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(ListenerTest, WithTlsPlainTextAndClientsOfAnotherAuthorityGetNoAnswer) {
  const Server server = system_->StartServer({}, TlsFlags());

  EXPECT_EQ(ListActions(Connect(server, grpc::InsecureChannelCredentials())).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ListActions(Connect(server, Trusting(CertificateAuthority()))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(ListActions(Connect(server, Trusting(authority_))).ok()) << "it goes on serving";
}

TEST_F(ListenerTest, TlsCanBeConfiguredByAFileOnAnyAddress) {
  const std::string config =
      Write("server.yaml", absl::StrCat("listen:\n  address: 0.0.0.0:0\n  tls:\n    cert_file: ",
                                        Write("server.pem", pair_.certificate),
                                        "\n    key_file: ", Write("server.key", pair_.key), "\n"));

  const auto process =
      system_->LaunchServer({}, {"--config", config, "--listen.address=0.0.0.0:0"});

  EXPECT_TRUE(process->WaitForLog("\"message\":\"serving\"")) << process->Log();
  EXPECT_THAT(process->Log(), AllOf(HasSubstr("\"tls\":\"true\""), HasSubstr("0.0.0.0:0")));
}

// ---- client certificates

TEST_F(ListenerTest, WithClientAuthoritiesAClientWithoutTheirCertificateIsRefused) {
  const Server server = system_->StartServer({}, MutualTlsFlags());
  const CertificateAuthority stranger;

  const grpc::Status without = ListActions(Connect(server, Trusting(authority_)));
  const grpc::Status strange = ListActions(Connect(server, As(stranger.Issue(kAlice), authority_)));

  EXPECT_EQ(without.error_code(), grpc::StatusCode::UNAVAILABLE) << without.error_message();
  EXPECT_EQ(strange.error_code(), grpc::StatusCode::UNAVAILABLE) << strange.error_message();
}

TEST_F(ListenerTest, WithClientAuthoritiesACallerIsWhoItsCertificateSays) {
  const Server server = system_->StartServer({}, MutualTlsFlags());
  const auto alice = Connect(server, As(client_authority_.Issue(kAlice), authority_));
  const auto bob = Connect(server, As(client_authority_.Issue(kBob), authority_));
  const v1::ExecuteActionRequest request = Scale(3);

  const Streamed of_alice = Accept(alice, request);
  const Streamed again = Accept(alice, request);
  const Streamed of_bob = Accept(bob, request);

  ASSERT_TRUE(of_alice.status.ok()) << of_alice.status.error_message();
  ASSERT_TRUE(of_bob.status.ok()) << of_bob.status.error_message();
  EXPECT_EQ(of_alice.snapshot->caller(), "spiffe://shop.example/alice");
  EXPECT_EQ(of_bob.snapshot->caller(), "spiffe://shop.example/bob");
  EXPECT_EQ(again.snapshot->name(), of_alice.snapshot->name());
  EXPECT_NE(of_bob.snapshot->name(), of_alice.snapshot->name())
      << "a request_id is the caller's own";
}

// ---- refused at start

TEST_F(ListenerTest, PlainTextOnAnotherAddressThanLoopbackIsRefusedAtStart) {
  const auto [said, exit_code] = Refused({"--listen.address=0.0.0.0:0"});

  EXPECT_EQ(exit_code, 2);
  EXPECT_THAT(said, HasSubstr("listen.address: got \"0.0.0.0:0\", want a loopback address"));
  EXPECT_THAT(said, Not(HasSubstr("serving")));
}

TEST_F(ListenerTest, ACertificateWithoutItsKeyIsRefusedAtStart) {
  const auto [said, exit_code] =
      Refused({absl::StrCat("--listen.tls.cert_file=", Write("server.pem", pair_.certificate))});

  EXPECT_EQ(exit_code, 2);
  EXPECT_THAT(said, HasSubstr("listen.tls: want cert_file and key_file together"));
}

TEST_F(ListenerTest, ACertificateThatCannotBeReadIsRefusedAtStart) {
  const auto [said, exit_code] =
      Refused({absl::StrCat("--listen.tls.cert_file=", system_->LogFile("absent.pem")),
               absl::StrCat("--listen.tls.key_file=", Write("server.key", pair_.key))});

  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(said, HasSubstr("listen.tls.cert_file: cannot read "));
}

TEST_F(ListenerTest, ACertificateThatIsNoneIsRefusedAtStart) {
  const auto [said, exit_code] =
      Refused({absl::StrCat("--listen.tls.cert_file=", Write("server.pem", "not a certificate")),
               absl::StrCat("--listen.tls.key_file=", Write("server.key", pair_.key))});

  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(said, HasSubstr("listen.tls"));
}

TEST_F(ListenerTest, AKeyOfAnotherCertificateIsRefusedAtStart) {
  const KeyPair other = authority_.Issue("IP:127.0.0.1");

  const auto [said, exit_code] =
      Refused({absl::StrCat("--listen.tls.cert_file=", Write("server.pem", pair_.certificate)),
               absl::StrCat("--listen.tls.key_file=", Write("server.key", other.key))});

  EXPECT_EQ(exit_code, 1);
  EXPECT_THAT(said, HasSubstr("listen.tls"));
}

// ---- reflection and health

TEST_F(ListenerTest, ReflectionListsTheServices) {
  const Server server = system_->StartServer();

  std::string services;
  const grpc::Status status = ListServices(server, services);

  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(
      services,
      AllOf(HasSubstr("capstan.v1.ExecutionService"), HasSubstr("capstan.v1.CatalogService"),
            HasSubstr("capstan.v1.AdminService"), HasSubstr("grpc.health.v1.Health")));
}

TEST_F(ListenerTest, ReflectionCanBeTurnedOff) {
  Server server = system_->StartServer({}, {"--reflection=false"});

  std::string services;
  EXPECT_EQ(ListServices(server, services).error_code(), grpc::StatusCode::UNIMPLEMENTED);

  EXPECT_THAT(*Submit(server, Scale(3)), StartsWith("executions/")) << "all else is served";
}

TEST_F(ListenerTest, HealthOfEveryServiceIsServing) {
  const Server server = system_->StartServer();

  EXPECT_TRUE(BecomesHealthy(server, ""));
  EXPECT_TRUE(BecomesHealthy(server, "capstan.v1.ExecutionService"));
  EXPECT_TRUE(BecomesHealthy(server, "capstan.v1.CatalogService"));
  EXPECT_TRUE(BecomesHealthy(server, "capstan.v1.AdminService"));
  EXPECT_TRUE(BecomesHealthy(server, "grpc.health.v1.Health"));
}

}  // namespace
}  // namespace capstan::testing
