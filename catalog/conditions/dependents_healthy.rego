# The pods that depend on what was changed are up. Of a ConfigMap the workload fact is the pods of its namespace that use
# it; when there are none, nothing depends on it.
package capstan.conditions.dependents_healthy

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "all pods are ready", "missing": []} if {
	input.facts.workload.crash_looping == 0
	input.facts.workload.ready_pods == input.facts.workload.running_pods
} else := {"passed": false, "message": sprintf("%d of %d pods are ready, %d crash again and again", [input.facts.workload.ready_pods, input.facts.workload.running_pods, input.facts.workload.crash_looping]), "missing": []}

missing := [path |
	some path in ["facts.workload.crash_looping", "facts.workload.ready_pods", "facts.workload.running_pods"]
	not is_number(object.get(input, split(path, "."), null))
]
