#include "core/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace capstan::telemetry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricsTest, CountersBeginAtZeroAndAreExported) {
  MetricsRegistry registry;
  Counter counter = registry.AddCounter("capstan_things_total", "Things.");

  EXPECT_THAT(registry.Text(), HasSubstr("capstan_things_total 0\n"));
  counter.Increment();
  counter.Increment(2);

  EXPECT_EQ(counter.Value(), 3);
  EXPECT_THAT(registry.Text(), HasSubstr("# HELP capstan_things_total Things.\n"
                                         "# TYPE capstan_things_total counter\n"
                                         "capstan_things_total 3\n"));
}

TEST(MetricsTest, GaugesGoUpAndDown) {
  MetricsRegistry registry;
  Gauge gauge = registry.AddGauge("capstan_level", "Level.");

  gauge.Set(5);
  gauge.Increment();
  gauge.Decrement(4);

  EXPECT_EQ(gauge.Value(), 2);
}

TEST(MetricsTest, HistogramsCountDurationsInSeconds) {
  MetricsRegistry registry;
  Histogram histogram = registry.AddHistogram("capstan_wait_seconds", "Wait.", {.1, 1});

  histogram.Observe(absl::Milliseconds(500));
  histogram.Observe(20);

  EXPECT_EQ(histogram.Count(), 2);
  EXPECT_THAT(registry.Text(), HasSubstr("capstan_wait_seconds_bucket{le=\"0.1\"} 0\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("capstan_wait_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("capstan_wait_seconds_sum 20.5\n"));
}

TEST(MetricsTest, SeriesOfTheSameLabelsAreTheSame) {
  MetricsRegistry registry;
  CounterFamily family = registry.AddCounterFamily("capstan_ends_total", "Ends.", {"a", "b"});

  family.With({"x", "y"}).Increment();
  family.With({"x", "y"}).Increment();
  family.With({"xy", ""}).Increment();

  EXPECT_EQ(family.With({"x", "y"}).Value(), 2);
  EXPECT_THAT(registry.Text(), HasSubstr("capstan_ends_total{a=\"x\",b=\"y\"} 2\n"));
}

TEST(MetricsTest, AnInfoMetricShowsOnlyItsLastValue) {
  MetricsRegistry registry;
  InfoMetric info = registry.AddInfo("capstan_thing_info", "Thing.", "digest");

  info.Set("old");
  info.Set("new");
  info.Set("new");

  EXPECT_THAT(registry.Text(), HasSubstr("capstan_thing_info{digest=\"new\"} 1\n"));
  EXPECT_THAT(registry.Text(), Not(HasSubstr("old")));
}

TEST(MetricsTest, ConcurrentLookupsOfANewSeriesLoseNoCount) {
  MetricsRegistry registry;
  CounterFamily family = registry.AddCounterFamily("capstan_ends_total", "Ends.", {"a"});

  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([family] {
        for (int k = 0; k < 1000; ++k) family.With({std::to_string(k % 10)}).Increment();
      });
    }
  }

  EXPECT_EQ(family.With({"3"}).Value(), 400);
}

TEST(MetricsDeathTest, DeclaringANameTwiceEndsTheProcess) {
  MetricsRegistry registry;
  registry.AddCounter("capstan_things_total", "Things.");

  EXPECT_DEATH(registry.AddGauge("capstan_things_total", "Things."), "CHECK failed");
}

TEST(MetricsDeathTest, AWrongNumberOfLabelValuesEndsTheProcess) {
  MetricsRegistry registry;
  CounterFamily family = registry.AddCounterFamily("capstan_ends_total", "Ends.", {"a", "b"});

  EXPECT_DEATH(family.With({"x"}), "CHECK failed");
}

TEST(MetricsTest, DescribesEveryNameOnce) {
  MetricsRegistry registry;
  registry.AddGaugeFamily("capstan_b", "B.", {"queue"});
  registry.AddCounter("capstan_a_total", "A.");

  std::vector<MetricDescription> all = registry.Describe();

  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "capstan_a_total");
  EXPECT_EQ(all[0].type, "counter");
  EXPECT_THAT(all[1].labels, ElementsAre("queue"));
}

TEST(MetricsTest, BuildInfoCarriesTheVersion) {
  MetricsRegistry registry;

  ExportBuildInfo(registry, "1.2.3");

  EXPECT_THAT(registry.Text(), HasSubstr("capstan_build_info{version=\"1.2.3\"} 1\n"));
}

}  // namespace
}  // namespace capstan::telemetry
