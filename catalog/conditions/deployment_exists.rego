# The Deployment of the action is there.
package capstan.conditions.deployment_exists

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the Deployment exists", "missing": []} if {
	input.facts.deployment.found
} else := {"passed": false, "message": sprintf("Deployment %s does not exist", [object.get(input, ["target_resource", "name"], "the target")]), "missing": []}

missing := [path |
	some path in ["facts.deployment.found"]
	not is_boolean(object.get(input, split(path, "."), null))
]
