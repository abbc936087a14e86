# The pull secrets work. They are judged by evidence, since the worker may not read Secrets: the Deployment names none, or
# no pod of it fails to pull its image. Secrets that no pod has tried yet pass.
package capstan.conditions.image_pull_secrets_valid

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "no pod fails to pull its image", "missing": []} if {
	works
} else := {"passed": false, "message": sprintf("%v pods fail to pull their image", [input.facts.workload.image_pull_failing]), "missing": []}

missing := [path |
	some path in ["facts.deployment.image_pull_secrets", "facts.workload.image_pull_failing"]
	object.get(input, split(path, "."), null) == null
]

works if input.facts.deployment.image_pull_secrets == []

works if input.facts.workload.image_pull_failing == 0
