# No pod of the workload crashes again and again.
package capstan.conditions.no_crashloop_pods

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "no pod crashes again and again", "missing": []} if {
	input.facts.workload.crash_looping == 0
} else := {"passed": false, "message": sprintf("%d pods crash again and again", [input.facts.workload.crash_looping]), "missing": []}

missing := [path |
	some path in ["facts.workload.crash_looping"]
	not is_number(object.get(input, split(path, "."), null))
]
