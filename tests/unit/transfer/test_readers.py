"""Files of conversations: each program's form is recognised, its dates kept, and a fault named with its place."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer import json_items
from recallr_litellm.services.transfer.document import SessionItem, id_of, milliseconds
from recallr_litellm.services.transfer.files import conversations, document_user

MARCH = 1709285400.0
"""1 March 2024, 9:30 UTC, seconds."""


def node(id: str, parent: str | None, *, role: str = "user", text: Any = "", **message: Any) -> dict[str, Any]:
    parts = text if isinstance(text, list) else [text]
    said = {
        "id": f"message-{id}",
        "author": {"role": role, "name": None, "metadata": {}},
        "create_time": MARCH + len(id),
        "content": {"content_type": "text", "parts": parts},
        "recipient": "all",
        "weight": 1.0,
        "metadata": {},
        **message,
    }
    return {"id": id, "message": said, "parent": parent, "children": []}


def chatgpt(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    mapping = {"root": {"id": "root", "message": None, "parent": None, "children": []}} | {n["id"]: n for n in nodes}
    for one in nodes:
        if one["parent"] in mapping:
            mapping[one["parent"]]["children"].append(one["id"])
    return {
        "title": "A cat",
        "create_time": MARCH,
        "update_time": MARCH + 60,
        "mapping": mapping,
        "current_node": nodes[-1]["id"] if nodes else "root",
        "conversation_id": "67c2-conversation",
        **changes,
    }


CHATGPT = chatgpt(
    node("s", "root", role="system", text=""),
    node("c", "s", content={"content_type": "user_editable_context", "user_profile": "I live in Bern."}),
    node("u", "c", text="My cat is called Felix."),
    node("old", "u", role="assistant", text="An answer that was regenerated."),
    node("t", "u", role="assistant", content={"content_type": "thoughts", "thoughts": [{"content": "Hm."}]}),
    node("call", "t", role="assistant", text="search()", recipient="web"),
    node("tool", "call", role="tool", text="results"),
    node("hidden", "tool", text="hidden", metadata={"is_visually_hidden_from_conversation": True}),
    node("a", "hidden", role="assistant", text=["What a nice ", "name."]),
    node(
        "u2",
        "a",
        text=[{"content_type": "image_asset_pointer", "asset_pointer": "file-service://1"}, "This is he."],
    ),
)

CLAUDE = {
    "uuid": "b6be-conversation",
    "name": "A dog",
    "created_at": "2024-03-01T09:30:00.123456Z",
    "updated_at": "2024-03-01T09:40:00Z",
    "account": {"uuid": "a"},
    "chat_messages": [
        {
            "uuid": "m1",
            "sender": "human",
            "text": "My dog is called Rex.",
            "content": [{"type": "text", "text": "My dog is called Rex."}],
            "created_at": "2024-03-01T09:30:00.123456Z",
            "attachments": [{"file_name": "rex.txt", "extracted_content": "long"}],
            "files": [],
        },
        {
            "uuid": "m2",
            "sender": "assistant",
            "text": "thinking and all",
            "content": [
                {"type": "thinking", "thinking": "A dog."},
                {"type": "text", "text": "A good name."},
                {"type": "tool_use", "name": "artifacts", "input": {}},
            ],
            "created_at": "2024-03-01T09:31:00Z",
        },
        {"uuid": "m3", "sender": "human", "text": "Of older exports.", "created_at": "2024-03-01T09:32:00Z"},
        {"uuid": "m4", "sender": "assistant", "text": "", "content": [], "created_at": "2024-03-01T09:33:00Z"},
    ],
}

LOCOMO = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Ben",
        "session_2_date_time": "12:09 am on 13 September, 2023",
        "session_2": [{"speaker": "Ben", "dia_id": "D2:1", "text": "How is the cat?"}],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ana", "dia_id": "D1:1", "text": "I have a cat now."},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "Lovely!", "blip_caption": "a photo"},
        ],
        "session_3_date_time": "1:00 pm on 1 October, 2023",
    },
    "qa": [],
}

OURS = {
    "user_id": "alice",
    "id": "chat 7",
    "created_at": "2024-03-01T09:30:00Z",
    "metadata": {"shop": 3},
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "text": "I like tea.", "at": "2024-03-01T10:30:00+01:00"},
        {"role": "assistant", "content": [{"type": "text", "text": "So do I."}], "timestamp": 1709285401},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f"}}]},
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
    ],
}


def file_of(folder: Path, value: Any, *, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def sessions(path: Path, format: str | None = None) -> list[SessionItem]:
    """The sessions of a file that is without fault."""
    found = list(conversations(path, format))
    assert [read.fault for read in found if read.fault] == []
    return [read.conversation.session for read in found if read.conversation is not None]


def said(session: SessionItem) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in session.messages]


def test_chatgpt_the_branch_that_was_shown_last(tmp_path: Path) -> None:
    [session] = sessions(file_of(tmp_path, [CHATGPT]))
    assert said(session) == [
        ("user", "My cat is called Felix."),
        ("assistant", "What a nice \nname."),
        ("user", "This is he."),
    ]
    assert session.messages[2].attachments == ("image_asset_pointer",)
    assert session.messages[0].at == int(MARCH * 1000) + 1000
    assert session.created_at == int(MARCH * 1000)
    assert session.metadata == {"source": "chatgpt", "title": "A cat"}


def test_chatgpt_without_current_node_and_times(tmp_path: Path) -> None:
    conversation = chatgpt(
        node("u", "root", text="One.", create_time=None), node("a", "u", role="assistant", text="Two.")
    )
    del conversation["current_node"]
    [session] = sessions(file_of(tmp_path, [conversation]))
    assert said(session) == [("user", "One."), ("assistant", "Two.")]
    assert session.messages[0].at is None


def test_claude_words_alone(tmp_path: Path) -> None:
    [session] = sessions(file_of(tmp_path, [CLAUDE]))
    assert said(session) == [
        ("user", "My dog is called Rex."),
        ("assistant", "A good name."),
        ("user", "Of older exports."),
    ]
    assert session.messages[0].attachments == ("file",)
    assert session.messages[1].at == milliseconds("2024-03-01T09:31:00Z")
    assert session.metadata == {"source": "claude", "title": "A dog"}


def test_locomo_sessions_in_their_order(tmp_path: Path) -> None:
    path = file_of(tmp_path, json.dumps(LOCOMO, indent=2))
    found = [read.conversation for read in conversations(path) if read.conversation is not None]
    assert {one.user for one in found} == {"conv-1"}
    first, second = (one.session for one in found)
    assert [(m.role, m.name, m.text) for m in first.messages] == [
        ("user", "Ana", "I have a cat now."),
        ("assistant", "Ben", "Lovely!"),
    ]
    begun = datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp() * 1000
    assert [message.at for message in first.messages] == [begun, begun + 60_000]
    assert second.created_at == datetime(2023, 9, 13, 0, 9, tzinfo=UTC).timestamp() * 1000


def test_json_lines_of_ours_and_of_openai(tmp_path: Path) -> None:
    plain = {"messages": [{"role": "user", "content": "Hello."}]}
    path = file_of(tmp_path, f"{json.dumps(OURS)}\n\n{json.dumps(plain)}\n")
    ours, theirs = (read.conversation for read in conversations(path))
    assert ours is not None
    assert theirs is not None
    assert (ours.user, theirs.user) == ("alice", None)
    assert said(ours.session) == [
        ("user", "I like tea."),
        ("assistant", "So do I."),
        ("assistant", ""),
        ("tool", "done"),
    ]
    assert [m.at for m in ours.session.messages[:2]] == [int(MARCH * 1000), int(MARCH * 1000) + 1000]
    assert ours.session.messages[2].tool_calls[0].name == "f"
    assert ours.session.metadata == {"shop": 3}
    assert said(theirs.session) == [("user", "Hello.")]


@pytest.mark.parametrize("several", [False, True])
def test_a_list_of_messages_and_a_list_of_such_lists(several: bool, tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}]
    found = sessions(file_of(tmp_path, [messages, messages] if several else messages))
    assert [said(session) for session in found] == [[("user", "Hello."), ("assistant", "Hi.")]] * (1 + several)


def test_without_any_date_it_is_of_the_file_and_the_same_wherever_that_is_copied(tmp_path: Path) -> None:
    path = file_of(tmp_path, [{"role": "user", "content": "Hello."}])
    os.utime(path, (MARCH, MARCH))
    [first] = sessions(path)
    os.utime(path, (MARCH + 9, MARCH + 9))
    [again] = sessions(path)
    assert first.created_at == int(MARCH * 1000)
    assert id_of(first) == id_of(again)


def test_a_mark_at_the_beginning_of_the_file_is_no_fault(tmp_path: Path) -> None:
    for text in (json.dumps([CLAUDE]), json.dumps(CLAUDE)):
        path = tmp_path / "bom.json"
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert len(sessions(path)) == 1


def broken(conversation: dict[str, Any], *path: str | int, value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(conversation))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            broken(CHATGPT, "mapping", "a", "message", "create_time", value="soon"),
            r"item 2\.mapping\.a\.message\.create_",
        ),
        (
            broken(CHATGPT, "mapping", "a", "message", "content", "parts", value="x"),
            r"\.content\.parts: must be a list",
        ),
        (broken(CHATGPT, "mapping", "s", "parent", value="u2"), r"item 2\.mapping\.u2\.parent: leads in a circle"),
        (broken(CLAUDE, "chat_messages", 1, "sender", value="robot"), r"item 2, message 2\.sender: must be human or"),
        (broken(CLAUDE, "created_at", value=True), r"item 2\.created_at: must be a time"),
        (
            broken(LOCOMO, "conversation", "session_1_date_time", value="May"),
            r"session_1_date_time: must be a time",
        ),
        (broken(LOCOMO, "conversation", "session_1", 1, "text", value=None), r"session_1, turn 2: text: "),
        (broken(OURS, "messages", 1, "text", value=[]), r"item 2, message 2: text: "),
        (
            broken(OURS, "messages", 2, "role", value="robot"),
            r"item 2, message 3\.role: must be user, assistant",
        ),
        (broken(OURS, "metadata", value="x"), r"item 2: metadata: "),
        ({"anything": "else"}, r"item 2: is no conversation in a form that is known: chatgpt .*; claude "),
    ],
)
def test_a_conversation_with_a_fault_is_named_and_the_others_are_read(value: Any, says: str, tmp_path: Path) -> None:
    first, *rest, last = conversations(file_of(tmp_path, [CLAUDE, value, CHATGPT]))
    assert first.conversation is not None
    assert last.conversation is not None
    [fault] = [read.fault for read in rest if read.fault is not None]
    assert re.search(says, str(fault)), str(fault)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("PK\x03\x04rest", "ZIP archive; unpack it"),
        ("[[1], [2,}]", "item 2: is not JSON"),
        ('[{"mapping": {}}, {"mapping"', "item 2: the JSON breaks off"),
        ('{\n"messages": 1\n,}', "the file: is not JSON"),
        ("[" * 10_000, "nested too deep"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidImport, match=says):
        list(conversations(file_of(tmp_path, text)))


def test_a_line_that_is_no_json_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, f"{json.dumps(OURS)}\n{{nothing\n{json.dumps(OURS)}\n")
    first, second, third = conversations(path)
    assert first.conversation is not None
    assert third.conversation is not None
    assert "line 2: is not JSON" in str(second.fault)


def test_an_item_past_the_bound_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MOST_BYTES", 200_000)
    found = conversations(file_of(tmp_path, [CLAUDE, {"chat_messages": ["x" * 400_000]}]))
    assert next(found).conversation is not None
    with pytest.raises(InvalidImport, match="item 2: is larger than"):
        next(found)


def test_whose_export_a_file_is(tmp_path: Path) -> None:
    exported = {"format": "recallr-user", "version": 1, "user": {"id": "alice"}, "sessions": []}
    assert document_user(file_of(tmp_path, exported)) == "alice"
    assert document_user(file_of(tmp_path, json.dumps(exported, indent=4))) == "alice"
    assert document_user(file_of(tmp_path, [CLAUDE])) is None
    with pytest.raises(InvalidImport, match="--user"):
        document_user(file_of(tmp_path, {"format": "recallr-user", "version": 1, "sessions": []}))


@pytest.mark.parametrize("value", [True, "yesterday", -1, 1e300, None, "0001-01-01"])
def test_what_is_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat"):
        milliseconds(value)


def test_times_in_all_forms() -> None:
    for value in (1709285400, 1709285400.0, 1709285400000, "2024-03-01T09:30:00Z", "2024-03-01 10:30:00+01:00"):
        assert milliseconds(value) == 1709285400000
    assert milliseconds("2024-03-01") == 1709251200000
