"""Every role may do what it must, in its own tenant, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from hookline.adapters.aws.catalog import leading_key
from hookline.adapters.aws.services import service_name
from hookline.core.records import PLATFORM, upload_key, volume_prefix
from hookline.core.topology import FUNCTIONS, PROCESSES, Grant
from tests.stacks.templates import Statement, Template, listed, text

Templates = dict[str, Template]

# These know no resource (Service Authorization Reference), so `*` is all that can be written.
KNOWS_NO_RESOURCE = frozenset({"ecr:GetAuthorizationToken", "ecs:DiscoverPollEndpoint"})
# These are on `*` as well, but a condition limits them to the cluster.
LIMITED_TO_CLUSTER = frozenset(
    {"ecs:ListServices", "ecs:ListTasks", "ecs:Poll", "ecs:StartTelemetrySession"}
)
GLOBAL_KEYS = frozenset({"aws:SecureTransport", "aws:SourceArn", "aws:SourceAccount"})

TOPIC = "arn:aws:sns:eu-west-1:123456789012:done"


def everyones(templates: Templates) -> Iterator[Statement]:
    for template in templates.values():
        yield from template.statements()


def test_no_action_has_a_star(templates: Templates) -> None:
    actions = [action for one in everyones(templates) for action in one.actions]
    assert len(actions) > 100
    assert not [action for action in actions if "*" in action]


def test_only_what_knows_no_resource_is_allowed_on_all(templates: Templates) -> None:
    for one in everyones(templates):
        if "*" in one.resources:
            limited = (
                LIMITED_TO_CLUSTER if "ecs:cluster" in one.condition.get("ArnEquals", {}) else ()
            )
            assert set(one.actions) <= KNOWS_NO_RESOURCE.union(limited), one


def test_nothing_is_granted_by_a_managed_policy(templates: Templates) -> None:
    for template in templates.values():
        for role in template.of_type("AWS::IAM::Role").values():
            assert "ManagedPolicyArns" not in role
        assert not template.of_type("AWS::IAM::ManagedPolicy")


def test_conditions_have_keys_that_their_actions_know(templates: Templates) -> None:
    """A key that an action does not have denies it for ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        actions = pytest.importorskip("policy_sentry.querying.actions", reason="no policy-sentry")
    for one in everyones(templates):
        for action in one.actions:
            service, _, name = action.partition(":")
            rows = actions.get_action_data(service, name)
            assert rows, f"there is no action {action}"
            known = {
                key.partition("$")[0] for row in rows[service] for key in row["condition_keys"]
            }
            for keys in one.condition.values():
                for key in keys:
                    plain = key.partition("/")[0] + "/" if "/" in key else key
                    assert plain in known | GLOBAL_KEYS, f"{action} has no key {key}"


def test_a_role_reads_the_partitions_of_its_grants_and_no_others(templates: Templates) -> None:
    partitions = {
        "own": leading_key("acme"),
        "jobs": leading_key("acme", "jobs"),
        "platform": leading_key(PLATFORM),
    }
    for name, grants in granted().items():
        wanted = {
            (f"dynamodb:{verb.title()}{'' if verb == 'query' else 'Item'}", partitions[grant.place])
            for grant in grants
            if grant.port == "catalog"
            for verb in grant.verbs
        }
        found: set[tuple[str, str]] = set()
        for one in templates["Tenant-acme"].rights_of(name):
            if one.actions[0].startswith("dynamodb:"):
                keys = one.condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
                found.update((action, key) for action in one.actions for key in listed(keys))
                assert one.condition["Null"] == {"dynamodb:LeadingKeys": "false"}
        assert found == wanted, name


def granted() -> dict[str, tuple[Grant, ...]]:
    """Of each role, by how its logical id begins."""
    functions = {f"{one.name.title()}Role": one.grants for one in FUNCTIONS}
    return functions | {f"Tasks{one.name.title()}Role": one.grants for one in PROCESSES}


@pytest.mark.parametrize("name", list(granted()))
def test_a_role_has_the_actions_of_its_grants_and_no_others(
    templates: Templates, name: str
) -> None:
    ports = {grant.port for grant in granted()[name]}
    services = {
        "catalog": "dynamodb",
        "blobs": "s3",
        "queue": "sqs",
        "fleet": "ecs",
        "topics": "sns",
    }
    found = {
        action.partition(":")[0]
        for one in templates["Tenant-globex"].rights_of(name)
        for action in one.actions
    }
    may_have = {services[port] for port in ports if port in services}
    extra = {"logs"} if name[:5] != "Tasks" or "fleet" in ports else set()
    extra |= {"iam"} if "fleet" in ports else set()
    polls = any(one.queue and name == f"{one.name.title()}Role" for one in FUNCTIONS)
    extra |= {"sqs"} if polls else set()
    assert found <= may_have | extra


def test_only_the_reconciler_starts_and_ends_processes(templates: Templates) -> None:
    changes = {"ecs:CreateService", "ecs:UpdateService", "ecs:DeleteService", "iam:PassRole"}
    who = {
        one.who
        for one in templates["Tenant-acme"].statements()
        if changes.intersection(one.actions)
    }
    assert [name.partition("Role")[0] for name in who] == ["Reconcile"]


