// Messages of the API as a server would send them, for one ScaleDeployment.
#pragma once

#include <google/protobuf/text_format.h>

#include <string>
#include <vector>

#include "capstan/v1/admin_service.pb.h"
#include "capstan/v1/catalog_service.pb.h"
#include "capstan/v1/execution_service.pb.h"
#include "core/projection.h"
#include "core/status_macros.h"

namespace capstan::cli {

inline constexpr char kName[] = "executions/01932b5c-7d1e-7f00-8a00-0123456789ab";
inline constexpr int64_t kCreated = 1'800'000'000;  // 2027-01-15T08:00:00Z

template <class Message>
Message Parse(const std::string& text) {
  Message message;
  CAPSTAN_CHECK(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

// Event number `seq`, stored `seq` seconds after the first.
inline v1::ExecutionEvent Event(int64_t seq, const std::string& payload) {
  auto event = Parse<v1::ExecutionEvent>(payload);
  event.set_execution(kName);
  event.set_seq(seq);
  event.mutable_time()->set_seconds(kCreated + seq - 1);
  return event;
}

inline v1::ExecutionEvent Accepted() {
  return Event(
      1, R"pb(accepted {
                action: "ScaleDeployment"
                parameters {
                  fields {
                    key: "deployment"
                    value { string_value: "web" }
                  }
                  fields {
                    key: "namespace"
                    value { string_value: "shop" }
                  }
                  fields {
                    key: "replicas"
                    value { number_value: 3 }
                  }
                }
                target { api_version: "apps/v1" kind: "Deployment" namespace: "shop" name: "web" }
              })pb");
}

inline v1::ExecutionEvent Validating() {
  return Event(2, "state_changed { from: STATE_PENDING to: STATE_VALIDATING attempt: 1 }");
}

// The events of a run that worked.
inline std::vector<v1::ExecutionEvent> GoodEvents() {
  return {
      Accepted(),
      Validating(),
      Event(3, R"pb(policy_evaluated {
                      decision { allow: true }
                      target_uid: "u1"
                    })pb"),
      Event(4, R"pb(artifact_stored {
                      artifact: "rollback"
                      digest: "abc"
                      rollback {
                        action: "ScaleDeployment"
                        parameters {
                          fields {
                            key: "deployment"
                            value { string_value: "web" }
                          }
                          fields {
                            key: "namespace"
                            value { string_value: "shop" }
                          }
                          fields {
                            key: "replicas"
                            value { number_value: 1 }
                          }
                        }
                      }
                    })pb"),
      Event(
          5,
          R"pb(job_created { job { namespace: "capstan-actions" name: "capstan-1" uid: "u2" } })pb"),
      Event(6, "state_changed { from: STATE_VALIDATING to: STATE_RUNNING }"),
      Event(7, "job_armed {}"),
      Event(8, "job_finished { succeeded: true exit_code: 0 }"),
      Event(9, R"pb(state_changed {
                      from: STATE_RUNNING
                      to: STATE_SUCCEEDED
                      message: "done"
                      outcome {
                        effect: EFFECT_APPLIED
                        resources {
                          target { kind: "Deployment" namespace: "shop" name: "web" }
                          before {
                            fields {
                              key: "replicas"
                              value { number_value: 1 }
                            }
                          }
                          after {
                            fields {
                              key: "replicas"
                              value { number_value: 3 }
                            }
                          }
                        }
                      }
                    })pb"),
  };
}

// The events of a run that ended at once, by this StateChanged.
inline std::vector<v1::ExecutionEvent> EndedEvents(const std::string& state_changed) {
  return {Accepted(), Validating(), Event(3, "state_changed { " + state_changed + " }")};
}

inline std::vector<v1::ExecutionEvent> DeniedEvents() {
  return {
      Accepted(),
      Validating(),
      Event(3, R"pb(policy_evaluated {
                      decision {
                        allow: false
                        violations {
                          id: "namespace-restrictions/system"
                          message: "kube-system is off limits"
                        }
                      }
                    })pb"),
      Event(4, R"pb(state_changed {
                      from: STATE_VALIDATING
                      to: STATE_FAILED
                      failure_reason: FAILURE_REASON_POLICY_DENIED
                      message: "policy denied it"
                      outcome { effect: EFFECT_NONE exit_code: -1 }
                    })pb"),
  };
}

inline v1::ExecutionUpdate Update(const v1::ExecutionEvent& event) {
  v1::ExecutionUpdate update;
  *update.mutable_event() = event;
  return update;
}

inline v1::ExecutionUpdate Snapshot(const std::vector<v1::ExecutionEvent>& events) {
  v1::ExecutionUpdate update;
  *update.mutable_snapshot() = Project(events);
  return update;
}

// A whole stream: the snapshot after the first event, then events after `after_seq` up to
// `last_seq`.
inline std::vector<v1::ExecutionUpdate> Stream(const std::vector<v1::ExecutionEvent>& events,
                                               int64_t after_seq = 0, int64_t last_seq = 1000) {
  std::vector<v1::ExecutionUpdate> updates = {Snapshot({events.front()})};
  for (const v1::ExecutionEvent& event : events) {
    if (event.seq() > after_seq && event.seq() <= last_seq) updates.push_back(Update(event));
  }
  return updates;
}

inline v1::Action ScaleDeploymentAction() {
  return Parse<v1::Action>(R"pb(
    name: "actions/ScaleDeployment"
    action: "ScaleDeployment"
    description: "Sets the number of replicas."
    effect_class: EFFECT_CLASS_REVERSIBLE
    parameters {
      name: "deployment"
      type: "string"
      format: "dns_subdomain"
      required: true
      description: "Which."
    }
    parameters {
      name: "namespace"
      type: "string"
      format: "dns_label"
      required: true
      description: "Where."
    }
    parameters {
      name: "replicas"
      type: "integer"
      required: true
      minimum: 0
      maximum: 1000
      description: "How many."
    }
    parameters {
      name: "force"
      type: "boolean"
      default_value { bool_value: false }
      description: "Really."
    }
    target_kind: "Deployment"
    service_account: "kubernetes-executor-scale-deployment"
    default_timeout { seconds: 300 }
    max_timeout { seconds: 900 }
    digest: "abc")pb");
}

}  // namespace capstan::cli
