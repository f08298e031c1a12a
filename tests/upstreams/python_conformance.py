"""The conformance suite's fixture on the Python SDK: both eras on one URL, the lists of `catalog/*.json`.

Usage: python python_conformance.py [PORT] [both|legacy|modern|sse]. Listens on loopback; without a port, or with 0, on
a free one. Prints `listening http://127.0.0.1:PORT/mcp` when it accepts connections; with `sse`, which stands for the
transport of 2024-11-05, `/sse`. Has no tasks: the SDK has none.
"""

import json
import socket
import sys
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    ErrorData,
    NotificationParams,
    PromptListChangedNotification,
    ToolListChangedNotification,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

sys.dont_write_bytecode = True
from python_asking import MODERN, Context, Json, answers_in, ask, done, form, questions, text, until_answered

# The current revision deprecates logging, sampling and roots; older clients still use them.
warnings.simplefilter("ignore")

TASKS = {"slow_compute", "failing_job", "protocol_error_job", "confirm_delete", "multi_input", "test_tool_with_task"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="


def catalog(kind: str) -> list[Json]:
    return json.loads((Path(__file__).parent / "catalog" / f"{kind}.json").read_text())


TOOLS = [tool for tool in catalog("tools") if tool["name"] not in TASKS]
PROMPTS, RESOURCES, TEMPLATES = catalog("prompts"), catalog("resources"), catalog("templates")

bus = InMemorySubscriptionBus()
# Legacy sessions: all, and by URI those that have subscribed.
sessions: list[Any] = []
subscribers: dict[str, list[Any]] = {}


# Content.


def image() -> Json:
    return {"type": "image", "data": PIXEL, "mimeType": "image/png"}


def embedded(uri: str, words: str, mime: str = "text/plain") -> Json:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": words}}


SIMPLE: dict[str, list[Json]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [image()],
    "test_audio_content": [{"type": "audio", "data": SILENCE, "mimeType": "audio/wav"}],
    "test_embedded_resource": [embedded("test://embedded-resource", "This is an embedded resource content.")],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ],
    "test_x_mcp_header": [text("The header and the parameter agree.")],
    "json_schema_2020_12_tool": [text("The schema came through.")],
}


# Tools that talk while they run.


async def log(context: Context, *messages: str) -> None:
    for number, message in enumerate(messages):
        if number:
            await anyio.sleep(0.05)
        await context.session.send_log_message("info", message, related_request_id=context.request_id)


async def progress(context: Context) -> None:
    for number, step in enumerate((0, 50, 100)):
        if number:
            await anyio.sleep(0.05)
        await context.session.report_progress(step, 100)


async def updated(uri: str) -> None:
    await bus.publish(ResourceUpdated(uri))
    for session in subscribers.get(uri, []):
        await session.send_resource_updated(uri)


async def changed(event: Any, notification: Any) -> None:
    """Tells everybody: a list is the same for all."""
    await bus.publish(event)
    for session in sessions:
        # Whoever is gone does not matter.
        with suppress(Exception):
            await session.send_notification(notification)


async def greeted(context: Context, _: Any) -> None:
    sessions.append(context.session)


# The methods.


async def call_tool(context: Context, params: Any) -> Json:
    name, arguments, session = params.name, params.arguments or {}, context.session
    if name in SIMPLE:
        return done(*SIMPLE[name])
    if name in (once := questions(session.client_capabilities, name, arguments)):
        return await until_answered(context, once[name])
    match name:
        case "test_error_handling":
            return done(text("This tool intentionally returns an error for testing"), failed=True)
        case "test_tool_with_logging":
            await log(context, "Tool execution started", "Tool processing data", "Tool execution completed")
        case "test_logging_tool":
            await log(context, "One message")
        case "test_tool_with_progress":
            await progress(context)
        case "test_reconnection":
            # The client comes back for the rest: SEP-1699.
            if context.close_sse_stream is not None:
                await context.close_sse_stream()
            await anyio.sleep(0.1)
            return done(text("Reconnection test completed"))
        case "test_missing_capability":
            declared = session.client_capabilities
            if declared is None or declared.sampling is None:
                raise MCPError.from_error_data(
                    ErrorData(
                        code=-32021,
                        message="Missing required client capability",
                        data={"requiredCapabilities": {"sampling": {}}},
                    )
                )
            return done(text("The client declared sampling."))
        case "test_trigger_tool_change":
            await changed(ToolsListChanged(), ToolListChangedNotification())
        case "test_trigger_prompt_change":
            await changed(PromptsListChanged(), PromptListChangedNotification())
        case "touch":
            await updated(arguments.get("uri", ""))
        case "greet":
            return done(text(f"Hello, {arguments.get('name')}!"))
        case "echo":
            return done(text(json.dumps(arguments)))
        case "sleep":
            await anyio.sleep(arguments.get("ms", 0) / 1000)
            return done(text("slept"))
        case "big":
            return done(text("x" * arguments.get("bytes", 0)))
        case "headers":
            headers = dict(context.request.headers)
            return {**done(text(json.dumps(headers))), "structuredContent": headers}
        case _:
            raise MCPError(-32602, f"unknown tool: {name}")
    return done(text(f"{name} executed"))


async def get_prompt(context: Context, params: Any) -> Json:
    return await until_answered(context, partial(prompt_once, params))


