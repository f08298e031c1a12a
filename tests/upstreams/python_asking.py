"""The tools of the conformance fixture that ask the client.

A modern client is asked by the result (SEP-2322) and answers by calling again; the state that comes back must be the
one that was given. For a legacy client `put` turns the questions into requests on the call's stream.
"""

import base64
import hashlib
import hmac
import json
from functools import partial
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult
from mcp_types import ServerRequest as AnyServerRequest
from pydantic import TypeAdapter

MODERN = "2026-07-28"
ServerRequest = TypeAdapter(AnyServerRequest)
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


ANSWERS = {
    "elicitation/create": ElicitResult,
    "sampling/createMessage": CreateMessageResult,
    "roots/list": ListRootsResult,
}


async def put(context: Context, asked: Json) -> Json:
    """The members that a legacy client's answers to these questions add to the call; all are put at once."""
    answers: Json = {}

    async def put_one(key: str, question: Json) -> None:
        request = ServerRequest.validate_python({**question, "jsonrpc": "2.0"})
        where = ServerMessageMetadata(related_request_id=context.request_id)
        answer = await context.session.send_request(request, ANSWERS[question["method"]], metadata=where)
        answers[key] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)

    async with anyio.create_task_group() as group:
        for key, question in asked["inputRequests"].items():
            group.start_soon(put_one, key, question)
    state = {"requestState": asked["requestState"]} if "requestState" in asked else {}
    return {"inputResponses": answers, **state}


async def until_answered(context: Context, once: Any) -> Json:
    """Calls `once(params)` until it asks no more; a modern client does the repeating itself."""
    params = dict(context.params or {})
    while True:
        result = once(params)
        if context.protocol_version == MODERN or result.get("resultType") != "input_required":
            return result
        params |= await put(context, result)


def answers_in(params: Json) -> Json:
    """Answers that are at least objects; anything else counts as missing."""
    return {key: value for key, value in (params.get("inputResponses") or {}).items() if isinstance(value, dict)}


def asking(declared: Any, tool: str, params: Json) -> Json:
    """One round of the tools `test_input_required_result_...`."""
    answers = answers_in(params)
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
            if answers:
                return done(text("the answers arrived"))
            wanted = {
                "elicitation": ("user_name", form("What is your name?", "name")),
                "sampling": ("greeting", sampling("Generate a greeting", 50)),
                "roots": ("client_roots", ROOTS),
            }
            asked = dict(question for key, question in wanted.items() if getattr(declared, key, None) is not None)
            return ask(**asked) if asked else done(text("the client declared nothing to ask for"))
    raise MCPError(-32602, f"unknown tool: {tool}")


def sample(declared: Any, prompt: str, params: Json) -> Json:
    if getattr(declared, "sampling", None) is None:
        return done(text("the client does not support sampling"), failed=True)
    answer = answers_in(params).get("model")
    if answer is None:
        return ask(model=sampling(prompt))
    return done(text(f"LLM response: {answer.get('content', {}).get('text', '')}"))


def elicit(declared: Any, message: str, schema: Json, lead: str, params: Json) -> Json:
    if getattr(declared, "elicitation", None) is None:
        return done(text("the client does not support elicitation"), failed=True)
    answer = answers_in(params).get("user")
    if answer is None:
        question = {"mode": "form", "message": message, "requestedSchema": schema}
        return ask(user={"method": "elicitation/create", "params": question})
    return done(text(f"{lead}action={answer.get('action')}, content={json.dumps(answer.get('content'))}"))


def obj(properties: Json, **more: Any) -> Json:
    return {"type": "object", "properties": properties, **more}


PERSON = obj(
    {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    },
    required=["username", "email"],
)
DEFAULTS = obj(
    {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
)


def titled(word: str) -> list[Json]:
    order = enumerate(("First", "Second", "Third"), 1)
    return [{"const": f"value{number}", "title": f"{which} {word}"} for number, which in order]


PLAIN = ["option1", "option2", "option3"]
CHOICES = obj(
    {
        "untitledSingle": {"type": "string", "enum": PLAIN},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": PLAIN}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    },
)


def questions(declared: Any, name: str, arguments: Json) -> dict[str, Any]:
    """One round of each tool that asks."""
    message, lead = arguments.get("message", ""), "Elicitation completed: "
    tool = name.removeprefix("test_input_required_result_")
    return {
        "test_streaming_elicitation": partial(asking, declared, "elicitation"),
        "test_sampling": partial(sample, declared, arguments.get("prompt", "")),
        "test_elicitation": partial(elicit, declared, message, PERSON, "User response: "),
        "test_elicitation_sep1034_defaults": partial(elicit, declared, "Please check the defaults", DEFAULTS, lead),
        "test_elicitation_sep1330_enums": partial(elicit, declared, "Please choose", CHOICES, lead),
        **({name: partial(asking, declared, tool)} if tool != name else {}),
    }
