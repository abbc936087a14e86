# The ConfigMap of the action is there.
package capstan.conditions.config_map_exists

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the ConfigMap exists", "missing": []} if {
	input.facts.config_map.found
} else := {"passed": false, "message": sprintf("ConfigMap %s does not exist", [object.get(input, ["target_resource", "name"], "the target")]), "missing": []}

missing := [path |
	some path in ["facts.config_map.found"]
	not is_boolean(object.get(input, split(path, "."), null))
]