def prompt_once(params: Any, raw: Json) -> Json:
    arguments, answers = params.arguments or {}, answers_in(raw)
    match params.name:
        case "test_simple_prompt":
            blocks = [text("This is a simple prompt for testing.")]
        case "test_prompt_with_arguments":
            blocks = [text(f"Prompt with arguments: arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'")]
        case "test_prompt_with_embedded_resource":
            resource = embedded(arguments.get("resourceUri", ""), "Embedded resource content for testing.")
            blocks = [resource, text("Please process the embedded resource above.")]
        case "test_prompt_with_image":
            blocks = [image(), text("Please analyze the image above.")]
        case "test_input_required_result_prompt":
            if "user_context" not in answers:
                return ask(user_context=form("What context should the prompt use?", "context"))
            blocks = [text(f"With context: {answers['user_context'].get('content', {}).get('context')}")]
        case name:
            raise MCPError(-32602, f"unknown prompt: {name}")
    return {"messages": [{"role": "user", "content": block} for block in blocks]}


async def read_resource(context: Context, params: Any) -> Json:
    uri = str(params.uri)
    contents: Json = {"uri": uri, "mimeType": "text/plain"}
    number = uri.removeprefix("test://template/").removesuffix("/data")
    match uri:
        case "test://static-text":
            contents["text"] = "This is the content of the static text resource."
        case "test://static-binary":
            contents |= {"mimeType": "image/png", "blob": PIXEL}
        case "test://watched-resource":
            contents["text"] = "This resource can be watched."
        case _ if uri == f"test://template/{number}/data":
            found = {"id": number, "templateTest": True, "data": f"Data for ID: {number}"}
            contents |= {"mimeType": "application/json", "text": json.dumps(found)}
        case _:
            code = -32602 if context.protocol_version == MODERN else -32002
            raise MCPError(code, "resource not found", {"uri": uri})
    return {"contents": [contents]}


async def complete(_: Context, params: Any) -> Json:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return {"completion": {"values": values, "total": len(values), "hasMore": False}}


async def subscribe(context: Context, params: Any) -> Json:
    subscribers.setdefault(str(params.uri), []).append(context.session)
    return {}


async def unsubscribe(_: Context, params: Any) -> Json:
    subscribers.pop(str(params.uri), None)
    return {}


def listing(key: str, items: list[Json]) -> Any:
    async def handler(_: Context, __: Any) -> Json:
        return {key: items}

    return handler


async def nothing(_: Context, __: Any) -> Json:
    return {}


def typed(handler: Any) -> Any:
    """Modern results say that they are complete."""

    async def whole(context: Context, params: Any) -> Json:
        result = await handler(context, params)
        return {"resultType": "complete", **result} if context.protocol_version == MODERN else result

    return whole


# The HTTP side.


class Events(EventStore):
    """Remembers everything for ever, as a server of one test may."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        last = int(last_event_id)
        stream = self.events[last - 1][0]
        for number, (where, message) in enumerate(self.events[last:], last + 1):
            if where == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Speaks:
    """Refuses the other era the way a server refuses a version that it does not know."""

    def __init__(self, app: Any, eras: str) -> None:
        self.app, self.eras = app, eras

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        version = dict(scope.get("headers") or ()).get(b"mcp-protocol-version", b"").decode()
        era = "modern" if version >= MODERN else "legacy"
        if scope["type"] != "http" or self.eras in ("both", era):
            return await self.app(scope, receive, send)
        error: Json = {"code": -32600, "message": "Bad Request: Unsupported protocol version"}
        if self.eras == "modern":
            error |= {"code": -32022, "data": {"supported": [MODERN], "requested": version}}
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})


class Fixture(Server):
    """Lists that may change, said in `initialize` too."""

    def create_initialization_options(self, *_: Any, **__: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(True, True, True))


def fixture() -> Server:
    public = CacheHint(ttl_ms=1000, scope="public")
    cacheable = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read")
    server = Fixture(
        "python",
        version="1.0.0",
        cache_hints=dict.fromkeys(cacheable, public),
        on_list_tools=typed(listing("tools", TOOLS)),
        on_call_tool=typed(call_tool),
        on_list_prompts=typed(listing("prompts", PROMPTS)),
        on_get_prompt=typed(get_prompt),
        on_list_resources=typed(listing("resources", RESOURCES)),
        on_list_resource_templates=typed(listing("resourceTemplates", TEMPLATES)),
        on_read_resource=typed(read_resource),
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(bus),
        on_completion=typed(complete),
        on_set_logging_level=nothing,
    )
    server.add_notification_handler("notifications/initialized", NotificationParams, greeted)
    return server


def old_app() -> Starlette:
    """The fixture over HTTP+SSE."""
    server, transport = fixture(), SseServerTransport("/messages/")

    async def stream(request: Request) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", stream), Mount("/messages/", transport.handle_post_message)])


async def main(port: int, eras: str) -> None:
    if eras == "sse":
        app, path = old_app(), "sse"
    else:
        app, path = Speaks(fixture().streamable_http_app(event_store=Events(), retry_interval=300), eras), "mcp"
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="warning")
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}/{path}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0, sys.argv[2] if len(sys.argv) > 2 else "both")
