# The pod is gone and another one of its controller is ready. Another one may have the same name (of a StatefulSet), never
# the same uid.
package capstan.conditions.replacement_ready

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "another pod of the controller is ready", "missing": []} if {
	gone
	another_ready
} else := {"passed": false, "message": "no other pod of the controller is ready yet, or the old one is still there", "missing": []}

missing := [path |
	some path in ["before.uid", "facts.pod.found"]
	object.get(input, split(path, "."), null) == null
]

gone if input.facts.pod.found == false

gone if input.facts.pod.uid != input.before.uid

another_ready if {
	is_number(input.facts.pod.owner_ready_others)
	input.facts.pod.owner_ready_others > 0
}

another_ready if {
	input.facts.pod.ready == true
	input.facts.pod.uid != input.before.uid
}
