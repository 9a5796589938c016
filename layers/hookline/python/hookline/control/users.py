"""Users and their keys: /v1/me, /v1/users, /v1/keys, /v1/webhook-secret."""

from __future__ import annotations

from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Response

from hookline.control import app, credentials, paging, signing
from hookline.control.answers import CREATED, NO_CONTENT, created, no_content
from hookline.control.caller import Call, Calling
from hookline.control.credentials import CredentialLink
from hookline.control.idempotency import create
from hookline.control.paging import Limit, PageToken
from hookline.control.transactions import Write, commit
from hookline.core.errors import Conflict, NotFound
from hookline.core.ports import Delete, Ports, Put
from hookline.core.records import PLATFORM, Tenant, User
from hookline.core.requests import NewKey, NewUser
from hookline.core.secrets import new_key
from hookline.core.topology import Handler
from hookline.core.views.people import KeyView, MeView, NewKeyView, UserView, WebhookSecretView
from hookline.core.views.view import PageView

router = app.Router()

USERS = "user/"  # the subjects of keys; those of tokens are streams
ID_CHARS = 16


def build(ports: Ports) -> Handler:
    """The handler of the routes below."""
    return app.handler([router], ports)


def bootstrap(ports: Ports, tenant: str, name: str) -> str:
    """Make a tenant and its first admin, if need be, and a key for them, which is not stored."""
    now, key = ports.clock(), new_key()

    def plan() -> tuple[str, list[Write]]:
        known = ports.catalog.get(Tenant, PLATFORM, tenant)
        user = ports.catalog.get(User, tenant, name)
        admin = user or User(tenant=tenant, name=name, role="admin", created_at=now)
        return key, [
            Put(known or Tenant(name=tenant, created_at=now)),
            Put(admin),
            *(Put(record) for record in credentials.of_user(admin, key, now)),
        ]

    return commit(ports.catalog, plan)


@router.get("/v1/me")
def show_me(call: Calling) -> MeView:
    """Say who the key speaks for."""
    return MeView(tenant=call.tenant, user=call.user, role=call.role)


@router.post("/v1/users", status_code=CREATED)
def create_user(call: Calling, body: NewUser) -> Response[UserView]:
    """Let a person in (admin)."""
    call.require_admin()

    def plan() -> tuple[User, list[Write]]:
        if call.ports.catalog.get(User, call.tenant, body.name):
            raise Conflict(f"There is a user {body.name} already.")
        user = User(tenant=call.tenant, name=body.name, role=body.role, created_at=call.now())
        return user, []

    user, _ = create(call, body, User, plan)
    return created(f"/v1/users/{user.name}", UserView.model_validate(user))


@router.get("/v1/users")
def list_users(call: Calling, limit: Limit = 100, page_token: PageToken = "") -> PageView[UserView]:
    """List the people of the tenant."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(User, call.tenant, after=turn.after, limit=limit)
    return turn.page(found, UserView.model_validate)


@router.delete("/v1/users/<name>", status_code=NO_CONTENT)
def delete_user(call: Calling, name: str) -> Response[None]:
    """Shut a person out: the user and all their keys (admin)."""
    call.require_admin()
    name = unquote(name)  # no name has a %, whether what is in front of us has decoded it or not
    user = call.find(User, name)
    if name == call.user:
        raise Conflict("You cannot delete yourself.", hint="Ask another admin.")
    # The user first, so that no key can be made in between.
    call.ports.catalog.transact([Delete(user)])
    subject = credentials.user_subject(name)
    credentials.revoke(call.ports, credentials.links(call.ports, call.tenant, subject))
    return no_content()


@router.post("/v1/keys", status_code=CREATED)
def create_key(call: Calling, body: NewKey) -> Response[NewKeyView]:
    """Make a key for oneself, or for another (admin). It is shown this once."""
    name, key = body.user or call.user, new_key()
    if name != call.user:
        call.require_admin()

    def plan() -> tuple[CredentialLink, list[Write]]:
        user = call.find(User, name)
        credential, link = credentials.of_user(user, key, call.now())
        return link, [Put(user), Put(credential)]

    link, is_new = create(call, body, CredentialLink, plan)
    view = _view(link)
    if not is_new:
        raise Conflict(
            f"The key {view.id} was made by this request before, and is shown once only.",
            hint=f"Delete it with `hookline key delete {view.id}`, then make another.",
        )
    return created(f"/v1/keys/{view.id}", NewKeyView(**dict(view), key=key))


@router.get("/v1/keys")
def list_keys(call: Calling, limit: Limit = 100, page_token: PageToken = "") -> PageView[KeyView]:
    """List one's own keys; an admin sees everyone's."""
    turn = paging.turn(call, limit, page_token)
    found = call.ports.catalog.query(
        CredentialLink, call.tenant, prefix=_visible(call), after=turn.after, limit=limit
    )
    return turn.page(found, _view)


@router.delete("/v1/keys/<key_id>", status_code=NO_CONTENT)
def delete_key(call: Calling, key_id: str) -> Response[None]:
    """Revoke a key."""
    mine = call.every(CredentialLink, _visible(call))
    found = [link for link in mine if _view(link).id == key_id]
    if not found:
        raise NotFound.of("key", key_id, hint="List them with `hookline key list`.")
    credentials.revoke(call.ports, found)
    return no_content()


@router.post("/v1/webhook-secret", status_code=CREATED)
def replace_webhook_secret(call: Calling) -> Response[WebhookSecretView]:
    """Make the secret that notices are signed with, or another one (admin). It is shown once.

    The former one signs as well for a day.
    """
    call.require_admin()
    secret = signing.replaced(call.ports, call.tenant)
    return created("/v1/webhook-secret", WebhookSecretView(secret=secret))


def _visible(call: Call) -> str:
    """Which links a caller may see: those of users, not of streams."""
    return USERS if call.role == "admin" else f"{USERS}{call.user}/"


def _view(link: CredentialLink) -> KeyView:
    return KeyView(
        id=link.sha256[:ID_CHARS],
        label=link.label,
        user=link.subject.removeprefix(USERS),
        created_at=link.created_at,  # type: ignore[arg-type]  # pydantic makes it a datetime
    )
