package capstan.conditions.cluster_capacity_available_test

import data.capstan.conditions.cluster_capacity_available
import rego.v1

given(facts) := {"parameters": {"replicas": 5}, "facts": facts}

judge(facts) := answer if {
	answer := cluster_capacity_available.result with input as given(facts)
}

test_room_for_all_passes if {
	judge({"deployment": {"replicas": 3}, "workload": {"per_pod": {"cpu_milli": 100, "memory_bytes": 1000}}, "cluster": {"free": {"cpu_milli": 200, "memory_bytes": 2000}}}).passed
}

test_too_little_cpu_fails if {
	answer := judge({"deployment": {"replicas": 3}, "workload": {"per_pod": {"cpu_milli": 100, "memory_bytes": 1000}}, "cluster": {"free": {"cpu_milli": 199, "memory_bytes": 2000}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_too_little_memory_fails if {
	answer := judge({"deployment": {"replicas": 3}, "workload": {"per_pod": {"cpu_milli": 100, "memory_bytes": 1000}}, "cluster": {"free": {"cpu_milli": 200, "memory_bytes": 1999}}})
	not answer.passed
	answer.missing == []
	answer.message != ""
}

test_scaling_down_needs_no_room if {
	judge({"deployment": {"replicas": 9}, "workload": {"per_pod": {"cpu_milli": 100, "memory_bytes": 1000}}, "cluster": {"free": {"cpu_milli": 0, "memory_bytes": 0}}}).passed
}

test_not_knowing_fails if {
	answer := judge({"deployment": {"replicas": 3}, "workload": {"per_pod": {"cpu_milli": 1, "memory_bytes": 1}}})
	not answer.passed
	answer.missing == ["facts.cluster.free.cpu_milli", "facts.cluster.free.memory_bytes"]
}
