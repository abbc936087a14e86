# The Node of the action is there.
package capstan.conditions.node_exists

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the Node exists", "missing": []} if {
	input.facts.node.found
} else := {"passed": false, "message": sprintf("Node %s does not exist", [object.get(input, ["target_resource", "name"], "the target")]), "missing": []}

missing := [path |
	some path in ["facts.node.found"]
	not is_boolean(object.get(input, split(path, "."), null))
]
