#!/usr/bin/env python3
"""Compares the policy engine with OPA on what ships: usage differential.py CAPSTAN_POLICY_CHECK.

Runs `opa check --strict` and `opa test --coverage` on catalog/policies and catalog/conditions, then evaluates a corpus
of inputs with both engines; the answers must be equal, and an input that raises an error in one must in the other.
Prints the coverage. Exits 1 and prints what differs otherwise; 77 where opa cannot be had.
"""
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[4]
POLICIES = ROOT / "catalog" / "policies"
CONDITIONS = ROOT / "catalog" / "conditions"
MIN_COVERAGE = 95.0  # percent, of each file
RANDOM_INPUTS = 600  # of policies
RANDOM_INPUTS_EACH = 40  # of each condition

ACTIONS = ["ScaleDeployment", "RestartDeployment", "DeletePod", "PatchConfigMap", "PatchSecret", "UpdateImage",
           "CordonNode", "DrainNode", "UncordonNode", "RolloutStatus", "DeleteNamespace", "", None]
REPLICAS = [0, 1, 2, 3, 20, 21, 110, 111, 0.0, 3.0, -1, 1.5, 2147483648, "3", None]
NAMESPACES = ["shop", "kube-system", "capstan-actions", "", "größe"]
LABELS = [{}, {"critical": "true"}, {"critical": "false", "app": "web"}, {"node-role.kubernetes.io/master": ""}, None]
KINDS = ["Deployment", "Node", "Pod", "ConfigMap", "Namespace"]
PATCHES = ["[]", '[{"op":"add","path":"/data/a","value":"größe"}]', '[{"op":"copy","from":"/data/a","path":"/data/b"}]',
           "{}", "", "[", "null", "3"]
TIMES = ["2026-01-31T08:59:59+00:00", "2026-01-31T09:00:00+00:00", "2026-01-31T16:59:59.999999999+00:00",
         "2026-01-31T17:00:00+00:00", "2026-01-31T23:30:00+00:00", "2026-01-31T18:30:00+02:00", 0, None]
NODES = [{"found": True, "control_plane": False}, {"found": True, "control_plane": True}, {"found": False}, {},
         {"found": True, "control_plane": "no"}, {"labels": {"node-role.kubernetes.io/control-plane": ""}}]
CLUSTERS = [{"total_nodes": 5, "other_schedulable_nodes": 3}, {"total_nodes": 2, "other_schedulable_nodes": 0}, {},
            {"total_nodes": "5", "other_schedulable_nodes": None}]
CONFIG_MAPS = [{"found": True, "size_bytes": 10}, {"found": True, "size_bytes": 1048576}, {"found": False}, {}]
RATES = [{"count": 0, "max_count": 10, "window_seconds": 60}, {"count": 10, "max_count": 10}, {"count": "1"}, {}]
RUNNING = [[], [{"action": "ScaleDeployment", "execution_name": "executions/2"}], {}]
APPROVALS = [{"approved": True, "approvers": ["bob"]}, {"approved": True, "approvers": ["corpus"]},
             {"approved": True, "approvers": []}, {"approved": False, "approvers": ["bob"]}, {"approved": "yes"}, {}]
ABSENT = object()


def document(action, replicas, namespace, labels):
    return {
        "api_version": "capstan.policy/v1",
        "action": action,
        "parameters": {"replicas": replicas},
        "caller": "corpus",
        "dry_run": False,
        "evaluation_time": "2026-01-01T00:00:00+00:00",
        "target_resource": {"kind": "Deployment", "name": "web", "namespace": namespace, "labels": labels},
        "metadata": {"execution_name": "executions/1", "execution_namespace": "capstan-actions"},
        "facts": {},
    }


def without(source, *path):
    copy = json.loads(json.dumps(source))
    parent = copy
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return copy


def put(target, key, value):
    if value is not ABSENT:
        target[key] = value


def any_document(pick):
    result = document(pick(ACTIONS), 0, pick(NAMESPACES), pick(LABELS))
    result["target_resource"]["kind"] = pick(KINDS)
    result["parameters"] = {}
    put(result["parameters"], "replicas", pick(REPLICAS + [ABSENT] * 10))
    put(result["parameters"], "patch", pick(PATCHES + [ABSENT]))
    put(result["parameters"], "image", pick(["web:2", "registry.example.com/web@sha256:00", 3, ABSENT]))
    put(result, "evaluation_time", pick(TIMES + [ABSENT]))
    put(result, "dry_run", pick([True, False, False, None]))
    put(result, "environment", pick(["production", "production", "staging", 1, ABSENT]))
    put(result, "prior_dry_run", pick([True, False, "true", ABSENT]))
    put(result, "rate_limit_state", pick(RATES + [RATES[0]] * 3 + [ABSENT]))
    put(result, "running_actions", pick(RUNNING + [[]] * 3 + [ABSENT]))
    put(result, "approval", pick(APPROVALS + [ABSENT]))
    for fact, values in [("node", NODES), ("cluster", CLUSTERS), ("config_map", CONFIG_MAPS)]:
        put(result["facts"], fact, pick(values + [ABSENT]))
    return result


