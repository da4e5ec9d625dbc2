"""CIDEr and CIDEr-D of captions (Vedantam et al., 2015).

Scores run from 0 to 10. Papers print the mean times 100: their 38.3 is a mean of 0.383 here.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

WORD = re.compile(r"\w+?(?=n't\b)|n't\b|'(?:s|re|ve|d|ll|m)\b|\w+(?:[-.]\w+)*")
"""Words as in the Penn treebank, its clitics apart; punctuation is left out."""

Gram = tuple[str, ...]
Vector = dict[Gram, float]


@dataclass(frozen=True)
class Cider:
    """Consensus of a caption with references, their n-grams weighed by how rare they are.

    Counts are not divided by a caption's length, as in the authors' code: cosines do not change,
    and in CIDEr-D the clipped ones mean the same number of words in any caption.

    Attributes:
        frequency: In how many images' references an n-gram occurs.
        num_images: How many images there are; more than one, or nothing is rare.
        longest: Longest n-grams that count.
        sigma: Words by which a length may differ, of CIDEr-D; plain CIDEr where None.
    """

    frequency: dict[Gram, int]
    num_images: int
    longest: int = 4
    sigma: float | None = 6.0

    @staticmethod
    def from_references(
        references: Iterable[Sequence[str]], longest: int = 4, sigma: float | None = 6.0
    ) -> "Cider":
        """Count n-grams over the references of all images of a data set.

        Args:
            references: Each image's captions.
            longest: As of the class.
            sigma: As of the class.
        """
        frequency: Counter[Gram] = Counter()
        num_images = 0
        for captions in references:
            grams = (grams_of(words(caption), n) for caption in captions for n in orders(longest))
            frequency.update({gram for counts in grams for gram in counts})
            num_images += 1
        return Cider(dict(frequency), num_images, longest, sigma)

    def score(self, candidate: str, references: Sequence[str]) -> float:
        """Score of one caption, 0 to 10 (eq. 2 and 3; with `sigma` eq. 4, CIDEr-D).

        Args:
            candidate: The caption.
            references: Captions of the same image by people.

        Raises:
            ValueError: There is no reference.
        """
        if not references:
            raise ValueError(f"no reference for the caption {candidate!r}")
        said = words(candidate)
        likeness = [self._likeness(said, words(reference)) for reference in references]
        return 10 * sum(likeness) / len(references)

    def mean(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        """Mean score over images."""
        pairs = zip(candidates, references, strict=True)
        return sum(self.score(*pair) for pair in pairs) / len(candidates)

    def weigh(self, counts: Counter[Gram]) -> Vector:
        """Counts times log(images / images that have the n-gram) (eq. 1)."""
        return {
            gram: count * log(self.num_images / max(1, self.frequency.get(gram, 0)))
            for gram, count in counts.items()
        }

    def _likeness(self, said: list[str], reference: list[str]) -> float:
        pairs = [
            (self.weigh(grams_of(said, n)), self.weigh(grams_of(reference, n)))
            for n in orders(self.longest)
        ]
        if self.sigma is None:
            return sum(cosine(*pair) for pair in pairs) / self.longest
        penalty = exp(-((len(said) - len(reference)) ** 2) / (2 * self.sigma**2))
        return penalty * sum(clipped_cosine(*pair) for pair in pairs) / self.longest


def words(caption: str) -> list[str]:
    """Lower-case words of a caption."""
    return WORD.findall(caption.lower())


def orders(longest: int) -> range:
    """Lengths of n-grams, from one word on."""
    return range(1, longest + 1)


def grams_of(tokens: list[str], n: int) -> Counter[Gram]:
    """How often each n-gram occurs."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def cosine(one: Vector, other: Vector) -> float:
    """Cosine of two vectors; 0 where one of them is."""
    return ratio(sum(weight * other.get(gram, 0.0) for gram, weight in one.items()), one, other)


def clipped_cosine(one: Vector, other: Vector) -> float:
    """The same with no entry of the first above the second's, so that repetition does not pay."""
    product = sum(
        min(weight, other[gram]) * other[gram] for gram, weight in one.items() if gram in other
    )
    return ratio(product, one, other)


def ratio(product: float, one: Vector, other: Vector) -> float:
    """A product of two vectors over their lengths."""
    norm = sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
    return product / norm if norm > 0 else 0.0
