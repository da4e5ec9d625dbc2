import pytest
import torch

from modules.causal_lm.network import LanguageModel
from modules.icl.analysis.features import mean_hidden_states
from tests.fixtures.document_gradients import tiny_model

TEXTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10], [3, 2, 1], [2, 4, 6, 8]]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_features_are_the_means_of_texts_that_are_read_alone(kind):
    model = tiny_model(kind, dtype=torch.float32)
    alone = [
        model(torch.tensor([text]), output_hidden_states=True).hidden_states[-1][0].mean(0)
        for text in TEXTS
    ]
    found = mean_hidden_states(LanguageModel(model).eval(), TEXTS, rows_per_batch=2)
    torch.testing.assert_close(
        torch.from_numpy(found), torch.stack(alone).detach(), rtol=1e-4, atol=1e-5
    )