def policy_corpus():
    for values in itertools.product(["ScaleDeployment", "DrainNode", None], REPLICAS, NAMESPACES, LABELS[:3]):
        yield document(*values)
    good = document("ScaleDeployment", 0, "shop", {})
    for path in [("action",), ("parameters",), ("parameters", "replicas"), ("target_resource",), ("metadata",),
                 ("target_resource", "labels"), ("target_resource", "namespace"), ("target_resource", "name"),
                 ("metadata", "execution_namespace")]:
        yield without(good, *path)
    yield from ({}, {"action": ["ScaleDeployment"]}, {"parameters": {"replicas": {}}}, {"target_resource": "x"})
    generator = random.Random(1)
    for _ in range(RANDOM_INPUTS):
        yield any_document(generator.choice)


# Raise an error in a rule, in both engines.
POLICY_ERRORS = [
    {"action": "DeletePod", "environment": "production", "evaluation_time": "yesterday"},
    {"action": "DeletePod", "environment": "production", "evaluation_time": "2026-13-01T00:00:00Z"},
]

COUNT = [0, 1, 2, 3, 5]
# Where a condition looks, and what may be there.
CONDITION_FIELDS = {
    "parameters.replicas": COUNT, "parameters.container": ["web", "proxy"], "parameters.image": ["web:1", "web:2"],
    "parameters.patch": ['[{"op":"replace","path":"/data/a","value":"1"},{"op":"remove","path":"/data/b"}]',
                         '[{"op":"add","path":"/data","value":{"a":"1"}},{"op":"add","path":"/data/a~1b","value":"2"}]', "[]"],
    "before.uid": ["u1", "u2"], "before.data_sha256": ["h1", "h2"],
    "before.pods": [[], [{"name": "a"}], [{"name": "a", "daemon_set": True}]],
    "facts.deployment.found": [True, False], "facts.deployment.replicas": COUNT, "facts.deployment.generation": COUNT,
    "facts.deployment.status.observed_generation": COUNT, "facts.deployment.status.replicas": COUNT,
    "facts.deployment.status.updated_replicas": COUNT, "facts.deployment.status.ready_replicas": COUNT,
    "facts.deployment.status.available_replicas": COUNT, "facts.deployment.image_pull_secrets": [[], ["r"]],
    "facts.deployment.conditions": [[], [{"type": "Available", "status": "True"}],
                                    [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "False"}]],
    "facts.deployment.containers": [[], [{"name": "web", "image": "web:1"}]],
    "facts.workload.pods": [[], [{"phase": "Running", "images": ["web:2"]}],
                            [{"phase": "Running", "images": ["web:1"]}, {"phase": "Failed"}]],
    "facts.workload.ready_pods": COUNT, "facts.workload.running_pods": COUNT, "facts.workload.crash_looping": COUNT,
    "facts.workload.image_pull_failing": COUNT, "facts.workload.oom_killed": COUNT,
    "facts.workload.per_pod.cpu_milli": COUNT, "facts.workload.per_pod.memory_bytes": COUNT,
    "facts.workload.matching_nodes": COUNT, "facts.workload.ready_matching_nodes": COUNT,
    "facts.cluster.schedulable_nodes": COUNT, "facts.cluster.other_schedulable_nodes": COUNT,
    "facts.cluster.free.cpu_milli": COUNT, "facts.cluster.free.memory_bytes": COUNT,
    "facts.cluster.allocatable.cpu_milli": COUNT, "facts.cluster.allocatable.memory_bytes": COUNT,
    "facts.cluster.requested.cpu_milli": COUNT, "facts.cluster.requested.memory_bytes": COUNT,
    "facts.pod.found": [True, False], "facts.pod.uid": ["u1", "u2"], "facts.pod.ready": [True, False],
    "facts.pod.owner": [None, {"kind": "ReplicaSet", "name": "web", "uid": "r1"}], "facts.pod.owner_ready_others": COUNT,
    "facts.config_map.found": [True, False], "facts.config_map.immutable": [True, False],
    "facts.config_map.data_sha256": ["h1", "h2"],
    "facts.config_map.restore_patch": ["", "[]", '[{"op":"add","path":"/data","value":{"a":"1","a/b":"2"}}]'],
    "facts.node.found": [True, False], "facts.node.ready": [True, False], "facts.node.unschedulable": [True, False],
    "facts.node.pods": [[], [{"namespace": "shop", "name": "a"}], [{"mirror": True}]],
    "facts.node.blocking_budgets": [[], [{"namespace": "shop", "name": "web"}]],
    "facts.node.evicted_unready": [[], ["shop/web"]],
    "target_resource.name": ["web"],
}


