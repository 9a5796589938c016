"""What runs in a container stands on botocore."""

from __future__ import annotations

from tests.contract.adapters import missing_for_aws

collect_ignore_glob = ["test_*.py"] if missing_for_aws() else []
