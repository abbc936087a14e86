// How the OPA engine takes what a server may say or not say. That it keeps the contract of every
// PolicyEngine is shown by opa/, on a real server.
#include "worker/policy/opa_policy_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/ids.h"
#include "tests/support/scripted_server/scripted_server.h"
#include "tests/support/status_matchers.h"
#include "tests/worker/policy/policy_directory.h"

namespace capstan::policy {
namespace {

using ::capstan::testing::Answer;
using ::capstan::testing::ScriptedReply;
using ::capstan::testing::ScriptedServer;
using ::capstan::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kAllowed[] =
    R"({"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":[],"bundles":["a"]})";

std::string Result(const std::string& decision) {
  return absl::StrCat(R"({"result":)", decision, "}");
}

class OpaPolicyEngineTest : public ::testing::Test {
 protected:
  static OpaPolicyEngine::Options OptionsOf(const std::string& url) {
    OpaPolicyEngine::Options options;
    options.client.url = url;
    options.required_bundles = {"a"};
    return options;
  }

  Decision Ask(OpaPolicyEngine::Options options, const PolicyInput& input = ScaleInput()) {
    absl::StatusOr<std::unique_ptr<OpaPolicyEngine>> engine =
        OpaPolicyEngine::Create(std::move(options), clock_);
    EXPECT_OK(engine);
    return (*engine)->Evaluate(input);
  }

  // The decision of an engine whose server always says this.
  Decision Ask(const ScriptedReply& reply) {
    const ScriptedServer server([&](const auto&) { return reply; });
    return Ask(OptionsOf(server.Url()));
  }

  SystemClock clock_;
};

TEST_F(OpaPolicyEngineTest, TheRequestAsksForStrictErrorsAndCarriesTheInput) {
  ScriptedServer server([](const auto&) { return Answer(200, Result(kAllowed)); });

  const Decision decision = Ask(OptionsOf(server.Url() + "/"));

  EXPECT_TRUE(decision.allow);
  ASSERT_THAT(server.Requests(), SizeIs(1));
  const auto request = server.Requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_THAT(request.target, HasSubstr("/v1/data/capstan/safety/decision?"));
  EXPECT_THAT(request.target, HasSubstr("strict-builtin-errors=true"));
  EXPECT_EQ(request.body, absl::StrCat(R"({"input":)", decision.input_json, "}"));
  EXPECT_EQ(decision.input_json, ToJson(ScaleInput()).dump());
}

TEST_F(OpaPolicyEngineTest, TheTokenIsSentAsItIsNow) {
  const PolicyDirectory directory;
  directory.Write("token", "secret-1\n");
  ScriptedServer server([](const auto&) { return Answer(200, Result(kAllowed)); });
  OpaPolicyEngine::Options options = OptionsOf(server.Url());
  options.client.token_file = directory.path() + "/token";

  EXPECT_TRUE(Ask(options).allow);

  EXPECT_THAT(server.Requests().at(0).head, HasSubstr("Authorization: Bearer secret-1\r\n"));
}

TEST_F(OpaPolicyEngineTest, ATokenThatCannotBeReadDenies) {
  ScriptedServer server([](const auto&) { return Answer(200, Result(kAllowed)); });
  OpaPolicyEngine::Options options = OptionsOf(server.Url());
  options.client.token_file = "/nonexistent/token";

  const Decision decision = Ask(options);

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.error_message, HasSubstr("/nonexistent/token"));
  EXPECT_THAT(server.Requests(), SizeIs(0));
}

TEST_F(OpaPolicyEngineTest, TheDigestIsThatOfTheRevisions) {
  const Decision decision =
      Ask(Answer(200, absl::StrCat(R"({"provenance":{"bundles":{"x":{"revision":"r1"}}},"result":)",
                                   kAllowed, "}")));

  EXPECT_EQ(decision.bundle_digest, Sha256Hex(R"(["r1"])"));
}

TEST_F(OpaPolicyEngineTest, S2_32_ARequiredBundleThatTookNoPartDenies) {
  ScriptedServer server([](const auto&) { return Answer(200, Result(kAllowed)); });
  OpaPolicyEngine::Options options = OptionsOf(server.Url());
  options.required_bundles = {"a", "b"};

  const Decision decision = Ask(options);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kUnavailable);
  EXPECT_THAT(decision.error_message, HasSubstr(": b"));
}

TEST_F(OpaPolicyEngineTest, S2_32_AnErrorOfTheServerDeniesAndIsPassedOn) {
  const Decision decision = Ask(Answer(
      500,
      R"({"code":"internal_error","message":"evaluation failed","errors":[{"message":"div: divide by zero"}]})"));

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_THAT(decision.error_message,
              HasSubstr("HTTP 500: evaluation failed: div: divide by zero"));
}

