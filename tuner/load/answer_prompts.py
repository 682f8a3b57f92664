"""The 200 prompts by which answers are compared: facts, sums, code, languages, stories, conclusions.

Short, so that they fit the context of any engine that is tuned for more than a few words, and ASCII. Each
form has ten subjects; engines see them in an order in which neighbours have no beginning in common.
"""

from __future__ import annotations

from tuner.spec.accuracy import AnswerPrompts
from tuner.spec.dataset_rows import Message

_SUBJECTS = 10
_FORMS = """
The capital of {} is
    France, Peru, Kenya, Japan, Norway, Egypt, Canada, Vietnam, Chile, Greece
Question: What is {}? Answer:
    7 + 5, 9 * 8, 64 / 4, 31 - 17, 12 * 12, 100 - 1, 3 * 17, 81 / 9, 45 + 55, 2 ** 8
def {}:
    area(radius), is_even(n), reverse(text), mean(values), last(items), clamp(x), fib(n), swap(a, b),
    double(x), absolute(x)
The French word for {} is
    bread, water, house, night, friend, river, apple, green, seven, winter
In chemistry, the symbol {} stands for
    Fe, Na, Au, He, Cu, K, Pb, Ag, Hg, Sn
The opposite of {} is
    hot, early, rich, brave, narrow, ancient, loud, bitter, shallow, empty
Once upon a time a {} lived in
    fox, giant, tailor, raven, miller, dragon, queen, shepherd, snail, wizard
SELECT name FROM {} WHERE
    users, orders, books, cities, flights, rivers, players, planets, recipes, songs
Who wrote {}? It was written by
    Hamlet, Emma, Faust, The Odyssey, Dracula, Ulysses, Candide, Walden, Moby-Dick, The Iliad
To make {}, you first need
    soup, tea, bread, a kite, jam, paper, a salad, soap, a fire, glue
She looked at the {} and said
    sky, letter, clock, stranger, mirror, painting, garden, empty box, old dog, broken cup
All {} can be counted. Therefore
    stones, birds, coins, letters, apples, stars, chairs, days, keys, steps
import {}
    os, re, json, math, random, asyncio, csv, socket, sqlite3, typing
{} is famous for
    Paris, Venice, Kyoto, Iceland, Brazil, Cairo, Vienna, Scotland, Cuba, India
A {} has how many legs? It has
    spider, dog, bee, crab, hen, horse, snake, frog, beetle, table
The largest {} in the world is
    ocean, desert, island, lake, city, mammal, library, volcano, bridge, forest
Dear {}, thank you for
    Anna, Dr. Hill, team, neighbour, customer, Professor, grandmother, colleague, editor, friends
{} comes right after
    Tuesday, March, autumn, the number 9, the letter K, noon, Sunday, 1999, December, the semicolon
The error message says "{}", so
    not found, out of memory, timeout, denied, bad request, disk full, no route, invalid key, type
    error, deadlock
If it rains, the {} will be
    match, road, picnic, roof, harvest, parade, bridge, camp, garden, race
"""


def _built_in() -> tuple[str, ...]:
    """The first subject of every form, then the second, ..."""
    forms: dict[str, str] = {}
    for line in _FORMS.strip().splitlines():
        if line.startswith(" "):
            forms[next(reversed(forms))] += f"{line.strip()} "
        else:
            forms[line] = ""
    listed = {form: _subjects(subjects) for form, subjects in forms.items()}
    return tuple(form.replace("{}", of[i]) for i in range(_SUBJECTS) for form, of in listed.items())


def _subjects(listed: str) -> list[str]:
    """Between commas, those within brackets aside."""
    found, depth = [""], 0
    for letter in listed:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return [one.strip() for one in found]


BUILT_IN = _built_in()


def prompts_of(given: AnswerPrompts | None) -> tuple[tuple[Message, ...], ...]:
    """What is asked, each as the messages of a chat; a text is the user's one message.

    Raises:
        Fault: the user's file is not there, or another one.
    """
    if given is None:
        return tuple((("user", text),) for text in BUILT_IN)
    return tuple(row.messages(row.alone) for row in given.rows)
