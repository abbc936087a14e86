# All replicas are of the newest version and ready, as many as were asked for, and no old one is left.
package capstan.conditions.rollout_complete

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": summary, "missing": []} if {
	status.observed_generation >= input.facts.deployment.generation
	wanted := input.facts.deployment.replicas
	status.updated_replicas == wanted
	status.replicas == wanted
	status.ready_replicas == wanted
	status.available_replicas == wanted
} else := {"passed": false, "message": summary, "missing": []}

missing := [path |
	some path in ["facts.deployment.generation", "facts.deployment.replicas", "facts.deployment.status.observed_generation", "facts.deployment.status.replicas", "facts.deployment.status.updated_replicas", "facts.deployment.status.ready_replicas", "facts.deployment.status.available_replicas"]
	not is_number(object.get(input, split(path, "."), null))
]

status := input.facts.deployment.status

summary := sprintf("of %d replicas %d are updated, %d ready, %d available, %d there; generation %d of %d is observed", [
	input.facts.deployment.replicas,
	status.updated_replicas,
	status.ready_replicas,
	status.available_replicas,
	status.replicas,
	status.observed_generation,
	input.facts.deployment.generation,
])
