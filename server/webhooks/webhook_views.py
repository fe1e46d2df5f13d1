"""Bodies and answers about webhooks."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.webhooks.endpoints import Endpoint, endpoint_url
from server.webhooks.outbox import DeliveryState
from server.webhooks.sql_endpoints import Sent

LONGEST_URL = 2048


class WebhookRequest(BaseModel):
    """An address to register."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(
        max_length=LONGEST_URL,
        description="Messages are posted there: http or https, a public address unless the operator allows others.",
    )

    @field_validator("url")
    @classmethod
    def _is_whole(cls, url: str) -> str:
        whole = str(endpoint_url(url))
        if len(whole) > LONGEST_URL:  # what is no ASCII takes more in a URL
            raise ValueError(f"it has {len(whole)} characters as a URL; allowed: {LONGEST_URL}")
        return whole


class WebhookView(BaseModel):
    """An address that is told of each state that a job of its owner comes into."""

    id: str
    owner: str | None = Field(description="Whose jobs it hears of; null for those submitted without a token.")
    url: str
    created_at: datetime

    @classmethod
    def of(cls, endpoint: Endpoint) -> "WebhookView":
        """Return the view of `endpoint`."""
        return cls.model_validate(endpoint, from_attributes=True)


class NewWebhook(WebhookView):
    """An address that was registered just now, with its secret, which is shown this once."""

    secret: str = Field(description="Messages are signed with it, by Standard Webhooks.")


class Webhooks(BaseModel):
    """Addresses that are told of jobs, the oldest first."""

    items: list[WebhookView]


class DeliveryView(BaseModel):
    """A message to an address."""

    id: str = Field(description="Its `webhook-id`, the same at each attempt.")
    type: str = Field(description="job. and the state that the job came into: job.succeeded.")
    job_id: str
    state: DeliveryState
    attempts: int = Field(description="Made so far, of ten within 75 hours.")
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="While it waits: when it is tried.")
    settled_at: datetime | None = Field(description="Since when it is delivered or given up.")
    problem: str | None = Field(description="Why the last attempt failed.")

    @classmethod
    def of(cls, sent: Sent) -> "DeliveryView":
        """Return the view of `sent`."""
        return cls.model_validate(sent, from_attributes=True)


class DeliveryPage(BaseModel):
    """Some messages to an address, the newest first; those that were settled 30 days ago are gone."""

    items: list[DeliveryView]
    next: str | None = Field(description="Where the older ones are; null on the last page.")
