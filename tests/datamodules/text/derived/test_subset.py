import json

import pyarrow
import pyarrow.parquet
import pytest

from datamodules.records.document import BadSample
from datamodules.synthetic.stories.source import StoryText
from datamodules.text.derived.subset import TextSubset
from datamodules.text.files import JsonlText

IDS = ["stories:9:0:7", "stories:9:0:2"]


def test_chosen_documents_keep_the_order_and_the_origins_of_their_source():
    whole = [*StoryText(9).documents()]
    assert [*TextSubset(StoryText(9), IDS).documents()] == [whole[1], whole[6]]
    assert [*TextSubset(StoryText(9), IDS * 2).documents()] == [whole[1], whole[6]]


def test_all_others_are_given_where_the_listed_ones_are_left_out():
    left = TextSubset(StoryText(9), IDS, leave_out=True)
    assert [one.origin[-1] for one in left.documents()] == [*"1345689"]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_a_table_gives_the_ids(tmp_path, ending):
    file = tmp_path / f"scores.{ending}"
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"document": IDS, "score": [0.9, 0.8]}), file)
    else:
        lines = [json.dumps({"document": one}) for one in IDS]
        file.write_text("\n".join(lines if ending == "jsonl" else ["document", *IDS]) + "\n")
    found = TextSubset(StoryText(9), str(file), column="document")
    assert found.ids == {*IDS}
    assert found.fingerprint() == TextSubset(StoryText(9), IDS).fingerprint()


def test_a_file_of_rows_is_chosen_from_by_file_and_row(tmp_path):
    file = tmp_path / "pool.jsonl"
    file.write_text('{"text": "one"}\nno JSON\n{"text": "three"}\n{"text": "four"}\n')
    origins = [one.origin for one in JsonlText(str(file)).documents()]
    three = TextSubset(JsonlText(str(file)), [origins[2]])
    assert [one.text for one in three.documents()] == ["three"]
    broken, four = TextSubset(JsonlText(str(file)), [origins[1], origins[3]]).documents()
    assert isinstance(broken, BadSample)
    assert four.text == "four"


def test_the_fingerprint_follows_the_source_and_the_set_but_not_the_order_of_the_ids():
    same = [TextSubset(StoryText(9), IDS), TextSubset(StoryText(9), IDS[::-1], weight=2.0)]
    others = [
        TextSubset(StoryText(9, seed=1), IDS),
        TextSubset(StoryText(9), IDS[:1]),
        TextSubset(StoryText(9), IDS, leave_out=True),
    ]
    assert len({one.fingerprint() for one in same}) == 1
    assert len({one.fingerprint() for one in [same[0], *others]}) == 4
    assert same[0].name == "2 of stories:9:0"
    assert others[2].name == "stories:9:0 without 2"


def test_ids_that_the_source_does_not_have_are_refused_by_name():
    made = TextSubset(StoryText(9), [*IDS, "stories:9:0:10", "stories:8:0:1"])
    with pytest.raises(ValueError, match=r"no document of 2 of 4 ids, such as stories:8:0:1, sto"):
        [*made.documents()]


def test_no_ids_are_refused(tmp_path):
    with pytest.raises(ValueError, match="ids: there is none"):
        [*TextSubset(StoryText(9), []).documents()]
    file = tmp_path / "ids.jsonl"
    file.write_text('{"id": "stories:9:0:1"}\n{"id": null}\n')
    with pytest.raises(ValueError, match=r"ids.jsonl:2: 'id' is empty"):
        [*TextSubset(StoryText(9), str(file)).documents()]
    with pytest.raises(FileNotFoundError):
        [*TextSubset(StoryText(9), str(tmp_path / "none.jsonl")).documents()]
