# No pod of the workload ran out of memory. Throttling is not judged: it is a metric of the nodes, which the worker does
# not read.
package capstan.conditions.resource_usage_acceptable

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "no pod ran out of memory", "missing": []} if {
	input.facts.workload.oom_killed == 0
} else := {"passed": false, "message": sprintf("%d pods ran out of memory", [input.facts.workload.oom_killed]), "missing": []}

missing := [path |
	some path in ["facts.workload.oom_killed"]
	not is_number(object.get(input, split(path, "."), null))
]