def condition_corpus(generator):
    """Documents of all fields; in every third one a field in ten is absent or of another type."""
    for index in range(RANDOM_INPUTS_EACH):
        result = {}
        for path, values in CONDITION_FIELDS.items():
            value = generator.choice(values)
            if index % 3 == 2 and generator.random() < 0.1:
                value = generator.choice([ABSENT, None])
            *parents, key = path.split(".")
            parent = result
            for name in parents:
                parent = parent.setdefault(name, {})
            put(parent, key, value)
        yield result


def find_opa():
    result = subprocess.run([ROOT / "tests" / "e2e" / "tools.sh", "opa"], capture_output=True, text=True)
    if result.returncode != 0:
        print(f"NOT RUN: the comparison with opa: {result.stderr.strip()}")
        sys.exit(77)
    return result.stdout.strip()


def ours(check, arguments, documents):
    """What our engine answers; None where a rule raised an error."""
    lines = "".join(json.dumps(each) + "\n" for each in documents)
    result = subprocess.run([check, *arguments], input=lines, capture_output=True, text=True)
    answers = []
    for line in result.stdout.splitlines():
        if line.startswith("{"):
            answers.append(json.loads(line))
        elif line.startswith(("FAILED_PRECONDITION", "NOT_FOUND")):
            answers.append(None)
    return answers


def theirs(opa, folders, rule, documents):
    """What opa answers, all in one process: a query that asks for the rule with each document as input."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "corpus.json").write_text(json.dumps({"corpus": documents}))
        query = f"[answer | some each in data.corpus; answer := {rule} with input as each]"
        command = [opa, "eval", "--strict-builtin-errors", "--format", "json", "--ignore", "*_test.rego"]
        for each in [*folders, folder]:
            command += ["--data", each]
        result = subprocess.run([*command, query], capture_output=True, text=True)
        if result.returncode != 0:
            return None
        return json.loads(result.stdout)["result"][0]["expressions"][0]["value"]


def compare(what, documents, our_answers, opa_answers):
    if opa_answers is None or not len(our_answers) == len(opa_answers) == len(documents):
        print(f"{what}: of {len(documents)} inputs we answered {len(our_answers)}, opa",
              "none" if opa_answers is None else len(opa_answers))
        return 1
    different = 0
    for each, our_answer, opa_answer in zip(documents, our_answers, opa_answers):
        if our_answer != opa_answer:
            different += 1
            print(f"{what}, input:", json.dumps(each), "\n  ours:", our_answer, "\n  opa: ", opa_answer)
    return different


def compare_policies(check, opa):
    module = subprocess.run([check, POLICIES, "--decision-module"], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "decision.rego").write_text(module)
        rule, folders = "data.capstan.safety.decision", [POLICIES, folder]
        documents = list(policy_corpus())
        decisions = ours(check, [POLICIES, "--decide"], documents)
        different = compare("policies", documents, decisions, theirs(opa, folders, rule, documents))
        allowed = sum(1 for decision in decisions if decision and decision["allow"])
        print(f"policies: {len(documents)} inputs, {allowed} allowed, {different} decided differently")
        for each in POLICY_ERRORS:
            if ours(check, [POLICIES, "--decide"], [each]) != [None] or theirs(opa, folders, rule, [each]) is not None:
                different += 1
                print("policies: no error in both engines:", json.dumps(each))
    return different


def compare_conditions(check, opa):
    different, count, passed = 0, 0, 0
    generator = random.Random(2)
    for path in sorted(CONDITIONS.glob("*.rego")):
        if path.name.endswith("_test.rego"):
            continue
        documents = list(condition_corpus(generator))
        answers = ours(check, [CONDITIONS, "--condition", path.stem], documents)
        rule = f"data.capstan.conditions.{path.stem}.result"
        different += compare(path.stem, documents, answers, theirs(opa, [path], rule, documents))
        count += len(documents)
        passed += sum(1 for answer in answers if answer and answer["passed"])
    print(f"conditions: {count} inputs, {passed} passed, {different} answered differently")
    return different


def test_with_coverage(opa, folder):
    subprocess.run([opa, "check", "--strict", folder], check=True)
    subprocess.run([opa, "test", folder], check=True)
    report = json.loads(subprocess.run([opa, "test", "--coverage", folder], check=True, capture_output=True, text=True).stdout)
    low = 0
    for name, each in sorted(report["files"].items()):
        if each.get("coverage", 0) < MIN_COVERAGE:
            low += 1
            print(f"{name}: {each.get('coverage', 0)} % covered, want {MIN_COVERAGE}: {each.get('not_covered')}")
    print(f"{folder.name}: {report['coverage']:.2f} % of the lines are covered by their tests")
    return low


def main():
    check = sys.argv[1]
    opa = find_opa()
    problems = test_with_coverage(opa, POLICIES) + test_with_coverage(opa, CONDITIONS)
    problems += compare_policies(check, opa) + compare_conditions(check, opa)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
