"""What a person is told of a tenant: alarms for what needs a hand, and one dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, Stack, Tags
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_sns as sns
from constructs import Construct

from hookline.core.topology import FUNCTIONS, METRICS, UNSERVED
from stacks.constructs.workers import backlog
from stacks.deploying import stack_options
from stacks.grants import TENANT_TAG
from stacks.settings import Deployment
from stacks.storage import StorageStack
from stacks.tenant import TenantStack

# How old a queue's first message may get: shards may wait for workers, which start from zero, and
# drops and notices are delayed by up to 900 s.
MAX_AGE_S = {
    "plan": 600,
    "shards": 3600,
    "finish": 600,
    "drops": 1200,
    "notices": 1200,
    "reconcile": 300,
}
MAX_FAULTS_PERCENT = 1
MAX_CONTROL_P99_MS = 3000  # a cold start included
MAX_PREDICT_P99_S = 10
_MINUTE = Duration.minutes(1)
_ABOVE = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
_BELOW = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD


class ObservabilityStack(Stack):
    """Only reads the metrics of the tenant's other stacks."""

    def __init__(
        self,
        scope: Construct,
        stack_id: str,
        *,
        deployment: Deployment,
        tenant: str,
        storage: StorageStack,
        serving: TenantStack,
    ) -> None:
        super().__init__(scope, stack_id, **stack_options(deployment))
        Tags.of(self).add("hookline:stage", deployment.stage)
        Tags.of(self).add(TENANT_TAG, tenant)
        self._topic = (
            sns.Topic.from_topic_arn(self, "Topic", deployment.alarm_topic)
            if deployment.alarm_topic
            else None
        )
        self._tenant, self._storage, self._serving = tenant, storage, serving
        alarms = [*self._of_queues(), *self._of_control(), *self._of_predict()]
        self._dashboard(alarms)

    def _of_queues(self) -> list[cloudwatch.Alarm]:
        dead = {**self._storage.dead, "undelivered": self._storage.undelivered}
        return [
            *(
                self._alarm(
                    f"{name.title()}Dead",
                    f"Messages of {name} could not be handled. Look at them and at the log of its "
                    "function, then move them back (StartMessageMoveTask) or purge them.",
                    queue.metric_approximate_number_of_messages_visible(
                        statistic="Maximum", period=_MINUTE
                    ),
                    0,
                )
                for name, queue in dead.items()
            ),
            *(
                self._alarm(
                    f"{name.title()}Age",
                    f"The first message of {name} has waited for more than {age_s} s. Look at what "
                    "takes them: its function, or the batch workers.",
                    self._storage.queues[name].metric_approximate_age_of_oldest_message(
                        statistic="Maximum", period=_MINUTE
                    ),
                    age_s,
                )
                for name, age_s in MAX_AGE_S.items()
            ),
        ]

    def _of_control(self) -> list[cloudwatch.Alarm]:
        api = self._serving.api
        faults = api.metric_server_error(statistic="Sum", period=_MINUTE)
        calls = api.metric_count(statistic="Sum", period=_MINUTE)
        return [
            self._alarm(
                "Faults",
                f"More than {MAX_FAULTS_PERCENT} % of the API's answers are 5xx. Its access log "
                "says of which routes.",
                cloudwatch.MathExpression(
                    expression="100 * faults / calls",
                    using_metrics={"faults": faults, "calls": calls},
                    period=_MINUTE,
                    label="5xx, percent",
                ),
                MAX_FAULTS_PERCENT,
            ),
            *(
                self._alarm(
                    f"{function.name.title()}Errors",
                    f"The function {function.name} fails on its schedule. Look at its log.",
                    self._serving.functions[function.name].handler.metric_errors(
                        statistic="Sum", period=_MINUTE
                    ),
                    0,
                )
                for function in FUNCTIONS
                if function.every_s
            ),
            self._alarm(
                "Latency",
                f"One in a hundred calls of the API takes more than {MAX_CONTROL_P99_MS} ms.",
                api.metric_latency(statistic="p99", period=_MINUTE),
                MAX_CONTROL_P99_MS,
            ),
        ]

    def _of_predict(self) -> list[cloudwatch.Alarm]:
        metrics = self._serving.gateway.targets.metrics
        healthy = metrics.healthy_host_count(statistic="Minimum", period=_MINUTE)
        return [
            self._alarm(
                "PredictLatency",
                f"One in a hundred predict calls takes more than {MAX_PREDICT_P99_S} s.",
                metrics.target_response_time(statistic="p99", period=_MINUTE),
                MAX_PREDICT_P99_S,
            ),
            self._alarm(
                "PredictFaults",
                "The gateway answers 5xx: a replica died, or a stream has none that is ready. Look "
                "at `hookline stream list` and at the streams' logs.",
                metrics.http_code_target(
                    elbv2.HttpCodeTarget.TARGET_5XX_COUNT, statistic="Sum", period=_MINUTE
                ),
                0,
            ),
            self._alarm(
                "NoHealthyGateway",
                "No task of the gateway is healthy: predict calls are refused. Look at the events "
                "of its service.",
                healthy,
                1,
                comparison=_BELOW,
                missing=cloudwatch.TreatMissingData.BREACHING,
            ),
            self._alarm(
                "NoHealthyReplica",
                "Predict calls find no replica of their stream that answers. Look at `hookline "
                "stream list` for one that has none ready, and at its log.",
                self._unserved(),
                0,
            ),
        ]

    def _unserved(self) -> cloudwatch.Metric:
        """Of all streams together; the gateway logs it a minute each (gateway/emf.py)."""
        return cloudwatch.Metric(
            namespace=METRICS,
            metric_name=UNSERVED,
            dimensions_map={"tenant": self._tenant},
            statistic="Sum",
            period=_MINUTE,
        )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        *,
        comparison: cloudwatch.ComparisonOperator = _ABOVE,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=comparison,
            treat_missing_data=missing,
            evaluation_periods=3,
            datapoints_to_alarm=2,
        )
        if self._topic is not None:
            alarm.add_alarm_action(actions.SnsAction(self._topic))
        return alarm

    def _dashboard(self, alarms: Sequence[cloudwatch.Alarm]) -> None:
        dashboard = cloudwatch.Dashboard(self, "Dashboard")
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(alarms=list(alarms), width=24, title="Alarms")
        )
        dashboard.add_widgets(*self._api_graphs())
        dashboard.add_widgets(*self._batch_graphs())

    def _api_graphs(self) -> list[cloudwatch.IWidget]:
        api, metrics = self._serving.api, self._serving.gateway.targets.metrics
        return [
            _graph("API: calls and faults", api.metric_count(), api.metric_server_error()),
            _graph("API: latency", api.metric_latency(statistic="p50"), api.metric_latency()),
            _graph(
                "Predict: latency",
                metrics.target_response_time(statistic="p50"),
                metrics.target_response_time(statistic="p99"),
            ),
            _graph("Predict: calls", metrics.request_count()),
            _graph("Predict: calls without a replica", self._unserved()),
        ]

    def _batch_graphs(self) -> list[cloudwatch.IWidget]:
        queues = self._storage.queues.values()
        ages = [queue.metric_approximate_age_of_oldest_message() for queue in queues]
        dead = [
            queue.metric_approximate_number_of_messages_visible()
            for queue in self._storage.dead.values()
        ]
        service = self._serving.workers.service
        return [
            _graph("Queues: age of the first message", *ages),
            _graph("Queues: dead letters", *dead),
            _graph("Batch: shards", backlog(self._storage.queues["shards"])),
            _graph("Batch workers: CPU", service.metric_cpu_utilization()),
        ]


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=6, height=6)
