"""Who may ask a server that runs on somebody's own machine: the page that it serves, no other.

Any page that is open in the browser can send requests to an address of the same machine. They come
with the origin of that page, and with the name that it calls this address by: neither is the
server's own. No answer says that another origin may read it.
"""

import ipaddress
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# What the page may load: what lies beside it, code in WebAssembly, and what it makes itself.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self' blob: data:",
    "media-src": "blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # Files are asked for again, and sent where they have changed.
}


class BrowserGuard:
    """Refuses requests that come from elsewhere, and says in each answer what the page may do.

    Args:
        app: what answers the others.
        host: the name or address that the server listens at; that of all addresses of a machine
            stands for each of them.
        names: what else it is called.
    """

    def __init__(self, app: ASGIApp, host: str, names: Collection[str] = ()):
        self._app = app
        self._names = {name.lower() for name in (host, *names)}
        self._is_everywhere = _is_address(host) and ipaddress.ip_address(host).is_unspecified
        if self._is_everywhere or self._names.intersection(LOOPBACK):
            self._names.update(LOOPBACK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        if scope["type"] != "http":  # Only the start and the end of the server: no websockets.
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        problem = self._find_problem(scope["scheme"], Headers(scope=scope))
        answer = JSONResponse({"error": problem}, 403) if problem else self._app
        await answer(scope, receive, send_with_headers)

    def _find_problem(self, scheme: str, headers: Headers) -> str | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_own(_name_of(hosts[0])):
            return (
                f"Host must be the address that this server was started at ({self._describe()}). "
                f"Received: {', '.join(hosts) or 'none'}."
            )
        own = f"{scheme}://{hosts[0]}".lower()
        if any(origin.lower() != own for origin in origins):
            return f"Origin must be that of this server's own page, {own}. Received: {origins[0]}."
        return None

    def _is_own(self, name: str) -> bool:
        # An address in the place of a name is right wherever the server listens at all of them:
        # only a name can be pointed to another machine after its page was loaded.
        return name in self._names or (self._is_everywhere and _is_address(name))

    def _describe(self) -> str:
        every = ["any address of this machine"] if self._is_everywhere else []
        return ", ".join([*sorted(self._names), *every])


def _name_of(host: str) -> str:
    """Returns the name or address of a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
