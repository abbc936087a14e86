# Another node is ready and takes pods.
package capstan.conditions.other_nodes_schedulable

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d other nodes take pods", [input.facts.cluster.other_schedulable_nodes]), "missing": []} if {
	input.facts.cluster.other_schedulable_nodes > 0
} else := {"passed": false, "message": "no other node takes pods", "missing": []}

missing := [path |
	some path in ["facts.cluster.other_schedulable_nodes"]
	not is_number(object.get(input, split(path, "."), null))
]
