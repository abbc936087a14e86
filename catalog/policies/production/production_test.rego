package capstan.safety.rules.production_test

import data.capstan.safety.rules.production
import rego.v1

night := "2026-01-31T20:00:00+00:00"

noon := "2026-01-31T12:00:00+00:00"

# Everything is in order.
request(action, parameters) := {
	"action": action,
	"parameters": parameters,
	"caller": "alice",
	"dry_run": false,
	"environment": "production",
	"evaluation_time": night,
	"target_resource": {"kind": "Deployment", "name": "web", "namespace": "shop", "labels": {"app": "web"}},
	"prior_dry_run": true,
	"rate_limit_state": {"count": 0, "max_count": 10, "window_seconds": 60},
	"running_actions": [],
}

critical := {"target_resource": {"labels": {"critical": "true"}}}

approved(approvers) := {"approval": {"approved": true, "approvers": approvers}}

at(time) := {"evaluation_time": time}

ids(request_input) := {violation.id |
	some violation in production.violations with input as request_input
}

changed(action, change) := ids(object.union(request(action, {}), change))

without(action, field) := ids(object.remove(request(action, {}), [field]))

test_an_ordinary_action_is_allowed if {
	ids(request("RestartDeployment", {})) == set()
}

test_elsewhere_nothing_is_stricter if {
	ids({"action": "DrainNode"}) == set()
	ids({"action": "DrainNode", "environment": "staging"}) == set()
	production.obligations == set() with input as {"action": "UpdateImage", "environment": "staging"}
}

test_an_environment_that_is_not_a_text_is_denied if {
	ids({"environment": ["production"]}) == {"production/bad-environment"}
}

test_a_drain_is_denied if {
	changed("DrainNode", {}) == {"production/forbidden-action"}
}

test_a_drain_is_denied_with_an_override_too if {
	changed("DrainNode", approved(["bob", "carol"])) == {"production/forbidden-action"}
}

test_a_destructive_action_at_night_is_allowed if {
	changed("DeletePod", {}) == set()
}

test_a_destructive_action_at_noon_is_denied if {
	changed("DeletePod", at(noon)) == {"production/business-hours"}
}

test_the_hours_begin_at_nine if {
	changed("DeletePod", at("2026-01-31T08:59:59+00:00")) == set()
	changed("DeletePod", at("2026-01-31T09:00:00+00:00")) == {"production/business-hours"}
}

test_the_hours_end_at_seventeen if {
	changed("DeletePod", at("2026-01-31T16:59:59+00:00")) == {"production/business-hours"}
	changed("DeletePod", at("2026-01-31T17:00:00+00:00")) == set()
}

test_the_hours_are_those_of_utc if {
	changed("DeletePod", at("2026-01-31T18:30:00+02:00")) == {"production/business-hours"}
	changed("DeletePod", at("2026-01-31T10:30:00+02:00")) == set()
}

test_an_unknown_time_is_denied if {
	without("DeletePod", "evaluation_time") == {"production/business-hours"}
	changed("DeletePod", {"evaluation_time": 0}) == {"production/business-hours"}
}

test_an_override_is_allowed_at_noon if {
	changed("DeletePod", object.union(at(noon), approved(["bob"]))) == set()
}

test_the_caller_is_no_override if {
	changed("DeletePod", object.union(at(noon), approved(["alice"]))) == {"production/business-hours"}
}

test_an_approval_without_approvers_is_no_override if {
	changed("DeletePod", object.union(at(noon), approved([]))) == {"production/business-hours"}
	changed("DeletePod", object.union(at(noon), approved([""]))) == {"production/business-hours"}
	changed("DeletePod", object.union(at(noon), {"approval": {"approved": true}})) == {"production/business-hours"}
}

test_a_refusal_is_no_override if {
	refused := {"approval": {"approved": false, "approvers": ["bob"]}}
	changed("DeletePod", object.union(at(noon), refused)) == {"production/business-hours"}
}

test_a_parameter_of_the_caller_is_no_override if {
	claimed := {"parameters": {"emergency": true, "approval": {"approved": true, "approvers": ["bob"]}}}
	changed("DeletePod", object.union(at(noon), claimed)) == {"production/business-hours"}
}

test_another_action_at_noon_is_allowed if {
	changed("RestartDeployment", at(noon)) == set()
}

test_twenty_replicas_are_allowed if {
	ids(request("ScaleDeployment", {"replicas": 20})) == set()
}

test_more_replicas_are_denied if {
	ids(request("ScaleDeployment", {"replicas": 21})) == {"production/too-many-replicas"}
}

test_a_critical_workload_may_have_three_replicas if {
	ids(object.union(request("ScaleDeployment", {"replicas": 3}), critical)) == set()
}

test_a_critical_workload_with_two_replicas_is_denied if {
	ids(object.union(request("ScaleDeployment", {"replicas": 2}), critical)) == {"production/critical-too-small"}
}

test_an_ordinary_workload_may_have_two_replicas if {
	ids(request("ScaleDeployment", {"replicas": 2})) == set()
}

test_unknown_labels_count_as_critical if {
	ids(object.union(request("ScaleDeployment", {"replicas": 2}), {"target_resource": "web"})) == {"production/critical-too-small"}
}

test_a_risky_action_without_a_dry_run_is_denied if {
	every action in ["DeletePod", "UpdateImage", "PatchConfigMap", "PatchSecret"] {
		changed(action, {"prior_dry_run": false}) == {"production/no-dry-run"}
		without(action, "prior_dry_run") == {"production/no-dry-run"}
	}
}

test_the_dry_run_itself_needs_none if {
	changed("DeletePod", {"prior_dry_run": false, "dry_run": true}) == set()
}

test_other_actions_need_no_dry_run if {
	changed("RestartDeployment", {"prior_dry_run": false}) == set()
}

test_one_below_the_rate_limit_is_allowed if {
	changed("RestartDeployment", {"rate_limit_state": {"count": 9}}) == set()
}

test_the_rate_limit_is_denied if {
	changed("RestartDeployment", {"rate_limit_state": {"count": 10}}) == {"production/rate-limit"}
}

test_an_unknown_rate_is_denied if {
	without("RestartDeployment", "rate_limit_state") == {"production/unknown-rate"}
	changed("RestartDeployment", {"rate_limit_state": {"count": "0"}}) == {"production/unknown-rate"}
	changed("RestartDeployment", {"rate_limit_state": {"max_count": null}}) == {"production/unknown-rate"}
}

test_a_busy_target_is_denied if {
	changed("RestartDeployment", {"running_actions": [{"action": "ScaleDeployment", "execution_name": "executions/2"}]}) == {"production/target-busy"}
}

test_unknown_running_actions_are_denied if {
	without("RestartDeployment", "running_actions") == {"production/unknown-running-actions"}
	changed("RestartDeployment", {"running_actions": 0}) == {"production/unknown-running-actions"}
}

test_reading_is_neither_limited_nor_alone if {
	ids({"environment": "production", "action": "RolloutStatus"}) == set()
}

quorums(action) := {obligation.quorum |
	some obligation in production.obligations with input as request(action, {})
	obligation.type == "approval"
}

test_image_and_configuration_need_an_approval if {
	every action in ["UpdateImage", "PatchConfigMap", "PatchSecret"] {
		quorums(action) == {1}
	}
}

test_what_cannot_be_undone_needs_two if {
	quorums("DeletePod") == {2}
}

test_other_actions_need_no_approval if {
	quorums("ScaleDeployment") == set()
}
