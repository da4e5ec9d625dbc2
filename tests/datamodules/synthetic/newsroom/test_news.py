import re
from collections import Counter
from random import Random

import pytest

from datamodules.synthetic.newsroom.events import HELD_OUT, NEW_STANCES, draw_event, seen_stances
from datamodules.synthetic.newsroom.news import Style, news
from datamodules.synthetic.newsroom.sentences import (
    AMOUNTS,
    COMMENTS,
    DETAILS,
    DISTRACTORS,
    LEADS,
    SKELETONS,
)
from datamodules.synthetic.newsroom.words import (
    ACTIONS,
    NAMES,
    PLACES,
    SLOTS,
    STANCE_OF,
    STANCES,
    TOPICS,
)

TOKEN = re.compile(r"\w+|[^\w\s]")
NEWS = [news(0, index) for index in range(4000)]


def length(text):
    return len(TOKEN.findall(text))


def test_news_are_the_same_each_time_and_others_for_other_arguments():
    assert news(3, 5) == news(3, 5)
    texts = {news(*key).text for key in [(3, 5), (3, 6), (4, 5), (3, 5, "held_out")]}
    assert len(texts) == 4


def test_a_word_stands_in_one_slot_and_no_sentence_holds_it_otherwise():
    words = [word for some in SLOTS.values() for word in some]
    assert len(words) == len({*words})
    sentences = [*COMMENTS, *DISTRACTORS, *SKELETONS, *(one for some in DETAILS for one in some)]
    sentences += [one for some in (*LEADS.values(), *AMOUNTS.values()) for one in some]
    own = {word for sentence in sentences for word in re.findall(r"\w+(?![\w}])", sentence)}
    assert not own & {*words}
    assert len(sentences) == len({*sentences})


def test_each_stance_has_as_many_words_as_the_others_and_every_word_one_stance():
    assert Counter(STANCE_OF.values()) == dict.fromkeys(STANCES, 10 + 12 + 4)
    assert {*STANCE_OF} == {word for slot in ("verb", "body", "value") for word in SLOTS[slot]}
    for verbs in ACTIONS.values():
        assert [STANCE_OF[verb] for verb in verbs] == [*STANCES]


def test_articles_and_summaries_are_as_long_as_the_recipe_says():
    articles = [length(one.text) for one in NEWS]
    summaries = [length(one.summary) + 1 for one in NEWS]
    assert max(articles) <= 52
    assert sum(articles) / len(articles) == pytest.approx(35, abs=2)
    assert max(summaries) == 16
    assert len(SKELETONS) == 30


def test_long_articles_have_more_facts_apart_and_more_of_something_else():
    sizes = [news(0, i, style=Style(is_long=True)).text.count(".") for i in range(500)]
    assert {*sizes} == {10, 11, 12, 13, 14}


def test_half_of_the_summaries_keep_the_stance_and_the_share_is_an_option():
    kept = sum(one.stance == one.summary_stance for one in NEWS) / len(NEWS)
    assert kept == pytest.approx(0.5, abs=0.03)
    for share in (0.0, 1.0):
        some = [news(0, i, style=Style(kept=share)) for i in range(200)]
        assert all((one.stance == one.summary_stance) == bool(share) for one in some)


def test_a_summary_that_does_not_keep_the_stance_has_any_of_the_others():
    changes = Counter((one.stance, one.summary_stance) for one in NEWS)
    assert len(changes) == 9
    assert min(changes.values()) > 150


def test_training_shows_every_word_but_no_held_out_pair():
    pairs = {(one.event.who, one.event.where) for one in NEWS}
    told = {
        (one.event.topic, stance) for one in NEWS for stance in (one.stance, one.summary_stance)
    }
    assert {who for who, _ in pairs} == {*NAMES}
    assert {where for _, where in pairs} == {*PLACES}
    assert not pairs & HELD_OUT
    assert told == {(topic, stance) for topic in TOPICS for stance in seen_stances(topic)}
    assert len(HELD_OUT) * 5 == len(NAMES) * len(PLACES)


def test_held_out_parts_show_what_training_does_not():
    for index in range(300):
        event, stance = draw_event(Random(index), "held_out")
        assert (event.who, event.where) in HELD_OUT
        assert stance in seen_stances(event.topic)
        event, stance = draw_event(Random(index), "new_stance")
        assert (event.who, event.where) not in HELD_OUT
        assert NEW_STANCES[event.topic] == stance


def test_a_distractor_names_nothing_of_the_event():
    for one in NEWS[:1000]:
        for sentence in re.split(r"(?<=\.) ", one.text):
            if re.search(r"visited|paid|won|toured|return|Rain|Farmers|fair", sentence):
                assert not {*TOKEN.findall(sentence)} & {*vars(one.event).values()}


def test_a_span_of_the_lexicon_leaves_the_other_words_out():
    first, second = (
        {
            word
            for i in range(1500)
            for word in TOKEN.findall(news(0, i, style=Style(lexicon=span)).text)
            if word in STANCE_OF
        }
        for span in ((0.0, 0.5), (0.5, 1.0))
    )
    assert first | second == {*STANCE_OF}
    assert not first & second


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="part must be one of seen, held_out, new_stance, all"):
        news(0, 0, "test")
