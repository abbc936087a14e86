#include "core/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace capstan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// So that no scanner takes these for real ones.
std::string Fake(const char* prefix, int length, char fill = 'A') {
  return absl::StrCat(prefix, std::string(static_cast<std::size_t>(length), fill));
}

struct Case {
  const char* name;
  std::string credential;
};

class CredentialTest : public ::testing::TestWithParam<Case> {};

TEST_P(CredentialTest, IsTakenOutWhereverItStands) {
  const std::string& credential = GetParam().credential;
  const Redactor redactor;

  EXPECT_EQ(redactor.Redact(credential), kRedacted);
  EXPECT_EQ(redactor.Redact(absl::StrCat("key=\"", credential, "\", next")),
            "key=\"[redacted]\", next");
  EXPECT_EQ(redactor.Redact(absl::StrCat(credential, "\n", credential)), "[redacted]\n[redacted]");
}

INSTANTIATE_TEST_SUITE_P(
    OfEachKind, CredentialTest,
    ::testing::Values(
        Case{"ModelProvider", Fake("sk-ant-api03-", 40)}, Case{"Cloud", Fake("AKIA", 16)},
        Case{"CloudSession", Fake("ASIA", 16)}, Case{"ForgePersonal", Fake("ghp_", 36)},
        Case{"ForgeServer", Fake("ghs_", 36)}, Case{"ForgeFineGrained", Fake("github_pat_", 60)},
        Case{"OtherForge", Fake("glpat-", 20)}, Case{"Chat", Fake("xoxb-", 24, '1')},
        Case{"WebToken", absl::StrCat(Fake("eyJ", 20), ".", Fake("eyJ", 20), ".", Fake("", 40))},
        Case{"PrivateKey",
             "-----BEGIN RSA PRIVATE KEY-----\nAAAA\nBBBB\n-----END RSA PRIVATE KEY-----"},
        Case{"PrivateKeyWithoutAKind",
             "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}),
    [](const auto& param) { return param.param.name; });

TEST(RedactorTest, ValuesThatAreKnownToBeSecretAreTakenOut) {
  const Redactor redactor({"hunter22", "s3cr3t!"});

  EXPECT_EQ(redactor.Redact("hunter22 and s3cr3t! and hunter22"),
            "[redacted] and [redacted] and [redacted]");
}

TEST(RedactorTest, ASecretThatContainsAnotherOneLeavesNothing) {
  const Redactor redactor({"password", "password-and-more"});

  EXPECT_EQ(redactor.Redact("is password-and-more."), "is [redacted].");
}

TEST(RedactorTest, SecretsThatFollowEachOtherAreBothTakenOut) {
  EXPECT_EQ(Redactor({"hunter22"}).Redact("hunter22hunter22"), "[redacted][redacted]");
}

TEST(RedactorTest, ShortValuesAreOrdinaryWords) {
  EXPECT_EQ(Redactor({"", "admin"}).Redact("the admin said so"), "the admin said so");
}

TEST(RedactorTest, APrivateKeyThatWasCutOffIsTakenOutToTheEnd) {
  const std::string text = Redactor().Redact("key:\n-----BEGIN EC PRIVATE KEY-----\nAAAA\nBB");

  EXPECT_EQ(text, "key:\n[redacted]");
}

TEST(RedactorTest, WhatFollowsAPrivateKeyStays) {
  EXPECT_THAT(Redactor().Redact("-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\nmore"),
              HasSubstr("more"));
}

TEST(RedactorTest, OrdinaryTextStaysAsItIs) {
  const std::string text =
      "task-12345678901234567890 risk-AAAAAAAAAAAAAAAAAAAAAAAA sk-short AKIA123 eyJ.a.b ghp_x "
      "-----BEGIN CERTIFICATE-----";

  EXPECT_EQ(Redactor({"hunter22"}).Redact(text), text);
}

TEST(RedactorTest, WhatWasRedactedIsNotRedactedFurther) {
  const Redactor redactor({"hunter22"});
  const std::string once = redactor.Redact(absl::StrCat("hunter22 ", Fake("ghp_", 36)));

  EXPECT_EQ(redactor.Redact(once), once);
  EXPECT_THAT(once, Not(HasSubstr("hunter22")));
}

}  // namespace
}  // namespace capstan
