"""What the HTTP API answers of people and their keys."""

from __future__ import annotations

from datetime import datetime

from hookline.core.records import Role
from hookline.core.views.view import View


class MeView(View):
    """Who the key speaks for."""

    tenant: str
    user: str
    role: Role


class UserView(View):
    """A person in the tenant."""

    name: str
    role: Role
    created_at: datetime


class KeyView(View):
    """A key, known by the first digits of its hash; the key itself is not stored."""

    id: str
    label: str
    user: str
    created_at: datetime


class NewKeyView(KeyView):
    """A key as it is made. It is shown this once."""

    key: str


class WebhookSecretView(View):
    """What notices are signed with. It is shown this once."""

    secret: str
