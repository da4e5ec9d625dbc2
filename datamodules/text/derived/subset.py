"""Some documents of another source, chosen by a list of ids: selected pretraining data, or halves.

The id of a document is its origin, such as `train.parquet:17`, so that a chosen document is still
known by where it is from.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property

from typing_extensions import override

from datamodules.records.document import BadSample, Document
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt
from datamodules.records.formats.columns import Record, cell
from datamodules.records.table import rows, text
from datamodules.text.source import TextSource

NUM_NAMED = 3
"""Unknown ids that a message names."""


class TextSubset(TextSource):
    """The documents of another source that a list names, in the order of that source.

    Args:
        source: The other source; its weight does not count.
        ids: Ids of the documents, a repeated one counted once; or a table of any supported format
            with a column of ids, such as the scores of a selection.
        column: The column of the ids in a table.
        leave_out: Whether all other documents are given instead.
        weight: Share of the rows of an epoch, relative to the other sources; above 0.
    """

    def __init__(
        self,
        source: TextSource,
        ids: list[str] | str,
        column: str = "id",
        leave_out: bool = False,
        weight: float = 1.0,
    ):
        super().__init__(weight)
        self.source = source
        self.listed = ids
        self.column = column
        self.leave_out = leave_out

    @property
    @override
    def name(self) -> str:
        num = f"{len(self.ids):,}"
        left_out = f"{self.source.name} without {num}"
        return left_out if self.leave_out else f"{num} of {self.source.name}"

    @override
    def fingerprint(self) -> str:
        chosen = hashlib.sha256(json.dumps(sorted(self.ids)).encode()).hexdigest()
        name = type(self).__name__
        return json.dumps([name, self.source.fingerprint(), chosen, self.leave_out])

    @override
    def documents(self) -> Iterator[Document | BadSample]:
        """The chosen documents.

        Raises:
            ValueError: The source has no document of some id.
        """
        missing = set(self.ids)
        for one in self.source.documents():
            missing.discard(one.origin)
            if (one.origin in self.ids) != self.leave_out:
                yield one
        if missing:
            named = ", ".join(sorted(missing)[:NUM_NAMED])
            raise ValueError(
                f"{self.source.name} has no document of {len(missing):,} of {len(self.ids):,} ids, "
                f"such as {named}."
            )

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids, read when first needed.

        Raises:
            FileNotFoundError: There is no such table.
            ValueError: There is no id, or a row cannot be read.
        """
        ids = frozenset(self._read(self.listed) if isinstance(self.listed, str) else self.listed)
        if not ids:
            raise ValueError(f"ids: there is none in {self.listed!r}.")
        return ids

    def _read(self, path: str) -> Iterator[str]:
        for place, record in rows(path, [self.column]):
            found = attempt(place, id_of, record, self.column)
            if isinstance(found, BadSample):
                raise ValueError(f"{found.origin}: {found.reason}.")
            yield found


def id_of(record: Record | BadSample, column: str) -> str:
    """The id in a row.

    Raises:
        BadSampleError: The row cannot be read, there is no id, or the cell holds no text.
    """
    if isinstance(record, BadSample):
        raise BadSampleError(record.reason)
    found = text(cell(record, column), column)
    if not found:
        raise BadSampleError(f"{column!r} is empty")
    return found
