# The node takes no new pods.
package capstan.conditions.node_unschedulable

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the node takes no new pods", "missing": []} if {
	input.facts.node.unschedulable
} else := {"passed": false, "message": "the node still takes new pods", "missing": []}

missing := [path |
	some path in ["facts.node.unschedulable"]
	not is_boolean(object.get(input, split(path, "."), null))
]
