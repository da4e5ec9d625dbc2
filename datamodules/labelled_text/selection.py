"""Selection of the labelled texts of a stage.

A pair is a human text and a machine's continuation of its prefix, identified by `pair_id`.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from datamodules.labelled_text.source import AS_IT_IS, LabelledRow
from datamodules.stream.order import apportion

Rows = Sequence[LabelledRow]


@dataclass(frozen=True)
class Selection:
    """A part of a table of texts.

    Attributes:
        split: Its split.
        generators: Generators to take, with the human texts of their pairs; None for all.
        domains: Domains of the texts; None for all.
        budget: Number of texts, half of them human; None for all.
        attacks: Names of the attacks in the table whose texts are taken, `none` for unchanged ones,
            which is the default; None for all.
    """

    split: str
    generators: list[str] | None = None
    domains: list[str] | None = None
    budget: int | None = None
    attacks: list[str] | None = field(default_factory=lambda: [AS_IT_IS])

    def __post_init__(self) -> None:
        """Refuse a selection of nothing."""
        if self.budget is not None and self.budget < 2:
            raise ValueError(f"budget must be at least 2, got {self.budget}.")
        for name in ("generators", "domains", "attacks"):
            if getattr(self, name) == []:
                raise ValueError(f"{name} is empty: name some, or leave it out for all.")


def choose(rows: Rows, selection: Selection, once: bool, seed: int = 0) -> list[int]:
    """Indices of the selected texts, ascending.

    With a budget the texts are pairs of different human texts. The choice of human texts depends
    on the seed and the domains only, so that detectors of one budget share them, and their pairs
    are distributed evenly over the generators. Texts without pairs are distributed evenly over
    generators and domains, and texts of labels other than human over labels and domains.

    Args:
        rows: All texts.
        selection: The part to select.
        once: Whether each human text is taken once, not once for every generator: in training, more
            would teach that known prefixes are human.
        seed: Seed of the choice if not all are taken.

    Raises:
        ValueError: There is no such split, generator or domain, or too few texts.
    """
    found = matching(rows, selection)
    human = [i for i in found if rows[i].is_human]
    other = [i for i in found if not rows[i].is_human]
    if selection.budget is None:
        return sorted([*(first_cuts(rows, human, seed) if once else human), *other])
    pairs = {rows[i].pair_id for i in human} & {rows[i].pair_id for i in other}
    if pairs:
        return sorted(paired(rows, human, other, selection.budget // 2, seed))
    if not human:
        return sorted(spread(rows, other, selection.budget, seed, by="label"))
    half = selection.budget // 2
    humans = spread(rows, first_cuts(rows, human, seed), half, seed, by="generator")
    return sorted([*humans, *spread(rows, other, half, seed, by="generator")])


def matching(rows: Rows, selection: Selection) -> list[int]:
    """Indices of all texts of the split, the generators and the domains."""
    require_split(selection.split, rows)
    found = [i for i, row in enumerate(rows) if row.split == selection.split]
    if selection.attacks is not None:
        require(f"attack in {selection.split}", selection.attacks, (rows[i].attack for i in found))
        found = [i for i in found if rows[i].attack in selection.attacks]
    if selection.generators is not None:
        known = (rows[i].generator for i in found if not rows[i].is_human)
        require(f"generator in {selection.split}", selection.generators, known)
        wanted = {*selection.generators}
        found = [i for i in found if written_for(rows[i]) in wanted | {""}]
    if selection.domains is not None:
        known = (rows[i].domain for i in found)
        require(f"domain in {selection.split}", selection.domains, known)
        found = [i for i in found if rows[i].domain in selection.domains]
    return found


def require_split(split: str, rows: Rows) -> None:
    """Raise a ValueError if no row is of a split; the message says what to do if no row has one."""
    known = {row.split for row in rows} - {""}
    if not known:
        raise ValueError(
            f"there is no split called {split!r}; there is none: no row has a split. Name its "
            "column (`columns: {split: NAME}`), give a table one (`values: {split: train}`), or "
            "let `data.init_args.splits` part the texts, such as "
            "{train: 0.8, val: 0.1, test: 0.1}."
        )
    require("split", [split], known)


def written_for(row: LabelledRow) -> str:
    """Generator that a text trains or tests; empty for a human text without a pair."""
    return row.paired_generator if row.is_human else row.generator


def require(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise a ValueError if a name is unknown; the message lists the known ones."""
    there = set(known)
    for name in wanted:
        if name not in there:
            listed = ", ".join(sorted(there)) or "none"
            raise ValueError(f"there is no {what} called {name!r}; there is {listed}.")


def first_cuts(rows: Rows, human: list[int], seed: int) -> list[int]:
    """One row of each human text, of a random pair."""
    chosen: dict[str, int] = {}
    for i in shuffled(rows, human, seed):
        chosen.setdefault(rows[i].pair_id, i)
    return list(chosen.values())


def paired(rows: Rows, human: list[int], other: list[int], num: int, seed: int) -> list[int]:
    """Rows of `num` pairs, no human text twice."""
    pairs = pairs_of(rows, human, other)
    of_domain: dict[str, list[str]] = defaultdict(list)
    for pair_id in sorted(pairs, key=lambda name: digest(seed, name)):
        human_row = next(iter(pairs[pair_id].values()))[0]
        of_domain[rows[human_row].domain].append(pair_id)
    check_enough("pairs of different human texts", len(pairs), num)
    domains = sorted(of_domain, key=lambda name: digest(seed, name))[:num]
    quotas = apportion(num, [len(of_domain[name]) for name in domains])
    chosen: list[int] = []
    for domain, quota in zip(domains, quotas, strict=True):
        used: Counter[str] = Counter()
        for pair_id in of_domain[domain][:quota]:
            generator = min(pairs[pair_id], key=lambda name: (used[name], name))
            used[generator] += 1
            chosen += pairs[pair_id][generator]
    return chosen


def pairs_of(
    rows: Rows, human: list[int], other: list[int]
) -> dict[str, dict[str, tuple[int, int]]]:
    """Human and machine row by pair and generator."""
    cuts = {(rows[i].pair_id, rows[i].paired_generator): i for i in reversed(human)}
    whole = {rows[i].pair_id: i for i in reversed(human)}
    pairs: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for i in other:
        name, generator = rows[i].pair_id, rows[i].generator
        if name in whole:
            pairs[name].setdefault(generator, (cuts.get((name, generator), whole[name]), i))
    return pairs


def spread(rows: Rows, places: list[int], num: int, seed: int, by: str) -> list[int]:
    """`num` rows, as evenly over domains and a second field as possible."""
    check_enough("texts", len(places), num)
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i in shuffled(rows, places, seed):
        cells[rows[i].domain, getattr(rows[i], by)].append(i)
    turns = [(turn, name) for name, cell in cells.items() for turn in range(len(cell))]
    return [cells[name][turn] for turn, name in sorted(turns)[:num]]


def check_enough(what: str, there: int, wanted: int) -> None:
    """Raise a ValueError if a budget is larger than the data."""
    if wanted > there:
        raise ValueError(f"the budget asks for {wanted} {what}, but there are {there}.")


def shuffled(rows: Rows, places: list[int], seed: int) -> list[int]:
    """The indices shuffled by a hash of the rows."""
    key = {
        i: digest(seed, f"{rows[i].pair_id}/{written_for(rows[i])}/{rows[i].origin}")
        for i in places
    }
    return sorted(places, key=key.__getitem__)


def digest(seed: int, name: str) -> bytes:
    """Sort key of a shuffled order."""
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
