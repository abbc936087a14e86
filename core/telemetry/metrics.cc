#include "core/telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "core/status_macros.h"

namespace capstan::telemetry {
namespace {

// The series of one family by their label values.
template <class T>
class SeriesMap {
 public:
  SeriesMap(prometheus::Family<T>& family, std::vector<std::string> labels,
            std::vector<double> bounds)
      : family_(family), labels_(std::move(labels)), bounds_(std::move(bounds)) {}

  T& Get(std::initializer_list<std::string_view> values) {
    CAPSTAN_CHECK(values.size() == labels_.size());
    std::string key;
    for (std::string_view value : values) key.append(value).push_back('\0');
    {
      absl::ReaderMutexLock lock(&mu_);
      if (auto found = series_.find(key); found != series_.end()) return *found->second;
    }
    prometheus::Labels labels;
    size_t i = 0;
    for (std::string_view value : values) labels[labels_[i++]] = std::string(value);
    T* series;
    if constexpr (std::is_same_v<T, prometheus::Histogram>) {
      series = &family_.Add(labels, bounds_);
    } else {
      series = &family_.Add(labels);
    }
    absl::MutexLock lock(&mu_);
    series_[key] = series;
    return *series;
  }

 private:
  prometheus::Family<T>& family_;
  const std::vector<std::string> labels_;
  const std::vector<double> bounds_;  // histograms only
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, T*> series_ ABSL_GUARDED_BY(mu_);
};

constexpr double kShortSeconds[] = {.0005, .001, .0025, .005, .01, .025, .05,
                                    .1,    .25,  .5,    1,    2.5, 5,    10};
constexpr double kLongSeconds[] = {.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200};
constexpr double kCounts[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

std::vector<double> ToVector(absl::Span<const double> bounds) {
  return std::vector<double>(bounds.begin(), bounds.end());
}

}  // namespace

absl::Span<const double> ShortSeconds() { return kShortSeconds; }
absl::Span<const double> LongSeconds() { return kLongSeconds; }
absl::Span<const double> Counts() { return kCounts; }

void Counter::Increment(double by) const { counter_->Increment(by); }
double Counter::Value() const { return counter_->Value(); }

void Gauge::Set(double value) const { gauge_->Set(value); }
void Gauge::Increment(double by) const { gauge_->Increment(by); }
void Gauge::Decrement(double by) const { gauge_->Decrement(by); }
double Gauge::Value() const { return gauge_->Value(); }

void Histogram::Observe(double value) const { histogram_->Observe(value); }
void Histogram::Observe(absl::Duration duration) const {
  histogram_->Observe(absl::ToDoubleSeconds(duration));
}
double Histogram::Count() const {
  return static_cast<double>(histogram_->Collect().histogram.sample_count);
}

class CounterFamily::State : public SeriesMap<prometheus::Counter> {
 public:
  using SeriesMap::SeriesMap;
};
class GaugeFamily::State : public SeriesMap<prometheus::Gauge> {
 public:
  using SeriesMap::SeriesMap;
};
class HistogramFamily::State : public SeriesMap<prometheus::Histogram> {
 public:
  using SeriesMap::SeriesMap;
};

Counter CounterFamily::With(std::initializer_list<std::string_view> label_values) const {
  return Counter(state_->Get(label_values));
}
Gauge GaugeFamily::With(std::initializer_list<std::string_view> label_values) const {
  return Gauge(state_->Get(label_values));
}
Histogram HistogramFamily::With(std::initializer_list<std::string_view> label_values) const {
  return Histogram(state_->Get(label_values));
}

class InfoMetric::State {
 public:
  State(prometheus::Family<prometheus::Gauge>& family, std::string label)
      : family_(family), label_(std::move(label)) {}

  void Set(std::string_view value) {
    absl::MutexLock lock(&mu_);
    prometheus::Gauge* next = &family_.Add({{label_, std::string(value)}});
    if (next == current_) return;
    next->Set(1);
    if (current_ != nullptr) family_.Remove(current_);
    current_ = next;
  }

