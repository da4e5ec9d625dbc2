"""Judges of summaries against counts by hand, and in a test through the command line."""

import shutil
from json import dumps

import numpy as np
import pytest

from callbacks.scores import write_table
from cli import main
from datamodules.synthetic.newsroom.reader import NewsroomMeasures
from modules.decoding.evaluate import Answered
from modules.metrics.bootstrap import interval
from modules.metrics.misread import Labelled
from modules.summariser.evaluate import StanceKept
from modules.summariser.findings.judging import JudgedSummaries

NEWS = "datamodules.synthetic.newsroom.source.NewsroomArticles"
STANCES = ["left", "center", "right"]


class Told(StanceKept):
    """A classifier that reads what a text says for it: `guide:left judge:right`."""

    def __init__(self, name, in_labelled=None):
        super().__init__(name, name)
        self.in_labelled = in_labelled

    def opened(self):
        return None

    def read(self, texts):
        said = [dict(word.split(":") for word in text.split()) for text in texts]
        return [STANCES.index(one[self.name]) for one in said]


def answers(*rows):
    """Summaries by wanted stance, what the guide reads and what the judge reads."""
    return [
        Answered({"id": str(n), "article": "", "asked": wanted}, f"guide:{guide} judge:{judge}", [])
        for n, (wanted, guide, judge) in enumerate(rows)
    ]


ROWS = answers(
    ("left", "left", "left"),
    ("left", "left", "center"),
    ("center", "center", "center"),
    ("right", "left", "left"),
)


def labels(*confusion):
    """Labelled texts with these counts."""
    cells = [
        (k, r)
        for k, row in enumerate(confusion)
        for r, num in enumerate(row * 1)
        for _ in range(num)
    ]
    label, read = np.array(cells).T
    return Labelled(label, read, np.arange(len(label)))


def row(readers, given=ROWS):
    judging = JudgedSummaries(readers, {"guide"})
    judging.add(given[:1])
    judging.add(given[1:])
    return judging.row()


def test_a_judge_that_never_errs_is_corrected_to_what_it_reads():
    found = row([Told("guide"), Told("judge", labels([9, 0, 0], [0, 9, 0], [0, 0, 9]))])
    assert found["judge_accuracy"] == 1
    assert found["judge_corrected"] == pytest.approx(0.5)
    assert found["judge_distance_corrected"] == pytest.approx(3 / 4)
    assert found["guide_minus_judge"] == found["guide_minus_judge_corrected"] == 0.25
    assert found["judge_kept_low"] <= 0.5 <= found["judge_kept_high"]


def test_the_correction_is_the_inverse_of_the_confusion_by_hand():
    confusion = np.array([[8, 1, 1], [1, 8, 1], [0, 2, 8]])
    judged = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]]) / 4
    true = judged @ np.linalg.inv(confusion / 10)
    found = row([Told("guide"), Told("judge", labels(*confusion))])
    assert found["judge_accuracy"] == pytest.approx(0.8)
    assert found["judge_corrected"] == pytest.approx(true.trace())
    assert found["guide_minus_judge_corrected"] == pytest.approx(0.75 - true.trace())


def test_differences_are_paired():
    """A guide that reads the wanted stance in each summary in which the judge does, and in a few
    more, is above it in every resample, though their own intervals overlap."""
    rows = answers(*[("left", "left", "left")] * 20, *[("left", "left", "center")] * 4) + answers(
        *[("left", "right", "center")] * 6
    )
    rows = [Answered(one.question | {"id": str(n)}, one.text, []) for n, one in enumerate(rows)]
    found = row([Told("guide"), Told("judge", labels([9, 0, 0], [0, 9, 0], [0, 0, 9]))], rows)
    assert found["guide_minus_judge"] == pytest.approx(4 / 30)
    assert found["guide_minus_judge_low"] > 0
    drawn = np.random.default_rng(0).multinomial(30, [20 / 30, 4 / 30, 6 / 30], 2000)
    plain = interval(np.concatenate([[4], drawn[:, 1]]) / 30)
    assert found["guide_minus_judge_high"] == pytest.approx(plain.high, abs=0.04)


