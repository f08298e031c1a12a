"""The Python SDK as a client.

Usage: python python_client.py URL TOOL [ARGUMENTS-AS-JSON] [MODE]. MODE is `auto` (server/discover, else initialize),
`legacy`, or a revision to insist on. Prints the same lines as client.mjs; exit code 0 or 1.
"""

import json
import sys

import anyio
from mcp import Client


def show(step: str, **fields: object) -> None:
    print(json.dumps({"step": step, **fields}), flush=True)


async def main(url: str, tool: str, arguments: str = "{}", mode: str = "auto") -> None:
    async with Client(url, mode=mode) as client:
        server = client.server_info
        show("connect", server=server.name if server else None, version=client.protocol_version)
        names, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            names += [found.name for found in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        show("tools", names=names)
        result = await client.call_tool(tool, json.loads(arguments))
        content = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
        show("call", content=content, isError=bool(result.is_error))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: URL TOOL [ARGUMENTS-AS-JSON] [MODE]")
    try:
        anyio.run(main, *sys.argv[1:])
    except BaseExceptionGroup as group:
        show("error", message=repr(group.exceptions))
        sys.exit(1)
    except Exception as error:
        show("error", message=repr(error))
        sys.exit(1)
