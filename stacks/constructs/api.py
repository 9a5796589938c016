"""A tenant's HTTP API: control routes to functions, predict routes to the gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping

import jsii
from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as rest
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_authorizers import HttpLambdaAuthorizer, HttpLambdaResponseType
from aws_cdk.aws_apigatewayv2_integrations import HttpAlbIntegration, HttpLambdaIntegration
from constructs import Construct

from hookline.core.topology import (
    FALLBACK,
    FALLBACK_FUNCTION,
    FUNCTIONS,
    GATEWAY_ROUTES,
    PUBLIC_ROUTES,
    Route,
)
from stacks.acknowledged import acknowledge

TENANT_HEADER = "x-hookline-tenant"
KEEP_ANSWER = Duration.seconds(60)  # how long a revoked key may still be believed in
BURST_S = 2

# No path: that of a predict call may hold a token.
_ACCESS_LOG = json.dumps(
    {
        "event": "api_request",
        "request_id": "$context.requestId",
        "route": "$context.routeKey",
        "status": "$context.status",
        "tenant": "$context.authorizer.tenant",
        "user": "$context.authorizer.user",
        "ip": "$context.identity.sourceIp",
        "latency_ms": "$context.responseLatency",
        "integration_ms": "$context.integrationLatency",
        "error": "$context.error.message",
    }
)


@jsii.implements(gateway.IAccessLogSettings)
class _AccessLog:
    def __init__(self, group: logs.ILogGroup) -> None:
        self._group = group

    @property
    def destination(self) -> gateway.IAccessLogDestination:
        return gateway.LogGroupLogDestination(self._group)

    @property
    def format(self) -> rest.AccessLogFormat:
        return rest.AccessLogFormat.custom(_ACCESS_LOG)


class TenantApi(Construct):
    """`api`, with every route of core.topology."""

    def __init__(
        self,
        scope: Construct,
        *,
        tenant: str,
        functions: Mapping[str, lambda_.IFunction],
        listener: elbv2.IApplicationListener,
        link: gateway.IVpcLink,
        requests_per_s: int,
        retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, "HttpApi")
        self.api = gateway.HttpApi(self, "Api", create_default_stage=False)
        self._stage(requests_per_s, retention)
        self._control(functions)
        self._predict(tenant, listener, link)

    def _stage(self, requests_per_s: int, retention: logs.RetentionDays) -> None:
        group = logs.LogGroup(
            self,
            "Access",
            # The account's policy for such logs names each group and has 5,120 characters, but one
            # line for all of these (CloudWatch Logs' user guide).
            log_group_name=f"/aws/vendedlogs/hookline/{Stack.of(self).stack_name}",
            retention=retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        gateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=gateway.ThrottleSettings(
                rate_limit=requests_per_s, burst_limit=BURST_S * requests_per_s
            ),
            detailed_metrics_enabled=True,
            access_log_settings=_AccessLog(group),
        )

    def _control(self, functions: Mapping[str, lambda_.IFunction]) -> None:
        authorizer = self._authorizer(functions)
        for function in FUNCTIONS:
            integration = HttpLambdaIntegration(
                function.name,
                functions[function.name],
                scope_permission_to_route=False,  # one permission, not one per route
            )
            for route in function.routes:
                is_public = route in PUBLIC_ROUTES
                self._route(route, integration, None if is_public else authorizer)
            if function.name == FALLBACK_FUNCTION:
                self._route(FALLBACK, integration, authorizer)

    def _authorizer(self, functions: Mapping[str, lambda_.IFunction]) -> HttpLambdaAuthorizer:
        name = next(function.name for function in FUNCTIONS if function.is_authorizer)
        return HttpLambdaAuthorizer(
            "Key",
            functions[name],
            response_types=[HttpLambdaResponseType.SIMPLE],
            identity_source=["$request.header.Authorization"],
            results_cache_ttl=KEEP_ANSWER,
        )

    def _predict(
        self, tenant: str, listener: elbv2.IApplicationListener, link: gateway.IVpcLink
    ) -> None:
        # What a client may have sent under that name is overwritten.
        mapping = gateway.ParameterMapping().overwrite_header(
            TENANT_HEADER, gateway.MappingValue.custom(tenant)
        )
        integration = HttpAlbIntegration(
            "Gateway", listener, vpc_link=link, parameter_mapping=mapping
        )
        for route in GATEWAY_ROUTES:
            self._route(route, integration, None)

    def _route(
        self,
        route: Route,
        integration: gateway.HttpRouteIntegration,
        authorizer: gateway.IHttpRouteAuthorizer | None,
    ) -> None:
        made = self.api.add_routes(
            path=route.path,
            methods=[gateway.HttpMethod(route.method)],
            integration=integration,
            authorizer=authorizer,
        )
        if authorizer is None:
            for one in made:
                acknowledge(
                    one,
                    "The gateway checks the presigned token of predict calls; the description of "
                    "the API is public.",
                    "APIG4",
                )
