# What is stricter in production: wherever the worker's configuration says environment "production". The other bundles
# hold there as well. Whatever this bundle needs and is not told is a denial.
#
# An override is an approval that Capstan has recorded for this execution (input.approval), by somebody other than the
# caller. Nothing that a caller writes into a request is one.
package capstan.safety.rules.production

import rego.v1

max_replicas := 20

min_critical_replicas := 3

# Never in production: there is no override.
forbidden := {"DrainNode"}

# Cannot be undone.
destructive := {"DeletePod", "DrainNode"}

# Change what runs: somebody else has to agree.
needs_approval := {"UpdateImage", "PatchConfigMap", "PatchSecret"}

# Must have been tried with dry_run.
risky := destructive | needs_approval

read_only := {"RolloutStatus"}

# Hours (UTC) with people at work, who would notice: from the first, up to and without the second.
business_hours := {"from": 9, "to": 17}

production if input.environment == "production"

changing if {
	production
	not reads
}

reads if input.action in read_only

violations contains {
	"id": "production/bad-environment",
	"message": "environment must be a text",
} if {
	environment := input.environment
	not is_string(environment)
}

violations contains {
	"id": "production/forbidden-action",
	"message": sprintf("%s is not run in production", [input.action]),
} if {
	production
	input.action in forbidden
}

violations contains {
	"id": "production/business-hours",
	"message": sprintf("%s cannot be undone: from %d:00 to %d:00 UTC it needs an override", [input.action, business_hours.from, business_hours.to]),
} if {
	production
	input.action in destructive
	not outside_business_hours
	not overridden
}

violations contains {
	"id": "production/too-many-replicas",
	"message": sprintf("%d replicas are more than the %d allowed in production", [replicas, max_replicas]),
} if {
	production
	replicas := input.parameters.replicas
	is_number(replicas)
	replicas > max_replicas
}

violations contains {
	"id": "production/critical-too-small",
	"message": sprintf("a critical workload keeps %d replicas or more in production", [min_critical_replicas]),
} if {
	production
	replicas := input.parameters.replicas
	is_number(replicas)
	replicas < min_critical_replicas
	not ordinary
}

violations contains {
	"id": "production/no-dry-run",
	"message": sprintf("%s needs a successful dry run of the same request first", [input.action]),
} if {
	production
	input.action in risky
	not tried
}

violations contains {
	"id": "production/rate-limit",
	"message": sprintf("%v actions in this namespace within %v seconds: the limit is %v", [state.count, object.get(state, "window_seconds", "?"), state.max_count]),
} if {
	changing
	rate_known
	state := input.rate_limit_state
	state.count >= state.max_count
}

violations contains {
	"id": "production/unknown-rate",
	"message": "how many actions ran in this namespace is not known",
} if {
	changing
	not rate_known
}

violations contains {
	"id": "production/target-busy",
	"message": sprintf("%d other actions run on this target", [count(input.running_actions)]),
} if {
	changing
	running_known
	count(input.running_actions) > 0
}

violations contains {
	"id": "production/unknown-running-actions",
	"message": "which other actions run on this target is not known",
} if {
	changing
	not running_known
}

obligations contains {
	"type": "approval",
	"quorum": 1,
	"groups": [],
	"timeout_seconds": 3600,
	"reason": sprintf("%s in production", [input.action]),
} if {
	production
	input.action in needs_approval
}

# This is how an override comes to be: asked for before the hours begin, it holds when they have.
obligations contains {
	"type": "approval",
	"quorum": 2,
	"groups": [],
	"timeout_seconds": 3600,
	"reason": sprintf("%s in production cannot be undone", [input.action]),
} if {
	production
	input.action in destructive
}

outside_business_hours if hour < business_hours.from

outside_business_hours if hour >= business_hours.to

hour := time.clock(time.parse_rfc3339_ns(input.evaluation_time))[0] if is_string(input.evaluation_time)

overridden if {
	input.approval.approved == true
	some approver in input.approval.approvers
	is_string(approver)
	approver != ""
	approver != input.caller
}

# Labels that are not known may hold the label.
ordinary if {
	is_object(input.target_resource.labels)
	object.get(input.target_resource.labels, "critical", "false") != "true"
}

tried if input.dry_run == true

tried if input.prior_dry_run == true

rate_known if {
	is_number(input.rate_limit_state.count)
	is_number(input.rate_limit_state.max_count)
}

running_known if is_array(input.running_actions)
