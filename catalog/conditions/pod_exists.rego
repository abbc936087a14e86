# The Pod of the action is there.
package capstan.conditions.pod_exists

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the Pod exists", "missing": []} if {
	input.facts.pod.found
} else := {"passed": false, "message": sprintf("Pod %s does not exist", [object.get(input, ["target_resource", "name"], "the target")]), "missing": []}

missing := [path |
	some path in ["facts.pod.found"]
	not is_boolean(object.get(input, split(path, "."), null))
]
