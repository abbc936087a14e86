#include "core/telemetry/tracing_settings.h"

#include <opentelemetry/sdk/trace/sampler.h>
#include <opentelemetry/sdk/trace/samplers/parent_factory.h>
#include <opentelemetry/sdk/trace/samplers/trace_id_ratio_factory.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/status_macros.h"

namespace capstan::telemetry {
namespace {

struct SamplerName {
  const char* name;
  bool follow_parent;
  double ratio;
  bool takes_ratio;
};

constexpr SamplerName kSamplers[] = {
    {"always_on", false, 1, false},
    {"always_off", false, 0, false},
    {"traceidratio", false, 1, true},
    {"parentbased_always_on", true, 1, false},
    {"parentbased_always_off", true, 0, false},
    {"parentbased_traceidratio", true, 1, true},
};

absl::Status Want(const std::string& name, const std::string& got, const std::string& want) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": got \"", got, "\", want ", want));
}

// Reads OTEL_ variables; an empty one counts as not set, as OpenTelemetry asks.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  std::string Get(const std::string& name) const { return environment_(name).value_or(""); }

  bool IsSet(const std::string& name) const { return !Get(name).empty(); }

  absl::Status GetCount(const std::string& name, size_t* value) const {
    const std::string text = Get(name);
    uint32_t number = 0;
    if (text.empty()) return absl::OkStatus();
    if (!absl::SimpleAtoi(text, &number) || number == 0) {
      return Want(name, text, "a whole number above 0");
    }
    *value = number;
    return absl::OkStatus();
  }

 private:
  const Environment& environment_;
};

absl::Status ReadSampler(const Variables& variables, TracingSettings& settings) {
  const std::string name = variables.Get("OTEL_TRACES_SAMPLER");
  if (name.empty()) return absl::OkStatus();
  const auto* sampler = std::find_if(std::begin(kSamplers), std::end(kSamplers),
                                     [&](const SamplerName& known) { return known.name == name; });
  if (sampler == std::end(kSamplers)) {
    return Want("OTEL_TRACES_SAMPLER", name,
                "always_on, always_off, traceidratio, or one of them after parentbased_");
  }
  settings.follow_parent = sampler->follow_parent;
  settings.ratio = sampler->ratio;
  const std::string argument = variables.Get("OTEL_TRACES_SAMPLER_ARG");
  if (!sampler->takes_ratio || argument.empty()) return absl::OkStatus();
  if (!absl::SimpleAtod(argument, &settings.ratio) ||
      !(settings.ratio >= 0 && settings.ratio <= 1)) {
    return Want("OTEL_TRACES_SAMPLER_ARG", argument, "a number from 0 to 1");
  }
  return absl::OkStatus();
}

absl::Status ReadBatching(const Variables& variables, TracingSettings& settings) {
  size_t delay_ms = absl::ToInt64Milliseconds(settings.schedule_delay);
  CAPSTAN_RETURN_IF_ERROR(variables.GetCount("OTEL_BSP_SCHEDULE_DELAY", &delay_ms));
  CAPSTAN_RETURN_IF_ERROR(variables.GetCount("OTEL_BSP_MAX_QUEUE_SIZE", &settings.max_queue_size));
  CAPSTAN_RETURN_IF_ERROR(
      variables.GetCount("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &settings.max_export_batch_size));
  settings.schedule_delay = absl::Milliseconds(delay_ms);
  settings.max_export_batch_size =
      std::min(settings.max_export_batch_size, settings.max_queue_size);
  return absl::OkStatus();
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

absl::StatusOr<TracingSettings> ReadTracingSettings(const TracingOptions& options,
                                                    const Environment& environment) {
  const Variables variables(environment);
  TracingSettings settings;
  if (!(options.sample_ratio >= 0 && options.sample_ratio <= 1)) {
    return Want("tracing.sample_ratio", absl::StrCat(options.sample_ratio), "a number from 0 to 1");
  }
  settings.ratio = options.sample_ratio;
  settings.otlp_endpoint = options.otlp_endpoint;

  const std::string exporter = variables.Get("OTEL_TRACES_EXPORTER");
  if (!exporter.empty() && exporter != "otlp" && exporter != "none") {
    return Want("OTEL_TRACES_EXPORTER", exporter, "otlp or none");
  }
  const bool has_endpoint = !options.otlp_endpoint.empty() ||
                            variables.IsSet("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") ||
                            variables.IsSet("OTEL_EXPORTER_OTLP_ENDPOINT");
  const bool disabled =
      absl::AsciiStrToLower(variables.Get("OTEL_SDK_DISABLED")) == "true" || exporter == "none";
  settings.enabled = has_endpoint && !disabled;
  settings.export_timeout_from_environment = variables.IsSet("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") ||
                                             variables.IsSet("OTEL_EXPORTER_OTLP_TIMEOUT");
  CAPSTAN_RETURN_IF_ERROR(ReadSampler(variables, settings));
  CAPSTAN_RETURN_IF_ERROR(ReadBatching(variables, settings));

  if (!variables.IsSet("OTEL_SERVICE_NAME"))
    settings.resource["service.name"] = options.service_name;
  settings.resource["service.version"] = options.service_version;
  if (!options.instance_id.empty()) settings.resource["service.instance.id"] = options.instance_id;
  return settings;
}

std::unique_ptr<opentelemetry::sdk::trace::Sampler> MakeSampler(const TracingSettings& settings) {
  namespace sdk = ::opentelemetry::sdk::trace;
  auto ratio = sdk::TraceIdRatioBasedSamplerFactory::Create(settings.ratio);
  if (!settings.follow_parent) return ratio;
  return sdk::ParentBasedSamplerFactory::Create(std::shared_ptr<sdk::Sampler>(std::move(ratio)));
}

}  // namespace capstan::telemetry
