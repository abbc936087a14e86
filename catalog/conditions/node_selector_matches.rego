# A ready node fits the node selector of the pods.
package capstan.conditions.node_selector_matches

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d ready nodes fit", [input.facts.workload.ready_matching_nodes]), "missing": []} if {
	input.facts.workload.ready_matching_nodes > 0
} else := {"passed": false, "message": sprintf("%d nodes fit the node selector, none of them is ready", [input.facts.workload.matching_nodes]), "missing": []}

missing := [path |
	some path in ["facts.workload.matching_nodes", "facts.workload.ready_matching_nodes"]
	not is_number(object.get(input, split(path, "."), null))
]
