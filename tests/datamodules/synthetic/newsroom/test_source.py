import pytest
from transformers import AutoTokenizer

from datamodules.synthetic.newsroom.news import Style, news
from datamodules.synthetic.newsroom.reader import read_article, read_summary, stance_of
from datamodules.synthetic.newsroom.source import NewsroomArticles, NewsroomTexts
from datamodules.synthetic.newsroom.words import SLOT_OF, STANCES


def test_articles_come_with_their_own_stance_and_a_summary():
    found = [*NewsroomArticles(300, seed=4, part="held_out").articles()]
    for index, one in enumerate(found):
        event, stance = read_article(one.text)
        assert one.stance == stance
        assert read_summary(one.summary, event).is_exact
        assert one.text == news(4, index, "held_out").text
    assert len({one.id for one in found}) == 300
    assert found[2].origin == "newsroom:held_out:300:4:3"


def test_options_of_the_articles_reach_them():
    assert all(
        stance_of(one.summary) == one.stance for one in NewsroomArticles(50, kept=1.0).articles()
    )
    assert all(one.text.count(".") >= 10 for one in NewsroomArticles(50, is_long=True).articles())


def test_labelled_texts_have_the_label_of_their_own_words():
    source = NewsroomTexts(200, "train", seed=1)
    assert len(source.rows) == 400
    assert {row.domain for row in source.rows} == {"articles", "summaries"}
    assert all(row.label == stance_of(row.text) for row in source.rows)
    assert all(row.split == "train" for row in source.rows)
    assert [one.text for one in source.documents()] == [row.text for row in source.rows]
    assert {row.domain for row in NewsroomTexts(9, "test", texts="summaries").rows} == {"summaries"}


def test_noise_is_the_share_of_labels_that_are_drawn():
    rows = NewsroomTexts(3000, "train", noise=0.3, texts="summaries").rows
    wrong = sum(row.label != stance_of(row.text) for row in rows) / len(rows)
    assert wrong == pytest.approx(0.3 * 2 / 3, abs=0.03)
    assert {row.label for row in rows} == {*STANCES}


def test_the_fingerprint_distinguishes_the_parameters():
    options = [
        {},
        {"seed": 1},
        {"part": "all"},
        {"texts": "articles"},
        {"is_long": True},
        {"noise": 0.1},
        {"lexicon": (0.0, 0.5)},
    ]
    assert len({NewsroomTexts(5, "train", **one).fingerprint() for one in options}) == len(options)


def test_the_tokenizer_of_the_newsroom_knows_every_word_and_gives_texts_back():
    tokenizer = AutoTokenizer.from_pretrained("assets/newsroom_words")
    assert {*SLOT_OF} <= {*tokenizer.get_vocab()}
    for index in range(300):
        one = news(8, index, "all", Style(is_long=index % 2 == 0))
        for text in (one.text, one.summary):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            marked = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, tokenizer.pad_token_id]
            assert tokenizer.decode(marked, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NewsroomArticles(0), "num must be at least 1, got 0"),
        (lambda: NewsroomArticles(1, kept=1.5), "kept must be within"),
        (lambda: NewsroomTexts(0, "train"), "num must be at least 1, got 0"),
        (lambda: NewsroomTexts(1, "train", noise=-0.1), "noise must be within"),
        (lambda: NewsroomTexts(1, "train", texts="titles"), "texts must be one of articles"),
        (lambda: NewsroomTexts(1, "train", lexicon=(0.5, 0.6)), "at least 0.25"),
    ],
)
def test_what_cannot_be_made_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