def test_an_exact_reader_shows_how_a_guide_flatters_itself():
    summaries = ["He gutted the school.", "He bloated the school.", "Rain."]
    given = [
        Answered({"id": str(n), "article": "", "asked": "left"}, text, [])
        for n, text in enumerate(summaries)
    ]
    guide = Told("guide")
    guide.read = lambda texts: [0] * len(texts)
    found = row([guide, NewsroomMeasures()], given)
    assert found["guide_minus_newsroom"] == pytest.approx(2 / 3)
    assert "newsroom_corrected" not in found


def test_a_guide_is_one_however_its_folder_is_spelt():
    spelt = Told("guide")
    spelt.source = "assets/newsroom_guide/"
    known = {"assets/newsroom_guide"}
    assert JudgedSummaries([spelt, Told("judge")], known).guides == [spelt]
    hub = Told("judge")
    hub.source = "owner/newsroom_guide"
    assert JudgedSummaries([hub], known).guides == []


def test_without_guides_and_labels_nothing_is_read():
    judging = JudgedSummaries([Told("judge"), NewsroomMeasures()], set())
    judging.add(answers(("left", "none", "unheard")))
    assert judging.row() == {}


def test_a_judge_that_guesses_gives_no_corrected_figure_and_warns():
    guesses = labels([4, 3, 3], [3, 4, 3], [3, 3, 4])
    with pytest.warns(
        UserWarning, match=r"judge has no corrected figure: with an accuracy of 0\.4"
    ):
        found = row([Told("guide"), Told("judge", guesses)])
    assert "judge_corrected" not in found
    assert found["guide_minus_judge"] == 0.25


def write_scores(path):
    """What a test of a classifier writes, of one that reads 8 of 10 texts of each stance right."""
    label, read = np.repeat(np.indices((3, 3)).reshape(2, -1), [8, 1, 1, 1, 8, 1, 1, 1, 8], axis=1)
    num = len(label)
    columns = {f"p_{one}": (read == n).astype(float).tolist() for n, one in enumerate(STANCES)}
    columns |= {name: [name] * num for name in ("pair_id", "generator", "paired_generator")}
    columns |= {"domain": ["summaries"] * num, "attack": ["none"] * num}
    write_table(columns | {"id": list(range(num)), "label": label.tolist()}, path)


def test_a_test_of_summaries_shows_the_judges_figure_corrected_and_how_the_guide_flatters_itself(
    tmp_path, capsys
):
    scores = tmp_path / "scores.parquet"
    write_scores(scores)
    shutil.copytree("assets/newsroom_guide", tmp_path / "judge")
    judge = {
        "class_path": "modules.summariser.evaluate.StanceKept",
        "init_args": {
            "source": str(tmp_path / "judge"),
            "labelled": str(scores),
            "domain": "summaries",
        },
    }
    news = {"class_path": NEWS, "init_args": {"num": 6, "seed": 2}}
    own = [f"--trainer.logger.init_args.root={tmp_path}", f"--data.init_args.cache={tmp_path}"]
    tested = ["test", "--config=configs/p3sum/tiny.yaml", "--config=configs/debug.yaml"]
    more = [
        "--model.init_args.generation.num_steps=2",
        f"--model.init_args.measures+={dumps(judge)}",
        f"--data.init_args.test={dumps([news])}",
    ]
    main([*tested, *own, *more, "--untrained"])
    found = dict(one.split() for one in capsys.readouterr().out.splitlines() if "test/" in one)
    assert float(found["test/judge_accuracy"]) == pytest.approx(0.8)
    assert float(found["test/guide_minus_judge"]) == 0  # the same weights
    corrected = [float(found[f"test/judge_corrected{end}"]) for end in ("_low", "", "_high")]
    assert corrected == sorted(corrected)
    kept = float(found["test/judge_kept"])
    assert corrected[1] == pytest.approx(min(max((kept - 0.1) / 0.7, 0), 1), abs=1e-4)


def test_a_judge_of_other_labelled_texts_is_refused_before_the_first_article(tmp_path):
    reader = StanceKept("assets/newsroom_guide", labelled=str(tmp_path / "scores.parquet"))
    with pytest.raises(FileNotFoundError, match="run `test` of the classifier first"):
        reader.opened()
