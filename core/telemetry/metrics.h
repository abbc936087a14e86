// Metrics in Prometheus' sense. A MetricsRegistry is made once by main.cc (or a test); each
// subsystem has one struct of handles (ServerMetrics, StoreMetrics, WorkerMetrics) made from it. A
// name is declared in exactly one of those structs and listed in tests/golden/metrics.txt.
//
// Names: prefix capstan_, base units, _total for counters; labels are few and their values come
// from small closed sets, never ids, free text or namespaces. Series are made at 0 where their
// values are known, so that rates are right from the first increment.
//
// Handles are pointers: copy them freely; they are valid as long as the registry. Everything here
// is thread-safe.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace capstan::telemetry {

class MetricsRegistry;

// Only grows. Costs one atomic addition.
class Counter {
 public:
  void Increment(double by = 1) const;
  double Value() const;

 private:
  friend class CounterFamily;
  explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
  prometheus::Counter* counter_;
};

// Goes up and down. Costs one atomic operation.
class Gauge {
 public:
  void Set(double value) const;
  void Increment(double by = 1) const;
  void Decrement(double by = 1) const;
  double Value() const;

 private:
  friend class GaugeFamily;
  explicit Gauge(prometheus::Gauge& gauge) : gauge_(&gauge) {}
  prometheus::Gauge* gauge_;
};

// Counts observations in buckets. Costs a search in a short list and two atomic additions.
class Histogram {
 public:
  void Observe(double value) const;
  void Observe(absl::Duration duration) const;
  double Count() const;

 private:
  friend class HistogramFamily;
  explicit Histogram(prometheus::Histogram& histogram) : histogram_(&histogram) {}
  prometheus::Histogram* histogram_;
};

// Bucket bounds. Seconds for waits on a database or a cluster, of Jobs, and counts of things
// gathered in one flush.
absl::Span<const double> ShortSeconds();  // 0.5 ms … 10 s
absl::Span<const double> LongSeconds();   // 0.5 s … 2 h
absl::Span<const double> Counts();        // 1 … 4096

// The handles of one name with labels. With() looks the values up under a reader lock (about 100
// ns) and makes the series at 0 when it is new: keep the handle where every microsecond counts. The
// number of values must be the number of label names, otherwise the process ends (CAPSTAN_CHECK).
class CounterFamily {
 public:
  Counter With(std::initializer_list<std::string_view> label_values) const;

 private:
  friend class MetricsRegistry;
  class State;
  explicit CounterFamily(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class GaugeFamily {
 public:
  Gauge With(std::initializer_list<std::string_view> label_values) const;

 private:
  friend class MetricsRegistry;
  class State;
  explicit GaugeFamily(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

class HistogramFamily {
 public:
  Histogram With(std::initializer_list<std::string_view> label_values) const;

 private:
  friend class MetricsRegistry;
  class State;
  explicit HistogramFamily(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// A gauge that is always 1 and says something in its label, such as the digest of the policies in
// use. At most one series exists: setting another value removes the one before.
class InfoMetric {
 public:
  void Set(std::string_view label_value) const;

 private:
  friend class MetricsRegistry;
  class State;
  explicit InfoMetric(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

// What a name means, for the golden list and for documentation.
struct MetricDescription {
  std::string name;
  std::string type;  // counter, gauge or histogram
  std::vector<std::string> labels;
  std::string help;
};

class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // Declaring a name twice ends the process (CAPSTAN_CHECK): it is a bug in wiring.
  Counter AddCounter(std::string_view name, std::string_view help);
  Gauge AddGauge(std::string_view name, std::string_view help);
  Histogram AddHistogram(std::string_view name, std::string_view help,
                         absl::Span<const double> bounds);
  CounterFamily AddCounterFamily(std::string_view name, std::string_view help,
                                 std::vector<std::string> labels);
  GaugeFamily AddGaugeFamily(std::string_view name, std::string_view help,
                             std::vector<std::string> labels);
  HistogramFamily AddHistogramFamily(std::string_view name, std::string_view help,
                                     std::vector<std::string> labels,
                                     absl::Span<const double> bounds);
  InfoMetric AddInfo(std::string_view name, std::string_view help, std::string label);

  // The present values in Prometheus' text format: what /metrics answers.
  std::string Text() const;

  // Every declared name, sorted.
  std::vector<MetricDescription> Describe() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Exports capstan_build_info{version}.
void ExportBuildInfo(MetricsRegistry& registry, std::string_view version);

}  // namespace capstan::telemetry
