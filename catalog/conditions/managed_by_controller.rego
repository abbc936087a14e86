# A controller owns the pod and will replace it: `owner` is null for a pod that nobody replaces.
package capstan.conditions.managed_by_controller

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("owned by %s %v", [input.facts.pod.owner.kind, object.get(input.facts.pod.owner, "name", "")]), "missing": []} if {
	input.facts.pod.owner.kind != ""
	input.facts.pod.owner.uid != ""
} else := {"passed": false, "message": "no controller owns the pod: it would be gone for good", "missing": []}

missing := ["facts.pod.owner" |
	object.get(input, ["facts", "pod", "owner"], "absent") == "absent"
]
