"""What predictions and idle tenants cost on AWS: `python -m bench.cost` prints both tables.

Arithmetic over a dated price table and stated throughputs; nothing is measured here.
"""

from __future__ import annotations

from dataclasses import dataclass

HOURS = 730  # a month
BUSY = 0.5  # how much of what it could do a replica does, on average
STREAM, GATEWAY = (1.0, 4.0), (0.5, 1.0)  # vCPU and GB of a task (stacks/tenant.py)
VCPU_H, GIB_H = 0.04048, 0.004445  # Fargate, Linux on x86
NAT_H, ALB_H = 0.045, 0.0225
API_MILLION = 1.00  # HTTP API, the first 300 million requests of a month


@dataclass(frozen=True, slots=True)
class Machine:
    """What a replica runs on, its price, and what one replica answers per second."""

    device: str
    what: str
    dollars_h: float
    model: str
    per_s: float


def fargate(vcpu: float, gib: float) -> float:
    """Dollars per hour of a task."""
    return vcpu * VCPU_H + gib * GIB_H


MACHINES = (
    Machine("cpu", "Fargate, 1 vCPU, 4 GB", fargate(*STREAM), "MobileNetV2, JPEG", 130),
    Machine("gpu", "g4dn.xlarge, on demand", 0.526, "ResNet-50 (assumed)", 800),
    Machine("inf1", "inf1.xlarge, reserved", 0.110, "ResNet-50", 921.5),
    Machine("inf1", "inf1.xlarge, reserved", 0.110, "BERT-base, 128 tokens", 1181),
    Machine("inf2", "inf2.xlarge, reserved", 0.328, "BERT-base, 128 tokens", 2756),
)


def million(machine: Machine) -> float:
    """Dollars for the machine's part of a million predictions."""
    return machine.dollars_h / (machine.per_s * BUSY * 3600) * 1e6


def idle(gateways: int, nats: int) -> tuple[float, float]:
    """Dollars a month while nothing is asked: of the platform, and of each tenant."""
    return (nats * NAT_H + ALB_H) * HOURS, gateways * fargate(*GATEWAY) * HOURS


def tables() -> str:
    """Both tables, as docs/scale.md has them."""
    lines = [
        "| device | machine | $/h | model | per s | $ per million | with the API |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in MACHINES:
        cost = million(each)
        lines.append(
            f"| {each.device} | {each.what} | {each.dollars_h:.3f} | {each.model} "
            f"| {each.per_s:g} | {cost:.3f} | {cost + API_MILLION:.2f} |"
        )
    lines += [
        "",
        "| stage | the platform, $ a month | each tenant, $ a month |",
        "|---|---|---|",
    ]
    for stage, gateways, nats in (("dev", 1, 1), ("prod", 2, 2)):
        platform, tenant = idle(gateways, nats)
        lines.append(f"| {stage} | {platform:.0f} | {tenant:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(tables())