 private:
  prometheus::Family<prometheus::Gauge>& family_;
  const std::string label_;
  absl::Mutex mu_;
  prometheus::Gauge* current_ ABSL_GUARDED_BY(mu_) = nullptr;
};

void InfoMetric::Set(std::string_view label_value) const { state_->Set(label_value); }

class MetricsRegistry::Impl {
 public:
  // Builder is one of prometheus::Build….
  template <class Builder>
  auto& Add(Builder builder, MetricDescription description) {
    const std::string name = description.name;
    const std::string help = description.help;
    {
      absl::MutexLock lock(&mu_);
      CAPSTAN_CHECK(descriptions_.emplace(name, std::move(description)).second);
    }
    return builder.Name(name).Help(help).Register(prometheus_);
  }

  std::string Text() const { return prometheus::TextSerializer().Serialize(prometheus_.Collect()); }

  std::vector<MetricDescription> Describe() const {
    absl::MutexLock lock(&mu_);
    std::vector<MetricDescription> all;
    for (const auto& [name, description] : descriptions_) all.push_back(description);
    return all;
  }

 private:
  prometheus::Registry prometheus_;
  mutable absl::Mutex mu_;
  std::map<std::string, MetricDescription> descriptions_ ABSL_GUARDED_BY(mu_);
};

MetricsRegistry::MetricsRegistry() : impl_(std::make_unique<Impl>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter MetricsRegistry::AddCounter(std::string_view name, std::string_view help) {
  return AddCounterFamily(name, help, {}).With({});
}

Gauge MetricsRegistry::AddGauge(std::string_view name, std::string_view help) {
  return AddGaugeFamily(name, help, {}).With({});
}

Histogram MetricsRegistry::AddHistogram(std::string_view name, std::string_view help,
                                        absl::Span<const double> bounds) {
  return AddHistogramFamily(name, help, {}, bounds).With({});
}

CounterFamily MetricsRegistry::AddCounterFamily(std::string_view name, std::string_view help,
                                                std::vector<std::string> labels) {
  auto& family = impl_->Add(prometheus::BuildCounter(),
                            {std::string(name), "counter", labels, std::string(help)});
  return CounterFamily(
      std::make_shared<CounterFamily::State>(family, std::move(labels), std::vector<double>{}));
}

GaugeFamily MetricsRegistry::AddGaugeFamily(std::string_view name, std::string_view help,
                                            std::vector<std::string> labels) {
  auto& family =
      impl_->Add(prometheus::BuildGauge(), {std::string(name), "gauge", labels, std::string(help)});
  return GaugeFamily(
      std::make_shared<GaugeFamily::State>(family, std::move(labels), std::vector<double>{}));
}

HistogramFamily MetricsRegistry::AddHistogramFamily(std::string_view name, std::string_view help,
                                                    std::vector<std::string> labels,
                                                    absl::Span<const double> bounds) {
  auto& family = impl_->Add(prometheus::BuildHistogram(),
                            {std::string(name), "histogram", labels, std::string(help)});
  return HistogramFamily(
      std::make_shared<HistogramFamily::State>(family, std::move(labels), ToVector(bounds)));
}

InfoMetric MetricsRegistry::AddInfo(std::string_view name, std::string_view help,
                                    std::string label) {
  auto& family = impl_->Add(prometheus::BuildGauge(),
                            {std::string(name), "gauge", {label}, std::string(help)});
  return InfoMetric(std::make_shared<InfoMetric::State>(family, std::move(label)));
}

std::string MetricsRegistry::Text() const { return impl_->Text(); }

std::vector<MetricDescription> MetricsRegistry::Describe() const { return impl_->Describe(); }

void ExportBuildInfo(MetricsRegistry& registry, std::string_view version) {
  registry.AddInfo("capstan_build_info", "Always 1; the version of this program.", "version")
      .Set(version);
}

}  // namespace capstan::telemetry
