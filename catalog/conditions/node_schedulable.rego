# The node takes new pods.
package capstan.conditions.node_schedulable

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the node takes new pods", "missing": []} if {
	not input.facts.node.unschedulable
} else := {"passed": false, "message": "the node takes no new pods", "missing": []}

missing := [path |
	some path in ["facts.node.unschedulable"]
	not is_boolean(object.get(input, split(path, "."), null))
]
