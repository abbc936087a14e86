# As many replicas are there as the Deployment asks for: nothing else is scaling it just now. What a caller expected to
# find is not a parameter of any action, so the baseline is that of the Deployment.
package capstan.conditions.current_replicas_match

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d replicas", [input.facts.deployment.replicas]), "missing": []} if {
	input.facts.deployment.status.replicas == input.facts.deployment.replicas
} else := {"passed": false, "message": sprintf("%d replicas are there, %d are asked for", [input.facts.deployment.status.replicas, input.facts.deployment.replicas]), "missing": []}

missing := [path |
	some path in ["facts.deployment.replicas", "facts.deployment.status.replicas"]
	not is_number(object.get(input, split(path, "."), null))
]
