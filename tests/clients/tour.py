"""The tour of tour.mjs, taken by the Python SDK.

Usage: python tour.py URL MODE STEPS. MODE is `auto`, `legacy`, or a revision to insist on; steps and output are those of
tour.mjs.
"""

import json
import sys
import warnings
from contextlib import AsyncExitStack
from typing import Any

import anyio
import mcp_types as types
from mcp import Client

# Older clients still use what the current revision deprecates.
warnings.simplefilter("ignore")

MODERN = "2026-07-28"
PATIENCE = 20
SAMPLES = {"string": "Ada", "boolean": True, "integer": 36, "number": 36.5, "array": []}
CHANGES = {
    "notifications/tools/list_changed": "tools_changed",
    "notifications/prompts/list_changed": "prompts_changed",
}


def show(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


class Events:
    """What no step has taken yet."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.woken = anyio.Event()

    def happened(self, event: str, **fields: Any) -> None:
        show(event=event, **fields)
        self.names.append(event)
        self.woken.set()

    async def until(self, event: str) -> None:
        with anyio.fail_after(PATIENCE):
            while event not in self.names:
                self.woken = anyio.Event()
                await self.woken.wait()
        self.names.remove(event)


class Tourist:
    def __init__(self, url: str, mode: str, stack: AsyncExitStack) -> None:
        self.events, self.stack = Events(), stack
        self.level: str | None = None
        self.client = Client(
            url,
            mode=mode,
            elicitation_callback=self.elicit,
            sampling_callback=self.sample,
            list_roots_callback=self.roots,
            logging_callback=self.log,
            message_handler=self.message,
        )

    async def elicit(self, _: Any, params: Any) -> types.ElicitResult:
        self.events.happened("elicited", message=params.message)
        schema = params.requested_schema
        content = {name: SAMPLES[schema["properties"][name]["type"]] for name in schema.get("required", [])}
        return types.ElicitResult(action="accept", content=content)

    async def sample(self, _: Any, params: Any) -> types.CreateMessageResult:
        self.events.happened("sampled", prompt=params.messages[0].content.text)
        answer = types.TextContent(type="text", text="Paris")
        return types.CreateMessageResult(role="assistant", model="none", content=answer, stop_reason="endTurn")

    async def roots(self, _: Any) -> types.ListRootsResult:
        self.events.happened("rooted")
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/ada", name="home")])

    async def log(self, params: Any) -> None:
        self.events.happened("log", level=params.level, data=params.data)

    async def message(self, message: Any) -> None:
        method = getattr(message, "method", None)
        if method in CHANGES:
            self.events.happened(CHANGES[method])
        elif method == "notifications/resources/updated":
            self.events.happened("updated", uri=str(message.params.uri))

    async def progress(self, progress: float, _: Any, __: Any) -> None:
        self.events.happened("progress", progress=progress)

    async def listen(self, uri: str) -> None:
        if self.client.protocol_version < MODERN:
            await self.client.subscribe_resource(uri)
            return
        listening = self.client.listen(tools_list_changed=True, resource_subscriptions=[uri])
        # What it brings comes to the message handler.
        await self.stack.enter_async_context(listening)

    async def take(self, step: dict[str, Any]) -> None:
        client, arguments = self.client, step.get("arguments", {})
        modern = client.protocol_version >= MODERN
        meta = {"io.modelcontextprotocol/logLevel": self.level} if modern and self.level else None
        match step:
            case {"call": name}:
                result = await client.call_tool(name, arguments, progress_callback=self.progress, meta=meta)
                show(step="call", name=name, content=plain(result.content), isError=bool(result.is_error))
            case {"prompt": name}:
                show(step="prompt", messages=plain((await client.get_prompt(name, arguments)).messages))
            case {"read": uri}:
                show(step="read", contents=plain((await client.read_resource(uri)).contents))
            case {"complete": name, "value": value}:
                reference = types.PromptReference(type="ref/prompt", name=name)
                completed = await client.complete(reference, {"name": "arg1", "value": value})
                show(step="complete", values=completed.completion.values)
            case {"level": level}:
                self.level = level
                if not modern:
                    await client.set_logging_level(level)
                show(step="level")
            case {"listen": uri}:
                await self.listen(uri)
                show(step="listen")
            case {"await": event}:
                await self.events.until(event)
                show(step="await", **{"for": event})


def plain(models: Any) -> Any:
    return [model.model_dump(mode="json", by_alias=True, exclude_none=True) for model in models]


async def main(url: str, mode: str, steps: str) -> None:
    async with AsyncExitStack() as stack:
        tourist = Tourist(url, mode, stack)
        await stack.enter_async_context(tourist.client)
        show(step="connect", version=tourist.client.protocol_version)
        for step in json.loads(steps):
            await tourist.take(step)


if __name__ == "__main__":
    try:
        anyio.run(main, *sys.argv[1:])
    except BaseException as error:
        show(step="error", message=repr(getattr(error, "exceptions", error)))
        sys.exit(1)
