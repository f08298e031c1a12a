"""What stands for each container image: programs of this machine, put where the image has them.

The whole file system of this machine is visible, unchanged, inside every container (see container.py), so an image
needs only what is not found there anyway: its programs, entry point, folder and variables.
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Image:
    """`programs`: path in the container -> file on this machine."""

    entry: list = field(default_factory=list)
    programs: dict = field(default_factory=dict)
    folder: str = "/"
    variables: dict = field(default_factory=dict)


def table(tools, built):
    """Repository (without registry and tag) -> image. `built`: where cargo put this project's programs."""
    tools, built = Path(tools), Path(built)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    gateway = "/usr/local/bin/envoy-gateway"
    manifold = "/usr/local/bin/mcp-manifold"
    fixture = "/usr/local/bin/upstream"
    # A registry is out of reach: npx finds the package in the folder where it starts.
    node = Image(folder=str(tools / "npm"), variables={"PATH": f"{tools}/node/bin:{path}", "npm_config_offline": "true"})
    python = Image(variables={"PATH": f"{tools}/python/bin:{path}"})
    return {
        "envoyproxy/envoy": Image(entry=["envoy"], programs={"/usr/local/bin/envoy": tools / "envoy"}),
        "envoyproxy/gateway": Image(entry=[gateway], programs={gateway: tools / "bin/envoy-gateway"}),
        "envoyproxy/gateway-dev": Image(entry=[gateway], programs={gateway: tools / "bin/envoy-gateway"}),
        "mcp-manifold/mcp-manifold": Image(entry=[manifold], programs={manifold: built / "mcp-manifold"}),
        "mcp-manifold/upstream": Image(entry=[fixture], programs={fixture: built / "examples/upstream"}),
        "library/node": node,
        "library/python": python,
    }


def find(images, reference):
    """The image of a reference, with or without its registry; None where nothing stands for it."""
    name = reference.split("@")[0]
    head, _, tail = name.rpartition("/")
    parts = [*head.split("/"), tail.split(":")[0]] if head else ["library", tail.split(":")[0]]
    if "." in parts[0] or ":" in parts[0] or parts[0] == "localhost":
        parts = parts[1:]
    if len(parts) == 1:
        # An own program of a registry without folders, or one of the library.
        return images.get(f"mcp-manifold/{parts[0]}") or images.get(f"library/{parts[0]}")
    return images.get("/".join(parts[-2:])) or (images["mcp-manifold/mcp-manifold"] if parts[-1] == "mcp-manifold" else None)
