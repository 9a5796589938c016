"""The rest of AWS for one tenant: API Gateway, Lambda and its pollers, EventBridge's rules."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from moto.events.models import EventPattern, EventPatternParser
from moto.sqs.models import sqs_backends

from hookline.core.routes import Routes
from hookline.core.topology import FUNCTIONS, PUBLIC_ROUTES, Route
from hookline.local.bridge import (
    Context,
    HttpRequest,
    authorizer_event,
    failed_ids,
    http_event,
    scheduled,
)
from tests.stacks.cloud.account import Account, Stack, credentials, environment, session_of
from tests.stacks.cloud.deploying import ACCOUNT, REGION, client_of
from tests.unit.adapters.aws.world import MOTO
from tests.unit.control.events import Answer

Event = dict[str, Any]
Handler = Callable[[Event, object], dict[str, Any]]

OK, REDIRECTED, REFUSED, FORBIDDEN = 200, 300, 401, 403
TAKES = 10  # SQS gives no more at once
_REQUESTS = count(1)


@dataclass
class Tenant:
    """`key` is the API key that requests are sent with.

    `ran` are the functions that were called, `asked` the routes that were asked and answered well.
    """

    account: Account
    name: str
    key: str = ""
    handlers: dict[str, Handler] = field(default_factory=dict)
    pollers: dict[str, Any] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    asked: set[Route] = field(default_factory=set)

    @property
    def stack(self) -> Stack:
        return self.account.stacks[f"Tenant-{self.name}"]

    @property
    def storage(self) -> Stack:
        return self.account.stacks[f"Storage-{self.name}"]

    def queue_url(self, queue: str) -> str:
        return self.storage.id_of(f"{queue.title()}Queue", "AWS::SQS::Queue")

    def principal(self, name: str) -> str:
        return f"{self.name}.{name}"

    # --- Lambda ------------------------------------------------------------------------------

    def invoke(self, name: str, event: Event) -> dict[str, Any]:
        """Run a function in the environment that its template gives it."""
        self.ran.add(name)
        with environment(self._variables[name] | credentials(self.principal(name))):
            if name not in self.handlers:
                self.handlers[name] = self._loaded(name)
            answer = self.handlers[name](event, Context(name, f"request-{next(_REQUESTS)}"))
        json.dumps(answer)  # as Lambda does
        return answer

    @cached_property
    def _variables(self) -> dict[str, dict[str, str]]:
        """Of each function, as they were made."""
        return {function.name: self._made(function.name) for function in FUNCTIONS}

    def _made(self, name: str) -> dict[str, str]:
        function = self.stack.id_of(f"{name.title()}Handler", "AWS::Lambda::Function")
        found = self.account.client("lambda").get_function_configuration(FunctionName=function)
        variables: dict[str, str] = found["Environment"]["Variables"]
        return variables

    def _loaded(self, name: str) -> Handler:
        """From the asset, as the template says: the module `handler`, and `handler` in it."""
        functions = self.stack.of_type("AWS::Lambda::Function")
        made = next(
            one for key, one in functions.items() if key.startswith(f"{name.title()}Handler")
        )
        assert made["Handler"] == "handler.handler"
        folder = f"asset.{made['Code']['S3Key'].removesuffix('.zip')}"
        path = self.account.assembly / folder / "handler.py"
        spec = importlib.util.spec_from_file_location(f"{self.name}_{name}", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        handler: Handler = module.handler
        return handler

    # --- API Gateway -------------------------------------------------------------------------

    def __call__(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request to the API; the authorizer is asked first, where the route wants that."""
        parts = urlsplit(target)
        match = Routes().match(method, parts.path)
        request = HttpRequest(
            method,
            parts.path,
            parts.query,
            {
                "content-type": "application/json",
                "authorization": f"Bearer {self.key}",
                **(headers or {}),
            },
            json.dumps(body).encode() if body is not None else b"",
            "203.0.113.9",
            f"api-{next(_REQUESTS)}",
        )
        granted: Mapping[str, Any] = {}
        if match.route not in PUBLIC_ROUTES:
            if not self.key:
                return Answer(REFUSED, {}, None)
            said = self.invoke("authorizer", authorizer_event(request, match))
            if not said["isAuthorized"]:
                return Answer(FORBIDDEN, {}, None)
            granted = said["context"]
        answer = Answer.of(self.invoke(match.function, http_event(request, match, granted)))
        if answer.status < REDIRECTED:
            self.asked.add(match.route)
        return answer

    def ask(self, method: str, target: str, body: object = None) -> Any:
        """The body of the answer to a request that must succeed."""
        answer = self(method, target, body)
        assert answer.status < REDIRECTED, f"{method} {target}: {answer}"
        return answer.body

    def follow(self, request: Mapping[str, Any], data: bytes = b"") -> bytes:
        """Send a presigned request, as a client does that knows nothing but it."""
        self.account.recorder.link_used(request["method"], request["url"])
        sent = AWSRequest(request["method"], request["url"], dict(request["headers"]), data)
        answer = MOTO(sent.prepare())
        assert answer, "moto knows no such place"
        status, _, content = answer
        assert status == OK, content
        return content if isinstance(content, bytes) else content.encode()

    # --- SQS to Lambda -----------------------------------------------------------------------

    def deliver(self) -> int:
        """Hand the functions what waits for them; return how many messages there were."""
        return sum(self._poll(function) for function in FUNCTIONS if function.queue)

    def _poll(self, function: Any) -> int:
        url = self.queue_url(function.queue)
        if not self.waiting(function.queue):
            return 0
        found = self._mapping(function.name)
        messages = list(self._received(function.name, url, found["BatchSize"]))
        if not messages:
            return 0
        answer: dict[str, Any] | None
        try:
            answer = self.invoke(function.name, {"Records": [_record(one) for one in messages]})
        except Exception as error:  # noqa: BLE001 - as Lambda: it gives all of it again
            answer = None
            self.account.recorder.problems.append(error)
        failed = {one["MessageId"] for one in messages} if answer is None else failed_ids(answer)
        sqs = self._poller(function.name)
        for one in messages:
            if one["MessageId"] not in failed:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return len(messages)

    def _mapping(self, function: str) -> dict[str, Any]:
        found = self.stack.of_type("AWS::Lambda::EventSourceMapping")
        made = next(
            one for key, one in found.items() if key.startswith(f"{function.title()}Messages")
        )
        assert made["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        return made

    def _received(self, function: str, url: str, most: int) -> Iterator[dict[str, Any]]:
        sqs, taken = self._poller(function), 0
        while taken < most:
            some = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(TAKES, most - taken),
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not some:
                return
            taken += len(some)
            yield from some

    def _poller(self, function: str) -> Any:
        """Lambda's, which has the rights of the function's role."""
        if function not in self.pollers:
            self.pollers[function] = client_of(session_of(self.principal(function)), "sqs")
        return self.pollers[function]

    def waiting(self, queue: str) -> int:
        """How many messages could be taken now."""
        return self.messages(self.queue_url(queue), "")

    def depth(self, queue: str) -> int:
        """All messages: also those that are delayed, or held."""
        return self.messages(self.queue_url(queue))

    def messages(self, url: str, *kinds: str) -> int:
        """How many a queue has, of all kinds when none is named; asking leaves no trace."""
        queue = sqs_backends[ACCOUNT][REGION].queues[url.rpartition("/")[2]]
        wanted = kinds or ("", "_delayed", "_not_visible")
        return sum(getattr(queue, f"approximate_number_of_messages{kind}") for kind in wanted)

    # --- EventBridge -------------------------------------------------------------------------

    def tick(self) -> None:
        """The schedules are due."""
        for rule, function in self._rules:
            if "ScheduleExpression" in rule:
                self.invoke(function, scheduled())

    def tell(self, event: Event) -> int:
        """Of an event that AWS itself sends; return how many functions heard it."""
        hearing = [
            function
            for rule, function in self._rules
            if "EventPattern" in rule and _matches(rule["EventPattern"], event)
        ]
        for function in hearing:
            self.invoke(function, event)
        return len(hearing)

    @cached_property
    def _rules(self) -> list[tuple[dict[str, Any], str]]:
        """The rules of this stack that call functions, as they were made."""
        events = self.account.client("events")
        names = {self.stack.ids[name] for name in self.stack.of_type("AWS::Events::Rule")}
        return [
            (rule, self._function_at(target["Arn"]))
            for rule in events.list_rules()["Rules"]
            if rule["Name"] in names
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        ]

    def _function_at(self, arn: str) -> str:
        physical = arn.rpartition(":")[2]
        logical = next(key for key, value in self.stack.ids.items() if value == physical)
        return logical.partition("Handler")[0].lower()


def _matches(pattern: str, event: Event) -> bool:
    return EventPattern(pattern, EventPatternParser(pattern).parse()).matches_event(event)  # type: ignore[arg-type]  # events as JSON


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
