"""Webhooks over HTTP: addresses are registered, listed and removed, and their messages listed."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.http.authorization import CallerDep
from server.http.dependencies import ServicesDep
from server.http.problems import documented
from server.stores.schema import MOST_INTEGER
from server.webhooks.endpoints import endpoint_url, new_endpoint
from server.webhooks.webhook_views import DeliveryPage, DeliveryView, NewWebhook, WebhookRequest, Webhooks, WebhookView

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
MOST_PER_PAGE = 200


@router.post("", status_code=201, responses=documented(400, 403, 408, 411, 413))
def register(wanted: WebhookRequest, response: Response, services: ServicesDep, caller: CallerDep) -> NewWebhook:
    """Have an address told of each state that the caller's jobs come into. The answer alone tells the secret."""
    services.targets.require_host(endpoint_url(wanted.url).host)
    endpoint = new_endpoint(wanted.url, caller.owner)
    services.webhooks.add(endpoint, most=services.rules.limits.webhooks_per_owner)
    response.headers["Location"] = f"{router.prefix}/{endpoint.id}"
    return NewWebhook.model_validate(endpoint, from_attributes=True)


@router.get("")
def list_webhooks(services: ServicesDep, caller: CallerDep) -> Webhooks:
    """The addresses that the caller has registered; an admin sees everybody's."""
    return Webhooks(items=[WebhookView.of(endpoint) for endpoint in services.webhooks.all(caller.sees_only)])


@router.get("/{webhook_id}", responses=documented(404))
def show_webhook(webhook_id: str, services: ServicesDep, caller: CallerDep) -> WebhookView:
    """One address."""
    return WebhookView.of(services.webhooks.get(webhook_id, caller.sees_only))


@router.delete("/{webhook_id}", status_code=204, response_class=Response, responses=documented(404))
def remove_webhook(webhook_id: str, services: ServicesDep, caller: CallerDep) -> None:
    """Send nothing more to an address, and forget it with its messages."""
    services.webhooks.remove(services.webhooks.get(webhook_id, caller.sees_only).id)


@router.get("/{webhook_id}/deliveries", responses=documented(404))
def deliveries(
    webhook_id: str,
    services: ServicesDep,
    caller: CallerDep,
    limit: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Messages per page.")] = 50,
    before: Annotated[int | None, Query(ge=1, le=MOST_INTEGER, description="From `next` of the page before.")] = None,
) -> DeliveryPage:
    """The messages to an address, the newest first: delivered, waiting for another attempt, or given up, and why."""
    endpoint = services.webhooks.get(webhook_id, caller.sees_only)
    found = services.webhooks.sent(endpoint.id, limit=limit + 1, before=before)
    shown, more = found[:limit], len(found) > limit
    base = f"{router.prefix}/{endpoint.id}/deliveries"
    following = f"{base}?limit={limit}&before={shown[-1].number}" if more else None
    return DeliveryPage(items=[DeliveryView.of(one) for one in shown], next=following)
