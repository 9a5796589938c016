"""`cdk` starts here: the stacks of the tenants that its context names."""

from __future__ import annotations

import sys

from aws_cdk import App

from hookline.core.topology import stack_name
from stacks.observability import ObservabilityStack
from stacks.platform import PlatformStack
from stacks.settings import BadContext, Deployment, from_context
from stacks.storage import StorageStack
from stacks.tenant import TenantStack


def build(app: App) -> Deployment:
    """Add every stack to `app`. Raise BadContext when its context cannot be deployed."""
    deployment = from_context(app.node.get_all_context())
    stage = deployment.stage
    platform = PlatformStack(app, stack_name(stage, "Platform"), deployment=deployment)
    for tenant in deployment.tenants:
        storage = StorageStack(
            app, stack_name(stage, "Storage", tenant), deployment=deployment, tenant=tenant
        )
        serving = TenantStack(
            app,
            stack_name(stage, "Tenant", tenant),
            deployment=deployment,
            tenant=tenant,
            platform=platform,
            storage=storage,
        )
        ObservabilityStack(
            app,
            stack_name(stage, "Observability", tenant),
            deployment=deployment,
            tenant=tenant,
            storage=storage,
            serving=serving,
        )
    return deployment


def main() -> None:
    """Synthesize, or say in a sentence why not."""
    app = App(analytics_reporting=False)
    try:
        build(app)
    except BadContext as error:
        sys.exit(f"hookline cannot be synthesized. {error}")
    app.synth()


if __name__ == "__main__":
    main()
