#include "worker/phases/model_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/worker/phases/phase_fixture.h"

namespace capstan::phases {
namespace {

using ::capstan::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kGood[] = R"(models:
  - name: big-1
    aliases: [strong]
    prices: {input: 5, output: 25, cache_write: 6.25, cache_read: 0.5}
    context_tokens: 200000
    max_output_tokens: 64000
)";

ModelTable GoodTable() { return ModelTable::Parse("models.yaml", kGood).value(); }

TEST(ModelTableTest, TheShippedTableHasAStrongAndAFastModel) {
  const ModelTable models = ShippedModels();

  ASSERT_NE(models.Find("strong"), nullptr);
  ASSERT_NE(models.Find("fast"), nullptr);
  EXPECT_NE(models.Find("strong"), models.Find("fast"));
}

TEST(ModelTableTest, AModelIsFoundByNameAliasAndDatedName) {
  const ModelTable models = GoodTable();

  ASSERT_NE(models.Find("big-1"), nullptr);
  EXPECT_EQ(models.Find("strong"), models.Find("big-1"));
  EXPECT_EQ(models.Find("big-1-20250929"), models.Find("big-1"));
  EXPECT_EQ(models.Find("big-1-2025092x"), nullptr);
  EXPECT_EQ(models.Find("small"), nullptr);
}

TEST(ModelTableTest, EachKindOfTokenHasItsPriceAndTheCostIsRoundedUp) {
  const Prices prices = GoodTable().Find("big-1")->prices;

  EXPECT_EQ(CostOf(prices, {.model = "", .input_tokens = 1'000'000}), 5'000'000);
  EXPECT_EQ(CostOf(prices, {.model = "", .output_tokens = 1'000'000}), 25'000'000);
  EXPECT_EQ(CostOf(prices, {.model = "", .cache_creation_tokens = 1'000'000}), 6'250'000);
  EXPECT_EQ(CostOf(prices, {.model = "", .cache_read_tokens = 1'000'000}), 500'000);
  EXPECT_EQ(CostOf(prices, {.model = "", .cache_read_tokens = 1}), 1);
}

TEST(ModelTableTest, NoUsageWithinItsBoundsCostsMoreThanTheWorstCase) {
  const ModelTable models = GoodTable();
  const Model& model = *models.Find("big-1");

  const std::int64_t worst = WorstCaseCost(model, 1000, 50);

  EXPECT_EQ(worst, 1000 * 6.25 + 50 * 25);
  EXPECT_GE(worst, CostOf(model.prices,
                          {.model = "", .output_tokens = 50, .cache_creation_tokens = 1000}));
  EXPECT_GE(worst, CostOf(model.prices, {.model = "", .input_tokens = 1000, .output_tokens = 50}));
}

TEST(ModelTableTest, EveryMistakeIsToldWithFileAndLine) {
  absl::StatusOr<ModelTable> models = ModelTable::Parse("m.yaml", R"(models:
  - name: a
    prices: {input: cheap, output: 1, cache_write: 1}
    context_tokens: 10
    max_output_tokens: 20
    colour: red
)");

  EXPECT_THAT(models, StatusIs(absl::StatusCode::kInvalidArgument,
                               AllOf(HasSubstr("m.yaml:3: models[0].prices.input: got cheap"),
                                     HasSubstr("models[0].prices.cache_read: missing"),
                                     HasSubstr("m.yaml:5: models[0].max_output_tokens: got 20"),
                                     HasSubstr("m.yaml:6: models[0].colour: unknown key"))));
}

TEST(ModelTableTest, ANameThatStandsTwiceIsRefused) {
  const std::string twice = std::string(kGood) + R"(  - name: strong
    prices: {input: 5, output: 25, cache_write: 6.25, cache_read: 0.5}
    context_tokens: 200000
    max_output_tokens: 64000
)";

  EXPECT_THAT(ModelTable::Parse("m.yaml", twice),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got strong twice")));
}

TEST(ModelTableTest, TextThatIsNoYamlIsRefusedWithItsLine) {
  EXPECT_THAT(ModelTable::Parse("m.yaml", "models:\n  - {"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("m.yaml:")));
}

}  // namespace
}  // namespace capstan::phases
