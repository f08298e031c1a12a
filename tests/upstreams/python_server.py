"""A small MCP server on the Python SDK: both eras on one URL, sessions for legacy clients.

Usage: python python_server.py [PORT [sse]]. Listens on loopback; without a port, or with 0, on a free one. Prints
`listening http://127.0.0.1:PORT/mcp` when it accepts connections; with `sse`, which stands for the transport of
2024-11-05, `/sse`.
"""

import socket
import sys

import anyio
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("words", instructions="Counts and turns words.")


@server.tool()
def count_words(text: str) -> int:
    """Counts the words of a text."""
    return len(text.split())


@server.tool()
def reverse(text: str) -> str:
    """Turns a text around."""
    return text[::-1]


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two integers of any size."""
    return a + b


@server.resource("words://alphabet", mime_type="text/plain")
def alphabet() -> str:
    """The letters from a to z."""
    return "abcdefghijklmnopqrstuvwxyz"


@server.prompt()
def summarize(text: str) -> str:
    """Asks for a summary of a text."""
    return f"Summarize in one sentence: {text}"


class Name(BaseModel):
    """What `greet` wants to know."""

    name: str


async def greet(ctx: Context) -> str:
    """Asks the user for a name, and greets."""
    await ctx.report_progress(1, 2)
    answer = await ctx.elicit("Who are you?", Name)
    return f"Hello, {answer.data.name}!" if answer.action == "accept" else "Hello!"


async def main(port: int, transport: str) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    if transport == "sse":
        server.add_tool(greet)
    app = server.sse_app() if transport == "sse" else server.streamable_http_app()
    config = uvicorn.Config(app, log_level="warning")
    path = "sse" if transport == "sse" else "mcp"
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}/{path}", flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0, "".join(sys.argv[2:3]))
