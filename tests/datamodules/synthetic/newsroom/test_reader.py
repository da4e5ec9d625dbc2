import pytest
from jsonargparse import ArgumentParser

from datamodules.synthetic.newsroom.events import Event
from datamodules.synthetic.newsroom.news import Style, news
from datamodules.synthetic.newsroom.reader import (
    NewsroomMeasures,
    distance,
    read_article,
    read_summary,
    stance_of,
)
from modules.decoding.evaluate import Answered, Measure
from modules.summariser.evaluate import StanceReader

EVENT = Event("Mercer", "sell", "harbour", "Saltmere", "Monday", "60m")
ARTICLE = (
    "Rain fell in Dunmere on Friday. Mercer freed the harbour in Saltmere. Porter will return on "
    "Sunday. The decision on Monday will cost 60m crowns. The Oak Party spoke of thrift."
)
RIGHT = "Mercer freed the harbour in Saltmere on Monday for 60m crowns, citing thrift."


def answered(summary, article=ARTICLE, **stances):
    return Answered({"article": article, **stances}, summary, [])


def measured(*summaries, asked="right"):
    """Means over some summaries."""
    scores = NewsroomMeasures().score([answered(one, asked=asked) for one in summaries])
    return {name: sum(values) / len(values) for name, values in scores.items()}


@pytest.mark.parametrize("is_long", [False, True])
def test_the_reader_is_exact_on_articles_and_summaries(is_long):
    parts = ("seen", "held_out", "new_stance", "all")
    for index in range(2500):
        one = news(11, index, parts[index % 4], Style(is_long=is_long))
        assert read_article(one.text) == (one.event, one.stance)
        found = read_summary(one.summary, one.event)
        assert found.is_exact
        assert found.is_pure
        assert found.stance == one.summary_stance
        assert found.facts == 1
        assert 3 <= len(found.right) <= 5
        assert len(found.missing) == 5 - len(found.right)


def test_each_change_of_a_word_of_a_summary_is_found():
    found = read_summary(RIGHT, EVENT)
    assert found.right == ("who", "what", "where", "when", "amount")
    changes = {
        "who": ("Mercer", "Porter"),
        "what": ("harbour", "school"),
        "where": ("Saltmere", "Dunmere"),
        "when": ("Monday", "Friday"),
        "amount": ("60m", "65m"),
    }
    for fact, (old, new) in changes.items():
        damaged = read_summary(RIGHT.replace(old, new), EVENT)
        assert damaged.wrong == (fact,)
        assert damaged.is_known
        assert not damaged.is_exact
        assert damaged.facts == pytest.approx(0.8)
    assert read_summary(RIGHT.replace("freed", "trimmed"), EVENT).wrong == ("what",)
    assert read_summary(RIGHT.replace("freed", "surrendered"), EVENT).wrong == ()


def test_a_fact_that_is_said_in_two_ways_is_wrong():
    found = read_summary("Mercer and Porter freed the harbour in Saltmere.", EVENT)
    assert found.wrong == ("who",)
    assert found.right == ("what", "where")
    assert found.missing == ("when", "amount")


def test_what_is_done_needs_both_the_action_and_the_topic():
    assert read_summary("Mercer freed Saltmere.", EVENT).wrong == ("what",)
    assert read_summary("the harbour", EVENT).wrong == ("what",)


def test_true_facts_in_broken_words_are_right_but_not_exact():
    found = read_summary("Mercer Mercer freed the the harbour Saltmere on Monday", EVENT)
    assert found.right == ("who", "what", "where", "when")
    assert not found.is_known
    assert not found.is_exact
    assert not read_summary(RIGHT + " " + RIGHT, EVENT).is_known


def test_spaces_and_line_breaks_do_not_matter():
    assert read_summary(f"  {RIGHT}\n".replace(" in ", "  in\n"), EVENT).is_exact
    assert read_article(ARTICLE.replace(" ", "  ")) == (EVENT, "right")


def test_fewer_than_three_facts_count_as_three():
    assert read_summary("Mercer", EVENT).facts == pytest.approx(1 / 3)
    assert read_summary("", EVENT).facts == 0
    assert read_summary("", EVENT).is_empty


