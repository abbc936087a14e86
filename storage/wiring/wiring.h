// What both programs do when they put the store together: options from configuration, figures into
// metrics.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "capstan/config/v1/common_config.pb.h"
#include "core/telemetry/store_metrics.h"
#include "storage/observer.h"
#include "storage/options.h"
#include "storage/reader.h"

namespace capstan::storage {

// Reads dsn_file when that is what is configured. Errors as config::ReadDsn.
absl::StatusOr<StoreOptions> OptionsFrom(const config::v1::StoreConfig& config,
                                         std::string application_name);

// `metrics` must outlive every object that is given the observer.
Observer ObserverOf(telemetry::StoreMetrics& metrics);

// Copies what Reader::ReadStats found.
void Export(const Reader::Stats& stats, telemetry::StoreMetrics& metrics);

}  // namespace capstan::storage
