"""The tools that the conformance suite calls by name and that ask the client before they answer."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp import MCPError

from .asking import Request, form, sampling, told
from .samples import text
from .tools import Answer, Fixture, Run, fixture, strings

TEXT = {"type": "string"}
CHOICES = ["option1", "option2", "option3"]
CONFIRMED = "awaiting confirmation"

DEFAULTS: dict[str, Any] = {
    "name": {**TEXT, "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {**TEXT, "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}


def titled(*titles: str) -> list[dict[str, str]]:
    return [{"const": f"value{number}", "title": title} for number, title in enumerate(titles, 1)]


ENUMS: dict[str, Any] = {
    "untitledSingle": {**TEXT, "enum": CHOICES},
    "titledSingle": {**TEXT, "oneOf": titled("First Option", "Second Option", "Third Option")},
    "legacyEnum": {
        **TEXT,
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {**TEXT, "enum": CHOICES}},
    "titledMulti": {
        "type": "array",
        "items": {"anyOf": titled("First Choice", "Second Choice", "Third Choice")},
    },
}


def ended(answer: types.InputResponse) -> str:
    """How the user left a form, and what was in it."""
    assert isinstance(answer, types.ElicitResult)
    return f"action={answer.action}, content={answer.content}"


def asking(key: str, question: types.InputRequest, answered: str) -> Run:
    """A tool that asks one thing, and puts the answer into the words of `answered`."""

    async def run(request: Request) -> Answer:
        answers = await request.ask({key: question})
        return [text(answered.format(told(answers[key])))]

    return run


def filling(properties: dict[str, Any]) -> Run:
    """A tool that has a form filled in, and tells how that ended."""

    async def run(request: Request) -> Answer:
        answers = await request.ask({"form": form("Please fill in the form.", properties)})
        return [text(f"Elicitation completed: {ended(answers['form'])}")]

    return run


async def ask_model(request: Request) -> Answer:
    answers = await request.ask({"prompt": sampling(str(request.arguments.get("prompt", "")))})
    return [text(f"LLM response: {told(answers['prompt'])}")]


async def ask_user(request: Request) -> Answer:
    properties = {
        "username": {**TEXT, "description": "User's response"},
        "email": {**TEXT, "description": "User's email address"},
    }
    answers = await request.ask(
        {"user": form(str(request.arguments.get("message", "")), properties)}
    )
    return [text(f"User response: {ended(answers['user'])}")]


async def keep_state(request: Request) -> Answer:
    """Gives state away with its question, and wants to see it with the answer."""
    question = form("Please confirm", {"ok": {"type": "boolean"}})
    await request.ask({"confirm": question}, state=CONFIRMED)
    if request.modern and request.state != CONFIRMED:
        raise MCPError(types.INVALID_PARAMS, "The state did not come back with the answer")
    return [text("state-ok")]


async def ask_all(request: Request) -> Answer:
    questions: types.InputRequests = {
        "user_name": form("What is your name?", {"name": TEXT}),
        "greeting": sampling("Generate a greeting", max_tokens=50),
        "client_roots": types.ListRootsRequest(),
    }
    answers = await request.ask(questions, state="all asked")
    return [text("; ".join(told(answers[key]) for key in questions))]


async def ask_twice(request: Request) -> Answer:
    """The state of the second round holds the answer of the first, which the client does not
    repeat."""
    first = (request.state or "").removeprefix("first: ")
    if not (request.state or "").startswith("first: "):
        answers = await request.ask(
            {"step1": form("Step 1: What is your name?", {"name": TEXT})}, state="asked"
        )
        first = told(answers["step1"])
    question = form("Step 2: What is your favorite color?", {"color": TEXT})
    answers = await request.ask({"step2": question}, state=f"first: {first}")
    return [text(f"{first}; {told(answers['step2'])}")]


async def ask_what_is_allowed(request: Request) -> Answer:
    """Asks only for what the client declared that it can do."""
    questions: types.InputRequests = {
        "user_name": form("What is your name?", {"name": TEXT}),
        "greeting": sampling("Generate a greeting", max_tokens=50),
    }
    allowed = {key: question for key, question in questions.items() if request.can(question)}
    answers = await request.ask(allowed) if allowed else {}
    return [
        text("; ".join(told(answers[key]) for key in allowed) or "The client can answer nothing.")
    ]


NAME = form("What is your name?", {"name": TEXT})
PREFIX = "test_input_required_result_"

FIXTURES: list[Fixture] = [
    fixture(
        "test_sampling",
        "Asks the client's model.",
        ask_model,
        strings(prompt="The prompt for the model"),
    ),
    fixture(
        "test_elicitation", "Asks the user.", ask_user, strings(message="The message for the user")
    ),
    fixture("test_elicitation_sep1034_defaults", "A form with default values.", filling(DEFAULTS)),
    fixture("test_elicitation_sep1330_enums", "A form with all kinds of choices.", filling(ENUMS)),
    fixture(
        "test_missing_capability",
        "Cannot do without sampling.",
        asking("word", sampling("Say a word"), "{}"),
    ),
    fixture(
        "test_streaming_elicitation", "Asks the user.", asking("user_name", NAME, "Hello, {}!")
    ),
    fixture(
        f"{PREFIX}elicitation", "Asks the user's name.", asking("user_name", NAME, "Hello, {}!")
    ),
    fixture(
        f"{PREFIX}sampling",
        "Asks the client's model.",
        asking(
            "capital_question", sampling("What is the capital of France?"), "The model says: {}"
        ),
    ),
    fixture(
        f"{PREFIX}list_roots",
        "Asks for the client's roots.",
        asking("client_roots", types.ListRootsRequest(), "Roots: {}"),
    ),
    fixture(f"{PREFIX}request_state", "Asks, and gives state along.", keep_state),
    fixture(f"{PREFIX}tampered_state", "Refuses state that it did not give.", keep_state),
    fixture(f"{PREFIX}multiple_inputs", "Asks three things at once.", ask_all),
    fixture(f"{PREFIX}multi_round", "Asks twice.", ask_twice),
    fixture(f"{PREFIX}capabilities", "Asks what the client can answer.", ask_what_is_allowed),
]
