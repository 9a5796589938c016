"""The devices that hookline runs on, and the machines that have them.

A Neuron device is not counted by ECS, so one task has the whole instance: it asks for more than
half of its memory.
"""

from __future__ import annotations

from dataclasses import dataclass

CPU, GPU, INF1, INF2 = "cpu", "gpu", "inf1", "inf2"

INF1_REASON = (
    "AWS ended its support of Inf1: the Neuron SDK archived torch-neuron in 2026, its last release "
    "is for PyTorch 1.13, and its drivers get no fixes. Set hookline:inf1=true to run it anyway."
)
# Where EC2 offers inf1 instances.
INF1_REGIONS = frozenset(
    {
        "ap-east-1",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ca-central-1",
        "eu-central-1",
        "eu-north-1",
        "eu-south-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "me-south-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
    }
)

_AMI = "/aws/service/ecs/optimized-ami/amazon-linux-2023/{}/recommended/image_id"
_GPU_AMI, _NEURON_AMI = _AMI.format("gpu"), _AMI.format("neuron")


@dataclass(frozen=True, slots=True)
class Machine:
    """An EC2 instance type. `task_memory_mib`: what a task on it reserves."""

    instance_type: str
    ami_parameter: str
    memory_mib: int
    task_memory_mib: int
    gpus: int = 0
    neuron_chips: int = 0


# CPU runs on Fargate and has no machine.
MACHINES: dict[str, Machine] = {
    GPU: Machine("g4dn.xlarge", _GPU_AMI, 16384, 12288, gpus=1),
    INF1: Machine("inf1.xlarge", _NEURON_AMI, 8192, 6144, neuron_chips=1),
    INF2: Machine("inf2.xlarge", _NEURON_AMI, 16384, 12288, neuron_chips=1),
}
DEVICES = (CPU, *MACHINES)
