# The ConfigMap may be changed.
package capstan.conditions.config_map_not_immutable

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the ConfigMap may be changed", "missing": []} if {
	not input.facts.config_map.immutable
} else := {"passed": false, "message": "the ConfigMap is immutable", "missing": []}

missing := [path |
	some path in ["facts.config_map.immutable"]
	not is_boolean(object.get(input, split(path, "."), null))
]
