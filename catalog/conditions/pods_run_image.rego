# Every pod of the workload has the image, and there is one unless none is wanted. Finished pods do not count.
package capstan.conditions.pods_run_image

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": sprintf("%d pods run the image", [count(current)]), "missing": []} if {
	count(current) >= min([1, input.facts.deployment.replicas])
	every pod in current {
		input.parameters.image in pod.images
	}
} else := {"passed": false, "message": sprintf("not every one of %d pods runs the image", [count(current)]), "missing": []}

missing := [path |
	some path in ["parameters.image", "facts.deployment.replicas", "facts.workload.pods"]
	object.get(input, split(path, "."), null) == null
]

current := [pod |
	some pod in input.facts.workload.pods
	not pod.phase in {"Succeeded", "Failed"}
]
