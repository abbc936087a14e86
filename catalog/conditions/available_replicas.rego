# The Deployment has an available replica, or wants none.
package capstan.conditions.available_replicas

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d replicas are available", [input.facts.deployment.status.available_replicas]), "missing": []} if {
	some_available
} else := {"passed": false, "message": "no replica is available", "missing": []}

missing := [path |
	some path in ["facts.deployment.replicas", "facts.deployment.status.available_replicas"]
	not is_number(object.get(input, split(path, "."), null))
]

some_available if input.facts.deployment.status.available_replicas > 0

some_available if input.facts.deployment.replicas == 0
