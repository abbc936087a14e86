# The other nodes have room for all that is requested now. What is on which node is not known, so nodes count as equal:
# without the target there is the share other/all of what the schedulable nodes have.
package capstan.conditions.capacity_elsewhere

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the other nodes have room", "missing": []} if {
	fits("cpu_milli")
	fits("memory_bytes")
} else := {"passed": false, "message": sprintf("the %d other nodes have too little room", [input.facts.cluster.other_schedulable_nodes]), "missing": []}

missing := [path |
	some path in ["facts.cluster.schedulable_nodes", "facts.cluster.other_schedulable_nodes", "facts.cluster.allocatable.cpu_milli", "facts.cluster.allocatable.memory_bytes", "facts.cluster.requested.cpu_milli", "facts.cluster.requested.memory_bytes"]
	not is_number(object.get(input, split(path, "."), null))
]

fits(resource) if {
	cluster := input.facts.cluster
	cluster.requested[resource] * cluster.schedulable_nodes <= cluster.allocatable[resource] * cluster.other_schedulable_nodes
}
