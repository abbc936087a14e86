# The Deployment has a container of the name that the action was given.
package capstan.conditions.container_exists

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the container exists", "missing": []} if {
	some container in input.facts.deployment.containers
	container.name == input.parameters.container
} else := {"passed": false, "message": sprintf("no container is named %v", [object.get(input, ["parameters", "container"], "(none)")]), "missing": []}

missing := [path |
	some path in ["facts.deployment.containers"]
	not is_array(object.get(input, split(path, "."), null))
]
