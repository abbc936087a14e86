# No pods are left on the node but those that a drain leaves there: of a DaemonSet, of the kubelet itself, and finished
# ones. A pod that is being ended is still there.
package capstan.conditions.node_drained

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "no pod is left", "missing": []} if {
	count(left) == 0
} else := {"passed": false, "message": sprintf("left are %s", [concat(", ", left)]), "missing": []}

missing := [path |
	some path in ["facts.node.pods"]
	not is_array(object.get(input, split(path, "."), null))
]

left := sort([name |
	some pod in input.facts.node.pods
	not stays(pod)
	name := sprintf("%v/%v", [object.get(pod, "namespace", ""), object.get(pod, "name", "")])
])

stays(pod) if pod.daemon_set == true

stays(pod) if pod.mirror == true

stays(pod) if pod.finished == true
