# The schedulable nodes have room for the replicas to add. The room is that of all nodes together: whether it is on one
# node that the pods may use is found out by the scheduler. Scaling down or not at all needs no room.
package capstan.conditions.cluster_capacity_available

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("there is room for %d more", [additional]), "missing": []} if {
	needed.cpu_milli <= input.facts.cluster.free.cpu_milli
	needed.memory_bytes <= input.facts.cluster.free.memory_bytes
} else := {"passed": false, "message": sprintf("%d more need %d mCPU and %d bytes, free are %d mCPU and %d bytes", [additional, needed.cpu_milli, needed.memory_bytes, input.facts.cluster.free.cpu_milli, input.facts.cluster.free.memory_bytes]), "missing": []}

missing := [path |
	some path in ["parameters.replicas", "facts.deployment.replicas", "facts.workload.per_pod.cpu_milli", "facts.workload.per_pod.memory_bytes", "facts.cluster.free.cpu_milli", "facts.cluster.free.memory_bytes"]
	not is_number(object.get(input, split(path, "."), null))
]

additional := max([0, input.parameters.replicas - input.facts.deployment.replicas])

needed := {
	"cpu_milli": additional * input.facts.workload.per_pod.cpu_milli,
	"memory_bytes": additional * input.facts.workload.per_pod.memory_bytes,
}
