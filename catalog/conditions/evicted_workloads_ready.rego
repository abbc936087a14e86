# The workloads whose pods were evicted are ready again: none is named in facts.node.evicted_unready, the list of owners of
# evicted pods ("shop/web-1") that have fewer ready pods than they want. A drain that evicted nothing passes without it.
package capstan.conditions.evicted_workloads_ready

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "nothing was evicted", "missing": []} if {
	count(evicted) == 0
} else := {"passed": true, "message": "all workloads are ready", "missing": []} if {
	count(input.facts.node.evicted_unready) == 0
} else := {"passed": false, "message": sprintf("not ready are %s", [concat(", ", input.facts.node.evicted_unready)]), "missing": []}

missing := array.concat(
	["before.pods" | not is_array(object.get(input, ["before", "pods"], null))],
	["facts.node.evicted_unready" |
		count(evicted) > 0
		not is_array(object.get(input, ["facts", "node", "evicted_unready"], null))
	],
)

evicted := [pod |
	is_array(input.before.pods)
	some pod in input.before.pods
	not stays(pod)
]

stays(pod) if pod.daemon_set == true

stays(pod) if pod.mirror == true

stays(pod) if pod.finished == true
