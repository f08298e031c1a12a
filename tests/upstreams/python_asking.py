"""The tools of the conformance fixture that ask by their result (SEP-2322): the client answers by calling again.

The state that comes back must be the one that was given.
"""

import base64
import hashlib
import hmac
import json
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def done(*blocks: Json, failed: bool = False) -> Json:
    return {"content": list(blocks), "isError": failed}


def tag(state: str) -> str:
    return hmac.new(b"a fixture has no secrets", state.encode(), hashlib.sha256).hexdigest()


def seal(state: str) -> str:
    return base64.urlsafe_b64encode(f"{tag(state)}.{state}".encode()).decode()


def unseal(sealed: str) -> str:
    try:
        given, _, state = base64.urlsafe_b64decode(sealed).decode().partition(".")
    except ValueError:
        given, state = "", ""
    if not hmac.compare_digest(given, tag(state)):
        raise MCPError(-32602, "requestState is not what this server gave")
    return state


def form(message: str, field: str, kind: str = "string") -> Json:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def sampling(prompt: str, tokens: int = 100) -> Json:
    params = {"messages": [{"role": "user", "content": text(prompt)}], "maxTokens": tokens}
    return {"method": "sampling/createMessage", "params": params}


ROOTS: Json = {"method": "roots/list", "params": {}}


def ask(state: str | None = None, **questions: Json) -> Json:
    asked = {"resultType": "input_required", "inputRequests": questions}
    return asked if state is None else {**asked, "requestState": seal(state)}


def asking(context: Context, tool: str) -> Json:
    params = context.params or {}
    answers = {key: value for key, value in (params.get("inputResponses") or {}).items() if isinstance(value, dict)}
    state = unseal(params["requestState"]) if "requestState" in params else None
    match tool:
        case "elicitation":
            name = answers.get("user_name", {}).get("content", {}).get("name")
            return ask(user_name=form("What is your name?", "name")) if name is None else done(text(f"Hello, {name}!"))
        case "sampling":
            if "capital_question" not in answers:
                return ask(capital_question=sampling("What is the capital of France?"))
            return done(text(answers["capital_question"].get("content", {}).get("text", "no text")))
        case "list_roots":
            if "client_roots" not in answers:
                return ask(client_roots=ROOTS)
            return done(text(f"roots: {json.dumps(answers['client_roots'].get('roots'))}"))
        case "request_state" | "tampered_state":
            if state == "confirm" and "confirm" in answers:
                return done(text("state-ok"))
            return ask("confirm", confirm=form("Please confirm", "ok", "boolean"))
        case "multiple_inputs":
            questions = {
                "user_name": form("What is your name?", "name"),
                "greeting": sampling("Generate a greeting", 50),
                "client_roots": ROOTS,
            }
            if questions.keys() <= answers.keys():
                return done(text("all three answers arrived"))
            return ask("three", **questions)
        case "multi_round":
            if state == "round 2" and "step2" in answers:
                return done(text("both steps are done"))
            if state == "round 1" and "step1" in answers:
                return ask("round 2", step2=form("Step 2: What is your favorite color?", "color"))
            return ask("round 1", step1=form("Step 1: What is your name?", "name"))
        case "capabilities":
            declared = context.session.client_capabilities
            wanted = {
                "elicitation": ("user_name", form("What is your name?", "name")),
                "sampling": ("greeting", sampling("Generate a greeting", 50)),
                "roots": ("client_roots", ROOTS),
            }
            asked = dict(question for key, question in wanted.items() if getattr(declared, key, None) is not None)
            return ask(**asked) if asked else done(text("the client declared nothing to ask for"))
    raise MCPError(-32602, f"unknown tool: {tool}")
