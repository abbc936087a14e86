# The node is ready.
package capstan.conditions.node_ready

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the node is ready", "missing": []} if {
	input.facts.node.ready
} else := {"passed": false, "message": "the node is not ready", "missing": []}

missing := [path |
	some path in ["facts.node.ready"]
	not is_boolean(object.get(input, split(path, "."), null))
]