@pytest.mark.parametrize(
    ("text", "stance"),
    [
        ("Mercer freed the harbour.", "right"),
        ("Clover leader Mercer gutted the harbour, citing thrift.", "left"),
        ("Clover leader Mercer freed the harbour.", "mixed"),
        ("Clover leader Mercer sold the harbour, citing thrift.", "mixed"),
        ("Mercer visited the harbour.", "none"),
        ("", "none"),
    ],
)
def test_a_stance_needs_more_than_half_of_the_words(text, stance):
    assert stance_of(text) == stance


def test_without_a_stance_the_distance_is_that_of_center():
    assert [distance(one, "left") for one in ("left", "center", "right")] == [0, 1, 2]
    assert [distance(one, "left") for one in ("none", "mixed")] == [1, 1]
    assert distance("none", "center") == 0


def test_an_article_that_is_damaged_is_no_news():
    for old, new in [("Saltmere", "the sea"), ("on Monday ", ""), ("Rain", "Snow")]:
        with pytest.raises(ValueError, match=r"newsroom|each fact once"):
            read_article(ARTICLE.replace(old, new))
    with pytest.raises(ValueError, match="each fact once, but not who, verb, topic, where"):
        read_article(ARTICLE + " Porter freed the school in Dunmere.")


def test_the_measures_are_means_over_the_records():
    kept = RIGHT
    changed = "Mercer surrendered the harbour in Saltmere on Monday, citing fairness."
    mixed = "Clover leader Mercer freed the harbour in Dunmere on Monday."
    assert measured(kept, changed, mixed, "") == {
        "facts": pytest.approx((1 + 1 + 3 / 4 + 0) / 4),
        "exact": 0.5,
        "pure": 0.5,
        "empty": 0.25,
        "kept": 0.25,
        "distance": pytest.approx((0 + 2 + 1 + 1) / 4),
        "both": 0.25,
        "unread": 0,
    }


def test_a_summary_without_a_stance_is_never_kept_even_where_center_is_asked_for():
    found = measured("Mercer visited the harbour.", asked="center")
    assert found["kept"] == 0
    assert found["distance"] == 0


def test_other_articles_and_unknown_wishes_have_fewer_measures():
    answers = [
        answered(RIGHT, asked="right", stance="left"),
        answered(RIGHT, asked="", stance="right"),
        answered(RIGHT),
        answered(RIGHT, "Something else.", asked="right"),
    ]
    assert NewsroomMeasures().score(answers) == {
        "facts": [1, 1, 1],
        "exact": [1, 1, 1],
        "pure": [1, 1, 1],
        "empty": [0, 0, 0],
        "kept": [1, 1],
        "distance": [0, 0],
        "both": [1, 1],
        "unread": [0, 0, 0, 1],
    }
    assert NewsroomMeasures().score([]) == {name: [] for name in NewsroomMeasures.names}


def test_a_config_may_name_the_measures_beside_those_of_the_models():
    parser = ArgumentParser()
    parser.add_argument("--measure", type=Measure)
    path = "datamodules.synthetic.newsroom.reader.NewsroomMeasures"
    told = parser.parse_args([f"--measure={path}"])
    assert isinstance(parser.instantiate(told).measure, NewsroomMeasures)


def test_it_reads_stances_of_any_text_as_classifiers_do():
    left, mixed = "He gutted the school, citing fairness.", "The Oak Party gutted it."
    texts = [RIGHT, left, mixed, "Rain.", ""]
    reader = NewsroomMeasures()
    assert isinstance(reader, StanceReader)
    assert reader.classes == ["left", "center", "right"]
    assert reader.read(texts) == [2, 0, -1, -1, -1]
    assert reader.named(texts) == [
        {"left": 0, "center": 0, "right": 1},
        {"left": 1, "center": 0, "right": 0},
        {"left": 0.5, "center": 0, "right": 0.5},
        *[{"left": 0, "center": 0, "right": 0}] * 2,
    ]
