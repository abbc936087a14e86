# As many pods are ready as were asked for: no fewer, and none left over.
package capstan.conditions.desired_replicas_running

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d pods are ready", [input.parameters.replicas]), "missing": []} if {
	input.facts.workload.ready_pods == input.parameters.replicas
} else := {"passed": false, "message": sprintf("%d pods are ready, %d were asked for", [input.facts.workload.ready_pods, input.parameters.replicas]), "missing": []}

missing := [path |
	some path in ["parameters.replicas", "facts.workload.ready_pods"]
	not is_number(object.get(input, split(path, "."), null))
]
