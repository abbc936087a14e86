package capstan.conditions.capacity_elsewhere_test

import data.capstan.conditions.capacity_elsewhere
import rego.v1

given(facts) := {"facts": facts}

judge(facts) := answer if {
	answer := capacity_elsewhere.result with input as given(facts)
}

test_room_passes if {
	judge({"cluster": {"schedulable_nodes": 4, "other_schedulable_nodes": 3, "allocatable": {"cpu_milli": 4000, "memory_bytes": 4000}, "requested": {"cpu_milli": 3000, "memory_bytes": 3000}}}).passed
}

test_too_little_cpu_fails if {
	answer := judge({"cluster": {"schedulable_nodes": 4, "other_schedulable_nodes": 3, "allocatable": {"cpu_milli": 4000, "memory_bytes": 4000}, "requested": {"cpu_milli": 3001, "memory_bytes": 1}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_too_little_memory_fails if {
	answer := judge({"cluster": {"schedulable_nodes": 4, "other_schedulable_nodes": 3, "allocatable": {"cpu_milli": 4000, "memory_bytes": 4000}, "requested": {"cpu_milli": 1, "memory_bytes": 3001}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_a_node_that_is_cordoned_already_takes_nothing_away if {
	judge({"cluster": {"schedulable_nodes": 4, "other_schedulable_nodes": 4, "allocatable": {"cpu_milli": 4000, "memory_bytes": 4000}, "requested": {"cpu_milli": 4000, "memory_bytes": 4000}}}).passed
}

test_no_other_node_fails if {
	answer := judge({"cluster": {"schedulable_nodes": 1, "other_schedulable_nodes": 0, "allocatable": {"cpu_milli": 4000, "memory_bytes": 4000}, "requested": {"cpu_milli": 1, "memory_bytes": 1}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_not_knowing_fails if {
	answer := judge({"cluster": {"schedulable_nodes": 1, "other_schedulable_nodes": 1}})
	not answer.passed
	answer.missing == ["facts.cluster.allocatable.cpu_milli", "facts.cluster.allocatable.memory_bytes", "facts.cluster.requested.cpu_milli", "facts.cluster.requested.memory_bytes"]
}
