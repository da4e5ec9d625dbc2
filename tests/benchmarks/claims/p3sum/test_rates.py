"""Articles on which summarisers are compared."""

from types import SimpleNamespace

from benchmarks.claims.p3sum.rates import Claims
from datamodules.articles.datamodule import ArticleData
from datamodules.synthetic.newsroom.source import NewsroomArticles


def test_few_articles_for_a_choice_leave_the_test_whole(tmp_path):
    parts = enumerate(("validate", "test"))
    sources = {part: [NewsroomArticles(num=7, seed=n)] for n, part in parts}
    data = ArticleData("assets/newsroom_words", cache=str(tmp_path), **sources)
    built = SimpleNamespace(datamodule=data)
    claims = Claims(SimpleNamespace(quick=False, details={}))
    assert len(claims.articles(built, "validate", 2)["id_B"]) == 2
    assert len(claims.articles(built)["id_B"]) == 7
