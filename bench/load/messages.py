"""Messages as people write them: from a file of one's own, or made up."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT_COLUMNS = ("text", "message", "sentence", "tweet", "content", "body", "comment", "review")
DELIMITERS = {".csv": ",", ".tsv": "\t"}

OPENINGS = (
    "Honestly,",
    "So,",
    "Well,",
    "Update:",
    "Just my two cents:",
    "Hi there,",
    "To whoever reads this:",
    "Ugh,",
    "Wow,",
    "PSA:",
    "Not going to lie,",
    "@support",
)
SUBJECTS = (
    "the delivery",
    "my order #{n}",
    "your app",
    "the new update",
    "the film",
    "that concert",
    "customer service",
    "the hotel room",
    "flight {n}",
    "the coffee",
    "this phone",
    "the waiting time",
    "the second season",
    "our waiter",
    "the battery",
    "the website",
    "the train to {place}",
    "my booking for {place}",
)
PLACES = ("Lisbon", "Denver", "Leeds", "Osaka", "Graz", "Boston", "Nantes", "Turin", "Cork", "Perth")
EVENTS = (
    "was {adverb} {adjective}",
    "turned out {adjective}",
    "has been {adjective} since {day}",
    "could not have been more {adjective}",
    "was {adjective}, and {person} did not even notice",
    "is {adverb} {adjective} compared to last year",
    "arrived {n} minutes late",
    "was cancelled without a word",
    "worked on the first try",
    "still does not work after {n} tries",
)
ADVERBS = ("really", "surprisingly", "quite", "painfully", "just", "so", "absolutely", "a bit")
ADJECTIVES = (
    "good",
    "slow",
    "disappointing",
    "wonderful",
    "confusing",
    "friendly",
    "expensive",
    "fine",
    "terrible",
    "smooth",
    "boring",
    "brilliant",
    "noisy",
    "helpful",
)
PEOPLE = ("my sister", "the manager", "nobody at the desk", "your colleague {name}", "the driver")
NAMES = ("Maya", "Tom", "Ines", "Karl", "Priya", "Sam", "Olga", "Luc")
DAYS = ("Monday", "Tuesday", "Friday", "last weekend", "yesterday", "this morning", "Christmas")
CLOSINGS = (
    "Would do it again!",
    "Never again.",
    "Thanks, {name} :)",
    "Can someone please look into it?",
    "I waited {n} minutes for a reply and got none, which says a lot about how much you care.",
    "Five stars from me.",
    "I want my money back.",
    "Keep it up!",
    "No idea why people complain.",
    "What happened to the service you had when I first came here in 20{two}?",
    "See https://example.com/t/{n}",
    "#fail",
    "Love it.",
    "The rest was as one would expect for the price.",
)
OPENING_SHARE, SECOND_SHARE = 0.4, 0.35
MOST_CLOSINGS = 2


class NoMessagesError(Exception):
    """The file holds no messages in a form that is known here."""


def read_messages(path: Path) -> list[str]:
    """Return the messages of a file, in its order, empty ones left out.

    `.csv` and `.tsv` have a header with a column of one of the names `TEXT_COLUMNS`; any other file holds one
    message a line.

    Raises:
        NoMessagesError: There are none, or no such column.
        OSError: It cannot be read.
    """
    if (delimiter := DELIMITERS.get(path.suffix)) is None:
        found = path.read_text(encoding="utf-8").splitlines()
    else:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter=delimiter)
            column = next((name for name in rows.fieldnames or () if name.lower() in TEXT_COLUMNS), None)
            if column is None:
                raise NoMessagesError(f"{path} has no column named one of {', '.join(TEXT_COLUMNS)}")
            found = [row[column] or "" for row in rows]
    messages = [message.strip() for message in found if message.strip()]
    if not messages:
        raise NoMessagesError(f"{path} holds no messages")
    return messages


def make_messages(count: int, *, seed: int | str) -> list[str]:
    """Return so many different made-up messages of 3 to about 50 English words, 16 on average.

    Args:
        count: How many.
        seed: Another seed gives others.
    """
    generator = random.Random(f"{seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        found[_message(generator)] = None
    return list(found)


def _message(generator: random.Random) -> str:
    parts = [generator.choice(OPENINGS)] if generator.random() < OPENING_SHARE else []
    parts += [generator.choice(SUBJECTS), generator.choice(EVENTS)]
    if generator.random() < SECOND_SHARE:
        joint = generator.choice(("and", "but", "while", "because"))
        parts += [joint, generator.choice(SUBJECTS), generator.choice(EVENTS)]
    parts[-1] += generator.choice((".", ".", "!", "...", ""))
    parts += generator.sample(CLOSINGS, generator.randint(0, MOST_CLOSINGS))
    text = _filled(" ".join(parts), generator)
    return text[0].upper() + text[1:]


def _filled(text: str, generator: random.Random) -> str:
    """Return the text with each blank filled; what fills one may have blanks of its own."""
    fillings: dict[str, Callable[[], str]] = {
        "{person}": lambda: generator.choice(PEOPLE),
        "{name}": lambda: generator.choice(NAMES),
        "{place}": lambda: generator.choice(PLACES),
        "{adverb}": lambda: generator.choice(ADVERBS),
        "{adjective}": lambda: generator.choice(ADJECTIVES),
        "{day}": lambda: generator.choice(DAYS),
        "{n}": lambda: str(generator.randint(2, 9999)),
        "{two}": lambda: str(generator.randint(10, 24)),
    }
    for blank, fill in fillings.items():
        while blank in text:
            text = text.replace(blank, fill(), 1)
    return text
