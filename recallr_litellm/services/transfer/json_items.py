"""Reads large JSON texts bit by bit, in memory for one item of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import ijson

from recallr_litellm.errors import InvalidImport

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one item: more than a session of ours can hold."""
_MOST_VALUES: Final = 1_000_000
"""Of one item, names of fields counted too: in memory an empty one takes thirty times its bytes."""
_DEEPEST: Final = 100
"""Nesting of an item. A text of nothing but brackets would take any memory."""


class Item(NamedTuple):
    """A value in a JSON text."""

    field: str
    """Name of the field of the outermost object that it is of, or in; "" where the text is a list."""
    number: int | None
    """Its place in the list that it is in, from 0; None for the value of a field."""
    value: Any


class JsonItems:
    """The fields of an object, or the items of a list, each as soon as it is complete.

        items = JsonItems(lists={"sessions"})
        for item in items.feed(b'{"version": 1, "sessions": [{"id": '):   # version
            ...
        items.close()   # raises for a text that breaks off

    Args:
        lists: fields whose lists are handed out item by item.

    Raises:
        InvalidImport: in any method: it is no JSON, or an item is too large. What is complete before the fault is
            handed out first, so the call after that raises it.
    """

    def __init__(self, *, lists: Collection[str] = ()) -> None:
        self._lists = lists
        self._events = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events)
        self._depth = 0
        self._in_list = False
        """It is in a list whose items are handed out."""
        self._field = ""
        self._number = 0
        self._builder: ijson.ObjectBuilder | None = None
        self._item_depth = 0
        self._bytes = 0
        """Read since the last item."""
        self._values = 0
        """Likewise."""
        self._fault: InvalidImport | None = None

    def feed(self, text: bytes) -> list[Item]:
        """Read on. The items that are complete now."""
        if self._fault is not None:
            raise self._fault
        found: list[Item] = []
        self._bytes += len(text)
        try:
            if text:
                self._parser.send(text)
        except SystemError as error:  # a number of more digits than Python reads: its event is none, and is not touched
            del self._events[-1:]
            self._fault = InvalidImport(f"{_first_line(error)}")
        except (ijson.JSONError, ValueError, ArithmeticError) as error:
            self._fault = InvalidImport(f"{_first_line(error)}")
        try:
            for event, value in self._events:
                found += self._event(event, value)
            if self._fault is not None:
                self._fault = InvalidImport(f"{self.place}: is not JSON ({self._fault})")
            elif self._bytes > MOST_BYTES:
                most = MOST_BYTES // 1024**2
                self._fault = InvalidImport(f"{self.place}: is larger than {most} MB, the most that one item may be")
        except InvalidImport as fault:
            self._fault = fault
        del self._events[:]
        return found

    def close(self) -> None:
        """The text has come to its end."""
        if self._fault is not None:
            raise self._fault
        try:
            self._parser.close()
        except (ijson.JSONError, ValueError, ArithmeticError, SystemError) as error:
            raise InvalidImport(f"{self.place}: the JSON breaks off ({_first_line(error)})") from None

    @property
    def place(self) -> str:
        """Where it is reading."""
        if not self._depth:
            return "the file"
        name = self._field or "item"
        return f"{name} {self._number + 1}" if self._in_list else name

    def _event(self, event: str, value: Any) -> Iterator[Item]:
        begins, ends = event.startswith("start_"), event.startswith("end_")
        if isinstance(value, Decimal):
            value = float(value)
        if self._builder is not None:
            self._depth += begins - ends
            if self._depth > _DEEPEST:
                raise InvalidImport(f"{self.place}: is nested too deep")
            self._values += not ends
            if self._values > _MOST_VALUES:
                raise InvalidImport(f"{self.place}: has more than {_MOST_VALUES:,} values")
            self._builder.event(event, value)
            if self._depth == self._item_depth:
                yield self._item(self._builder.value)
            return
        if ends:
            self._depth -= 1
            self._in_list = False
        elif event == "map_key":
            self._field, self._number = value, 0
        elif event == "start_array" and (self._depth == 0 or (self._depth == 1 and self._field in self._lists)):
            self._depth += 1
            self._in_list, self._number = True, 0
        elif event == "start_map" and self._depth == 0:
            self._depth += 1
        elif begins:
            self._item_depth, self._builder = self._depth, ijson.ObjectBuilder()
            self._builder.event(event, value)
            self._depth += 1
        else:
            yield self._item(value)

    def _item(self, value: Any) -> Item:
        item = Item(self._field, self._number if self._in_list else None, value)
        self._builder = None
        self._number += self._in_list
        self._bytes = self._values = 0
        return item


def _first_line(error: Exception) -> str:
    """What is wrong, without the text around it."""
    if isinstance(error, ArithmeticError | SystemError):
        return "a number has too many digits"
    return str(error).removeprefix("b'").partition("\n")[0].partition("\\n")[0].strip() or type(error).__name__
