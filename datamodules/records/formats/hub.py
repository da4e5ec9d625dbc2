"""Datasets of the Hugging Face hub, and local copies of them in any form that `datasets` has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.records.document import BadSample, printable
from datamodules.records.errors import BadSampleError
from datamodules.records.faults import attempt, reason
from datamodules.records.formats.arrow import records
from datamodules.records.formats.columns import Record, Wanted
from datamodules.records.formats.open import Row
from datamodules.records.roots import located

if TYPE_CHECKING:  # the import takes seconds
    from datasets import Dataset


def hub_name(name: str, config: str | None, split: str) -> str:
    """Name, configuration and split, for logs."""
    return printable(":".join(filter(None, [name, config, split])))


def hub_rows(
    name: str, config: str | None = None, split: str = "train", revision: str | None = None
) -> "Dataset":
    """The rows of a split, which `datasets` maps into memory.

    Args:
        name: Name on the hub, or a folder that `datasets` can read or wrote by `save_to_disk`.
        config: Name of the configuration, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        revision: Commit or tag.

    Raises:
        FileNotFoundError: `name` looks like a folder, but is none.
        ValueError: There is no such split, or nothing of that name can be loaded.
    """
    from datasets import load_dataset

    name = located(name)
    if is_saved(Path(name)):
        return _saved(name, split)
    try:
        return load_dataset(name, config, split=split, revision=revision)
    except Exception as error:  # of the hub, the network, builders and files: there is no list
        raise ValueError(f"{name} (split {split}) cannot be loaded: {error}") from error


def hub_records(name: str, rows: "Dataset", columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a dataset with their origins, counted from 1.

    Args:
        name: What it is called where its rows are named.
        rows: The dataset.
        columns: What is read; each may be a path.

    Raises:
        ColumnError: It lacks a column.
        ValueError: A file of it is damaged.
    """
    chosen = Wanted(list(columns)).chosen(rows.column_names, name)
    number = 0
    try:
        for table in rows.select_columns(chosen).with_format("arrow").iter(batch_size=1000):
            for batch in table.to_batches():
                for record in records(batch):
                    number += 1
                    place = f"{name}:{number}"
                    if isinstance(record, BadSample):
                        record = BadSample(place, record.reason)
                    yield place, record
    except Exception as error:
        told = f"{name} cannot be read after row {number}: {reason(error)}."
        raise ValueError(told) from error


def hub_record(rows: "Dataset", index: int) -> Record:
    """One row of a dataset, checked before it is decoded as every row of Arrow is.

    Raises:
        BadSampleError: It cannot be decoded; the message says why.
    """
    found = attempt("", lambda: _row(rows, index))
    if isinstance(found, BadSample):
        raise BadSampleError(found.reason)
    return found


def _row(rows: "Dataset", index: int) -> Record | BadSample:
    [batch] = rows.with_format("arrow")[index].combine_chunks().to_batches()
    [record] = records(batch)
    return record


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder."""
    return (folder / "dataset_dict.json").exists() or (folder / "state.json").exists()


def _saved(name: str, split: str) -> "Dataset":
    """The rows of a split that `save_to_disk` wrote; of a single dataset the split is `train`."""
    from datasets import DatasetDict, ReadInstruction, load_from_disk

    found = load_from_disk(name)
    splits = found if isinstance(found, DatasetDict) else {str(found.split or "train"): found}
    if split in splits:
        return splits[split]
    lengths = {part: len(rows) for part, rows in splits.items()}
    try:
        [part] = ReadInstruction.from_spec(split).to_absolute(lengths)
    except Exception as error:
        raise ValueError(f"{name} has no split {split}; it has {', '.join(splits)}.") from error
    return splits[part.splitname].select(range(part.from_ or 0, part.to or lengths[part.splitname]))
