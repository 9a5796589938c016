"""These tests need botocore and moto; the contract suite says so where they are missing."""

from __future__ import annotations

from tests.contract.adapters import missing_for_aws

collect_ignore_glob = ["test_*.py"] if missing_for_aws() else []
