import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, T5Config, T5Model

from modules.prompting.encoder import SentenceEncoder

TEXTS = [
    "the cat sat on the mat",
    "a dog ran over the hill and the cat saw it run",
    "rain fell on the old house",
    "nobody was at home",
]


pytestmark = pytest.mark.slow  # the import alone takes half a minute on a busy machine


@pytest.fixture(scope="module")
def encoder_folder(tokenizer_folder, tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.model_max_length = 24
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=0.3,
    )
    folder = tmp_path_factory.mktemp("encoder")
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def plain_embedding(folder: str, text: str, longest: int = 24) -> np.ndarray:
    """One text at a time, no padding, the mean as a sum over tokens in double precision."""
    tokenizer, model = (kind.from_pretrained(folder) for kind in (AutoTokenizer, AutoModel))
    ids = tokenizer(text)["input_ids"][:longest]
    with torch.no_grad():
        states = model.eval()(torch.tensor([ids])).last_hidden_state[0].double()
    return (sum(states) / len(ids)).numpy()


def test_embeddings_are_the_mean_over_real_tokens_whatever_stands_beside(encoder_folder):
    texts = [*TEXTS, "cat"]
    for batch_size in (1, 2, 99):
        embedding_ND = SentenceEncoder(encoder_folder, batch_size=batch_size).encode(texts)
        expected = np.stack([plain_embedding(encoder_folder, text) for text in texts])
        assert embedding_ND.dtype == np.float32
        np.testing.assert_allclose(embedding_ND, expected, atol=1e-5)


def test_normalised_embeddings_have_length_one_and_the_same_direction(encoder_folder):
    raw = SentenceEncoder(encoder_folder).encode(TEXTS)
    unit = SentenceEncoder(encoder_folder, normalise=True).encode(TEXTS)
    np.testing.assert_allclose(
        unit, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-4, atol=1e-6
    )


def test_a_prefix_is_part_of_the_text_and_the_first_state_another_choice(encoder_folder):
    prefixed = SentenceEncoder(encoder_folder, prefix="the ").encode(["cat"])
    np.testing.assert_allclose(
        prefixed, SentenceEncoder(encoder_folder).encode(["the cat"]), atol=1e-6
    )
    first = SentenceEncoder(encoder_folder, pooling="first").encode(TEXTS)
    assert np.abs(first - SentenceEncoder(encoder_folder).encode(TEXTS)).max() > 1e-2


def test_long_texts_are_cut_where_the_model_ends_and_counted(encoder_folder):
    encoder = SentenceEncoder(encoder_folder, batch_size=1)
    assert encoder.longest == 24
    with pytest.warns(UserWarning, match="2 of 3 texts are longer than the 24 tokens") as warned:
        embeddings = encoder.encode(["cat " * 50, "cat", "dog " * 50])
    assert len(warned) == 1
    np.testing.assert_allclose(
        embeddings[0], plain_embedding(encoder_folder, "cat " * 50), atol=1e-5
    )
    assert SentenceEncoder(encoder_folder, longest=8).longest == 8
    assert SentenceEncoder(encoder_folder, longest=800).longest == 24


def test_the_encoder_of_an_encoder_decoder_is_taken(tokenizer_folder, tmp_path):
    config = T5Config(
        vocab_size=300, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0
    )
    model = T5Model(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.save_pretrained(tmp_path)
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        expected = model.get_encoder()(ids).last_hidden_state.mean(1)
    embeddings = SentenceEncoder(str(tmp_path)).encode(TEXTS[:2])
    np.testing.assert_allclose(embeddings[:1], expected, atol=1e-5)


def test_the_fingerprint_follows_weights_tokenizer_and_settings_not_the_path(
    encoder_folder, tmp_path
):
    def name(folder=encoder_folder, **settings):
        return SentenceEncoder(str(folder), **settings).fingerprint()

    tokenizer, model = (c.from_pretrained(encoder_folder) for c in (AutoTokenizer, AutoModel))
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    assert name(tmp_path) == name() == name(batch_size=3)
    changes = [{"normalise": True}, {"longest": 8}, {"prefix": "a"}, {"pooling": "first"}]
    changes += [{"query_prefix": "a"}]
    assert len({name(), *(name(**change) for change in changes)}) == 6
    with torch.no_grad():
        model.encoder.layer[0].output.dense.bias.add_(1)
    model.save_pretrained(tmp_path)
    assert name(tmp_path) != name()


def test_queries_and_documents_have_their_own_prompts_by_yaml_or_by_the_models_files(
    encoder_folder, tmp_path
):
    plain = SentenceEncoder(encoder_folder)
    wanted = plain.encode(["query: cat", "passage: cat", "cat"])
    prefixed = SentenceEncoder(encoder_folder, prefix="passage: ", query_prefix="query: ")
    np.testing.assert_allclose(prefixed.encode_queries(["cat"])[0], wanted[0], atol=1e-5)
    np.testing.assert_allclose(prefixed.encode(["cat"])[0], wanted[1], atol=1e-5)
    np.testing.assert_allclose(plain.encode_queries(["cat"])[0], wanted[2], atol=1e-5)
    model = plain.model
    model.prompts = {"query": "query: ", "document": "passage: "}
    model.save(str(tmp_path))
    own = SentenceEncoder(str(tmp_path))
    np.testing.assert_allclose(own.encode_queries(["cat"])[0], wanted[0], atol=1e-5)
    np.testing.assert_allclose(own.encode(["cat"])[0], wanted[1], atol=1e-5)


def test_pooling_and_normalisation_of_the_models_files_are_taken(encoder_folder, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    parts = [Transformer(encoder_folder), Pooling(16, "cls"), Normalize()]
    SentenceTransformer(modules=parts).save(str(tmp_path))
    embeddings = SentenceEncoder(str(tmp_path)).encode(TEXTS)
    wanted = SentenceEncoder(encoder_folder, pooling="first", normalise=True).encode(TEXTS)
    np.testing.assert_allclose(embeddings, wanted, atol=1e-6)


def test_no_text_has_no_embedding(encoder_folder):
    assert SentenceEncoder(encoder_folder).encode([]).shape == (0, 16)


def test_a_folder_that_is_not_there_is_told_before_the_hub_is_asked(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SentenceEncoder(str(tmp_path / "nowhere")).encode(["a"])


def test_nothing_is_read_before_it_is_needed():
    assert SentenceEncoder("nowhere").path == "nowhere"
    for name in ("batch_size", "longest"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            SentenceEncoder("nowhere", **{name: 0})
