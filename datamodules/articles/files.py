"""Articles from files of any supported format, or a dataset of the Hugging Face hub."""

from collections.abc import Iterator

from typing_extensions import override

from datamodules.articles.fields import Condition, Fields
from datamodules.articles.source import Article, ArticleSource
from datamodules.articles.unroll import unrolled
from datamodules.records.document import BadSample
from datamodules.records.formats.columns import Wanted, require
from datamodules.records.formats.files import FORMATS, find_files
from datamodules.records.formats.hub import hub_name, hub_records, hub_rows
from datamodules.records.formats.open import read_rows
from datamodules.records.remote.address import short_name
from datamodules.records.table import short
from datamodules.text.normalise import HiddenNames


class ArticleFiles(ArticleSource):
    """One article per row of Parquet, Arrow, CSV, TSV, JSON lines or arrays, compressed or not.

    The columns of CNN/DailyMail (`article`, `highlights`), XSUM and Multi-News (`document`,
    `summary`) and of `text`, `title`, `label_name` are known, as are `stance`, `summary_stance`,
    `id` and `asked`. A summary of several lines becomes one line. Without an id, file and row are
    the id.

    Args:
        path: A file, a folder (every file below it with a matching extension) or a glob.
        columns: Column of each field whose column has another name: `text`, `summary`, `stance`,
            `summary_stance`, `id`, `asked`; or a text with columns in braces, such as
            `id: "left {id}"`; "" leaves a field out.
        values: Fields that are the same for all rows, such as `{stance: left}`.
        labels: Stance of each label of the table, such as `{0: left, 1: center, "*": ""}`: "*" is
            used for all that are not named, and an empty name means an unknown stance. None takes
            labels as they are.
        where: Required value by column, such as `{set: xsum}`, or a list of possible ones.
        each: Columns of lists, each of whose entries is an article, such as `[titles, articles]`;
            the other columns are the same for all of them.
        hide: Names that articles and summaries must not give away.

    Raises:
        ValueError: `columns` or `values` name an unknown field, or a template is invalid.
    """

    def __init__(
        self,
        path: str,
        columns: dict[str, str] | None = None,
        values: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        where: dict[str, Condition] | None = None,
        each: list[str] | None = None,
        hide: HiddenNames | None = None,
    ):
        self.path = path
        self.each = list(each or [])
        self.fields = Fields(columns, values, labels, where, hide)

    @property
    @override
    def name(self) -> str:
        return short_name(self.path)

    @override
    def articles(self) -> Iterator[Article | BadSample]:
        """The articles of all files, in order.

        Raises:
            FileNotFoundError: There is no file.
            ValueError: The only file cannot be read, a table lacks a column, a label is unknown or
                no row fulfils the conditions.
        """
        files = find_files(self.path, tuple(FORMATS))
        needed = [*self.fields.needed, *self.each]
        rows = read_rows(files, Wanted(needed=needed), named=short)
        return self.fields.articles(unrolled(rows, self.each), self.name)


class ArticleHub(ArticleSource):
    """One article per row of a dataset of the Hugging Face hub, or of a local copy.

    Args:
        name: Name on the hub, or a folder that `datasets` can read or wrote by `save_to_disk`.
        config: Name of the configuration, such as `3.0.0`, where there are several.
        split: The split to read, such as `train` or `train[:10%]`.
        columns: Column of each field; this and the following as of `ArticleFiles`.
        values: Fields that are the same for all rows.
        labels: Stance of each label.
        where: Required value by column.
        revision: Commit or tag.
        hide: Names that articles and summaries must not give away.

    Raises:
        ValueError: `columns` or `values` name an unknown field, or a template is invalid.
    """

    def __init__(
        self,
        name: str,
        config: str | None = None,
        split: str = "train",
        columns: dict[str, str] | None = None,
        values: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        where: dict[str, Condition] | None = None,
        revision: str | None = None,
        hide: HiddenNames | None = None,
    ):
        self.dataset = name
        self.config = config
        self.split = split
        self.fields = Fields(columns, values, labels, where, hide)
        self.revision = revision

    @property
    @override
    def name(self) -> str:
        return hub_name(self.dataset, self.config, self.split)

    @override
    def articles(self) -> Iterator[Article | BadSample]:
        """The articles of all rows.

        Raises:
            FileNotFoundError: The dataset looks like a folder, but is none.
            ValueError: It lacks a column, a label is unknown or no row fulfils the conditions.
        """
        found = hub_rows(self.dataset, self.config, self.split, self.revision)
        require(self.fields.needed, found.column_names, self.name)
        rows = hub_records(self.name, found, found.column_names)
        return self.fields.articles(rows, self.name)
