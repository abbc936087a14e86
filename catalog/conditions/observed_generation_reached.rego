# The controller has seen the newest version of the Deployment.
package capstan.conditions.observed_generation_reached

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("generation %d is observed", [input.facts.deployment.status.observed_generation]), "missing": []} if {
	input.facts.deployment.status.observed_generation >= input.facts.deployment.generation
} else := {"passed": false, "message": sprintf("generation %d of %d is observed", [input.facts.deployment.status.observed_generation, input.facts.deployment.generation]), "missing": []}

missing := [path |
	some path in ["facts.deployment.generation", "facts.deployment.status.observed_generation"]
	not is_number(object.get(input, split(path, "."), null))
]