def test_what_runs_user_code_can_change_nothing_but_jobs(templates: Templates) -> None:
    tenant = templates["Tenant-acme"]
    stream = {action for one in tenant.rights_of("TasksStreamRole") for action in one.actions}
    reads = {"dynamodb:GetItem", "s3:GetObject", "s3:ListBucket"}
    assert stream == reads | {"ecs:DescribeTasks"}
    worker = tenant.rights_of("TasksWorkerRole")
    files = [one for one in worker if {"s3:PutObject", "s3:DeleteObject"} & {*one.actions}]
    assert [resource.partition("/")[2] for one in files for resource in one.resources] == [
        "acme/jobs/*"
    ]
    records = [one for one in worker if "dynamodb:PutItem" in one.actions]
    keys = [one.condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"] for one in records]
    assert [listed(key) for key in keys] == [["J#acme"]]
    assert not any("dynamodb:DeleteItem" in one.actions for one in worker)


def test_roles_are_passed_to_tasks_only_and_are_those_of_streams(templates: Templates) -> None:
    passes = [one for one in templates["Tenant-acme"].statements() if "iam:PassRole" in one.actions]
    for one in passes:
        assert one.condition == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
        stream, execution = one.resources
        assert stream.startswith("TasksStreamRole")
        assert execution.startswith("TasksExecution")


def test_the_areas_of_blobs_are_where_the_keys_are(templates: Templates) -> None:
    objects = {
        resource.partition("/")[2]
        for one in templates["Tenant-acme"].statements()
        if one.actions[0].startswith("s3:") and "s3:ListBucket" not in one.actions
        for resource in one.resources
        if "photos" not in resource
    }
    keys = [
        upload_key("acme", "0" * 64),
        f"{volume_prefix('acme', 3)}a.png",
        "acme/jobs/1/results.csv",
    ]
    for key in keys:
        assert any(fnmatchcase(key, pattern) for pattern in objects), key
    others = [
        upload_key("globex", "0" * 64),
        volume_prefix("globex", 3),
        "acmeeu/jobs/1/results.csv",
    ]
    for key in others:
        assert not any(fnmatchcase(key, pattern) for pattern in objects), key


def test_the_services_of_a_tenant_are_its_own(templates: Templates) -> None:
    patterns = {
        resource.rpartition("/")[2]
        for one in templates["Tenant-acme"].statements()
        if "ecs:CreateService" in one.actions
        for resource in one.resources
    }
    assert patterns == {"acme--*"}
    (pattern,) = patterns
    assert fnmatchcase(service_name("acme", "acme", "stream-23"), pattern)
    for other in ("acmeeu", "globex", "acme2"):
        assert not fnmatchcase(service_name(other, other, "stream-23"), pattern)


def test_tasks_are_seen_by_the_tag_of_their_tenant(templates: Templates) -> None:
    seeing = [
        one for one in templates["Tenant-acme"].statements() if "ecs:DescribeTasks" in one.actions
    ]
    assert seeing
    for one in seeing:
        assert one.condition == {"StringEquals": {"aws:ResourceTag/hookline:tenant": "acme"}}


@pytest.mark.parametrize(("tenant", "other"), [("acme", "globex"), ("globex", "acme")])
def test_no_stack_of_a_tenant_knows_another(templates: Templates, tenant: str, other: str) -> None:
    for name in (f"Storage-{tenant}", f"Tenant-{tenant}", f"Observability-{tenant}"):
        assert other not in str(templates[name].body).replace("'Metadata'", "")


def test_the_rights_of_a_tenant_end_at_its_own_resources(templates: Templates) -> None:
    """Each resource is of the same stack, of the tenant's storage, or named after the tenant."""
    own = templates["Tenant-acme"]
    local = tuple(own.body["Resources"])
    for one in own.statements():
        for resource in one.resources:
            is_limited = resource == "*" or "ecs:DescribeTasks" in one.actions
            is_own = resource.startswith(local) or "-Storage-acme:" in resource
            is_named = "acme--*" in resource or ":repository/hookline" in resource
            is_linked = ":s3:::photos" in resource
            is_told = resource == TOPIC
            assert is_limited or is_own or is_named or is_linked or is_told, one


def test_only_notify_publishes_and_only_to_the_topics_of_its_tenant(templates: Templates) -> None:
    def publishers(tenant: str) -> list[tuple[str, list[str]]]:
        rights = templates[f"Tenant-{tenant}"].statements()
        return [
            (one.who.partition("Role")[0], one.resources)
            for one in rights
            if "sns:Publish" in one.actions
        ]

    assert publishers("globex") == []
    assert publishers("acme") == [("Notify", [TOPIC])]


def test_only_the_tenant_that_may_link_to_a_bucket_reads_it(templates: Templates) -> None:
    def readers(tenant: str) -> list[list[str]]:
        rights = templates[f"Tenant-{tenant}"].statements()
        return [one.actions for one in rights if ":s3:::photos" in text(one.resources[0])]

    assert not readers("globex")
    assert {action for actions in readers("acme") for action in actions} == {
        "s3:GetObject",
        "s3:ListBucket",
    }


def test_the_sweep_lists_files_and_reads_none(templates: Templates) -> None:
    rights = templates["Tenant-acme"].rights_of("SweepRole")
    assert [one.actions for one in rights if one.actions[0].startswith("s3:")] == [
        ["s3:ListBucket"],  # below the tenant's volumes
        ["s3:ListBucket"],  # of the linked buckets
    ]
