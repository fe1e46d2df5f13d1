"""Requests that a browser makes for other sites are refused, but for sites that the operator names.

Without tokens the service trusts everybody who can reach it. A page of another site may send a browser here under a
name of its own (DNS rebinding), or post what needs no leave of ours (cross-origin requests without a preflight).

References:
    Fetch Metadata Request Headers (W3C); RFC 6454, The Web Origin Concept; Cross-Origin Resource Sharing (WHATWG,
    Fetch).
"""

import re
from collections.abc import Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.addresses import is_address
from server.http.problems import problem_response

IPV6 = re.compile(r"\[([^\]]*)\](?::[0-9]*)?")  # with a port or without
OWN_SITES = ("same-origin", "none")  # of Sec-Fetch-Site: our pages, and what a user types
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
TOLD = ("Content-Range", "ETag", "Location", "Retry-After", "X-Request-Id")  # beside what any page may read


class BrowserGuard:
    """Answers only requests for a host of ours that no page of another origin makes, but those that are allowed."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), origins: Collection[str] = ()) -> None:
        """Guard `app`.

        Args:
            app: the application.
            hosts: names that the service is reached by, beside localhost and addresses in figures.
            origins: of other sites whose pages are answered ("https://example.org").
        """
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origins)
        # Tokens travel in a header of their own, never in cookies: no credentials of the browser's are let in.
        self._shared = CORSMiddleware(
            app, allow_origins=self._origins, allow_methods=["*"], allow_headers=["*"], expose_headers=TOLD
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with a problem, or lets the application answer."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        host, respond = headers.get("host"), self._app
        if host is not None and not self._is_ours(host):
            detail = f"this server is not called {host!r:.80}; its operator allows names with --allowed-host"
            respond = problem_response(421, "foreign-host", detail, instance=scope["path"])
        elif headers.get("origin") in self._origins:
            respond = self._shared
        elif _is_of_another_site(headers, scope["method"]):
            detail = (
                "the request comes from a page of another origin; only programs, pages of this server and those of "
                "origins that its operator allows with --allowed-origin are answered"
            )
            respond = problem_response(403, "cross-origin", detail, instance=scope["path"])
        await respond(scope, receive, send_guarded)

    def _is_ours(self, host: str) -> bool:
        """Return True for a name that no other site can have: an address in figures, localhost, or one allowed."""
        if match := IPV6.fullmatch(host):
            return is_address(match[1])
        name = host.lower().partition(":")[0].rstrip(".")
        return is_address(name) or name == "localhost" or name.endswith(".localhost") or name in self._hosts


def _is_of_another_site(headers: Mapping[str, str], method: str) -> bool:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        return True
    if headers.get("sec-fetch-site", "none") in OWN_SITES:
        return False
    follows_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (follows_link and method in ("GET", "HEAD"))
