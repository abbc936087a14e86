# No disruption budget forbids to evict a pod of the node.
package capstan.conditions.pdb_allows

import rego.v1

result := {"passed": false, "message": sprintf("not known: %s", [concat(", ", missing)]), "missing": missing} if {
	count(missing) > 0
} else := {"passed": true, "message": "the disruption budgets allow it", "missing": []} if {
	count(input.facts.node.blocking_budgets) == 0
} else := {"passed": false, "message": sprintf("budgets forbid it: %s", [concat(", ", sort([name | some budget in input.facts.node.blocking_budgets; name := sprintf("%v/%v", [object.get(budget, "namespace", ""), object.get(budget, "name", "")])]))]), "missing": []}

missing := [path |
	some path in ["facts.node.blocking_budgets"]
	not is_array(object.get(input, split(path, "."), null))
]