struct OddReply {
  int code;
  std::string body;
};
class OddReplyTest : public OpaPolicyEngineTest, public ::testing::WithParamInterface<OddReply> {};

TEST_P(OddReplyTest, S2_32_Denies) {
  const Decision decision = Ask(Answer(GetParam().code, GetParam().body));

  EXPECT_FALSE(decision.allow);
  EXPECT_TRUE(IsPolicyError(decision) || decision.error == Decision::Error::kUnavailable);
  EXPECT_FALSE(decision.violations.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Replies, OddReplyTest,
    ::testing::Values(
        OddReply{200, ""}, OddReply{200, "{"}, OddReply{200, "true"}, OddReply{200, "[]"},
        OddReply{200, "{}"}, OddReply{200, kAllowed}, OddReply{200, R"({"result":null})"},
        OddReply{200, R"({"result":true})"}, OddReply{200, R"({"result":{"allow":true}})"},
        OddReply{200, R"({"results":{"allow":true}})"},
        OddReply{200, R"({"result":[)" + std::string(kAllowed) + "]}"},
        OddReply{200, R"({"result":{"allow":true,"bundles":["a"]}})"},
        OddReply{
            200,
            R"({"result":{"allow":"true","violations":[],"requires_approval":false,"warnings":[],"obligations":[],"bundles":["a"]}})"},
        OddReply{
            200,
            R"({"result":{"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":[],"bundles":"a"}})"},
        OddReply{
            200,
            R"({"result":{"allow":true,"violations":[],"requires_approval":false,"warnings":[],"obligations":[],"bundles":[]}})"},
        OddReply{201, Result(kAllowed)}, OddReply{204, ""}, OddReply{302, Result(kAllowed)},
        OddReply{400, R"({"message":"bad request"})"}, OddReply{401, ""}, OddReply{404, "{}"},
        OddReply{500, "not JSON"}, OddReply{500, Result(kAllowed)}, OddReply{503, "[]"}));

TEST_F(OpaPolicyEngineTest, S2_32_ASilentServerIsATimeOutAfterItsBudget) {
  ScriptedServer server([](const auto&) { return testing::Silence(); });
  OpaPolicyEngine::Options options = OptionsOf(server.Url());
  options.timeout = absl::Milliseconds(30);

  const Decision decision = Ask(options);

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kTimeout);
  EXPECT_GE(decision.took, options.timeout);
}

TEST_F(OpaPolicyEngineTest, AConnectionThatBreaksOffIsTriedAgain) {
  ScriptedServer server([](const testing::ReceivedRequest& request) {
    return request.number == 0 ? testing::CutWithoutAnswer() : Answer(200, Result(kAllowed));
  });

  EXPECT_TRUE(Ask(OptionsOf(server.Url())).allow);
}

TEST_F(OpaPolicyEngineTest, S2_32_ABrokenAnswerDenies) {
  const Decision decision =
      Ask({{"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", Result(kAllowed)}, true});

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
}

TEST_F(OpaPolicyEngineTest, S2_32_AServerThatIsNotThereDenies) {
  const PolicyDirectory directory;

  const Decision decision = Ask(OptionsOf("unix://" + directory.path() + "/no.sock"));

  EXPECT_FALSE(decision.allow);
  EXPECT_EQ(decision.error, Decision::Error::kEvaluation);
  EXPECT_TRUE(IsPolicyError(decision));
}

TEST_F(OpaPolicyEngineTest, S2_32_AnEndlessAnswerDenies) {
  const Decision decision =
      Ask(Answer(200, absl::StrCat(R"({"result":")", std::string(2 << 20, 'x'), "\"}")));

  EXPECT_FALSE(decision.allow);
  EXPECT_THAT(decision.error_message, HasSubstr("over"));
}

TEST_F(OpaPolicyEngineTest, S2_32_AHugeInputIsNotSent) {
  ScriptedServer server([](const auto&) { return Answer(200, Result(kAllowed)); });
  PolicyInput input = ScaleInput();
  input.facts["blob"] = std::string(2 << 20, 'x');

  const Decision decision = Ask(OptionsOf(server.Url()), input);

  EXPECT_EQ(decision.error, Decision::Error::kBadInput);
  EXPECT_THAT(server.Requests(), SizeIs(0));
}

TEST_F(OpaPolicyEngineTest, AUrlOfAnotherKindEndsTheStart) {
  for (const char* url :
       {"", "localhost:8181", "ftp://x", "unix://relative", "file:///etc/passwd"}) {
    EXPECT_THAT(OpaPolicyEngine::Create(OptionsOf(url), clock_),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("OPA URL")));
  }
}

}  // namespace
}  // namespace capstan::policy
