#include "core/catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/catalog/fixtures.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"

namespace capstan::catalog {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CatalogTest : public ::testing::Test {
 protected:
  void Write(std::string_view file, std::string_view text) { temporary_.Write(file, text); }

  const testing::TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path();
};

TEST_F(CatalogTest, S2_11_TheShippedCatalogIsListedByName) {
  absl::StatusOr<Catalog> catalog = Catalog::Load(CAPSTAN_SOURCE_DIR "/catalog/actions");

  ASSERT_OK(catalog);
  EXPECT_EQ(catalog->KnownNames(),
            "CordonNode, DeletePod, DrainNode, PatchConfigMap, PatchSecret, RestartDeployment, "
            "RolloutStatus, ScaleDeployment, UncordonNode, UpdateImage");
  EXPECT_EQ(catalog->List().size(), 10u);
  EXPECT_EQ(catalog->Find("ScaleDeployment")->name, "ScaleDeployment");
}

TEST_F(CatalogTest, AFileMoreIsAnActionMore) {
  Write("a.yaml", ScaleDeploymentYaml());
  Write("b.yaml", Edited("name: ScaleDeployment", "name: ScaleAgain"));
  Write("notes.txt", "not read");

  EXPECT_EQ(Catalog::Load(directory_)->KnownNames(), "ScaleAgain, ScaleDeployment");
}

TEST_F(CatalogTest, S2_7_AnUnknownOrEmptyActionListsTheKnownOnes) {
  Write("a.yaml", ScaleDeploymentYaml());
  Catalog catalog = *Catalog::Load(directory_);

  EXPECT_EQ(catalog.Find("DropTables"), nullptr);
  EXPECT_THAT(catalog.Require("DropTables").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "action: got \"DropTables\", want one of: ScaleDeployment"));
  EXPECT_THAT(catalog.Require("").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "action: got \"\", want one of: ScaleDeployment"));
}

TEST_F(CatalogTest, RefusesANameDefinedTwice) {
  Write("a.yaml", ScaleDeploymentYaml());
  Write("b.yaml", ScaleDeploymentYaml());

  EXPECT_THAT(
      Catalog::Load(directory_).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, "action \"ScaleDeployment\" is defined twice"));
}

TEST_F(CatalogTest, NamesEveryBadFile) {
  Write("a.yaml", "name: [");
  Write("b.yaml", "nothing: here");
  Write("c.yaml", "");

  EXPECT_THAT(Catalog::Load(directory_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("/a.yaml:"), HasSubstr("/b.yaml:"), HasSubstr("/c.yaml:"))));
}

TEST_F(CatalogTest, RefusesADirectoryWithoutActions) {
  EXPECT_THAT(Catalog::Load(directory_).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no *.yaml")));
  EXPECT_THAT(Catalog::Load(directory_ + "/none").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("No such file")));
}

TEST_F(CatalogTest, RefusesARollbackThatCouldNotRun) {
  Write("a.yaml", Edited("  action: ScaleDeployment", "  action: Undo"));
  EXPECT_THAT(
      Catalog::Load(directory_).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rollback.action: got \"Undo\"")));

  Write("a.yaml", Edited("    replicas: ${captured", "    copies: ${captured"));
  EXPECT_THAT(
      Catalog::Load(directory_).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rollback.parameters.copies")));

  Write("a.yaml", Edited("    namespace: ${parameters.namespace}\n    replicas", "    replicas"));
  EXPECT_THAT(Catalog::Load(directory_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("rollback.parameters.namespace: missing")));
}

TEST_F(CatalogTest, RefusesARollbackThatDoesNotChoose) {
  ActionDefinition action = Shipped("PatchSecret");
  action.rollback->parameters.erase("restore_from");

  EXPECT_THAT(Catalog::Make({action}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "PatchSecret: rollback.parameters: want exactly one of patch_secret, "
                       "restore_from"));
}

}  // namespace
}  // namespace capstan::catalog
