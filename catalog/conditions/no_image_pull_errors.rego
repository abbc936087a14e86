# No pod of the workload fails to pull its image.
package capstan.conditions.no_image_pull_errors

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "no pod fails to pull its image", "missing": []} if {
	input.facts.workload.image_pull_failing == 0
} else := {"passed": false, "message": sprintf("%d pods fail to pull their image", [input.facts.workload.image_pull_failing]), "missing": []}

missing := [path |
	some path in ["facts.workload.image_pull_failing"]
	not is_number(object.get(input, split(path, "."), null))
]
