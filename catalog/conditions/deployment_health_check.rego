# The controller has seen the change and reports the Deployment as available, without a stuck rollout and without replicas
# that cannot be made. A Deployment without a progress deadline has no Progressing condition: none is as good as True.
package capstan.conditions.deployment_health_check

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the Deployment is healthy", "missing": []} if {
	input.facts.deployment.status.observed_generation >= input.facts.deployment.generation
	status_of("Available") == "True"
	not status_of("Progressing") == "False"
	not status_of("ReplicaFailure") == "True"
} else := {"passed": false, "message": sprintf("generation %v of %v is observed; Available: %s, Progressing: %s, ReplicaFailure: %s", [input.facts.deployment.status.observed_generation, input.facts.deployment.generation, status_of("Available"), status_of("Progressing"), status_of("ReplicaFailure")]), "missing": []}

missing := [path |
	some path in ["facts.deployment.generation", "facts.deployment.status.observed_generation", "facts.deployment.conditions"]
	object.get(input, split(path, "."), null) == null
]

status_of(type) := concat(",", [condition.status |
	some condition in input.facts.deployment.conditions
	condition.type == type
])
