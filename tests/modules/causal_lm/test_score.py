import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig

from modules.causal_lm.forward_arguments import accepted
from modules.causal_lm.score import continuation_logits, of_tokens
from modules.causal_lm.tokens.padding import padded

SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CONFIGS = [LlamaConfig(**SIZES), BloomConfig(**SIZES)]  # Bloom accepts no positions
PROMPTS, CONTINUATIONS = [[5, 6, 7, 8], [11], [40, 41]], [[1, 2, 3], [9, 9, 4], [30, 31, 32]]


@pytest.mark.parametrize("config", CONFIGS, ids=["llama", "bloom"])
@torch.no_grad()
def test_padded_continuations_have_the_log_probabilities_of_each_alone(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.3)  # enough for every token to matter
    token_RT = torch.tensor(CONTINUATIONS)
    logits = continuation_logits(model, *padded(PROMPTS), token_RT)
    log_p_R = of_tokens(logits.log_softmax(-1), token_RT)
    for prompt, continuation, log_p in zip(PROMPTS, CONTINUATIONS, log_p_R, strict=True):
        alone = model(torch.tensor([prompt + continuation])).logits[0].log_softmax(-1)
        wanted = [alone[len(prompt) + n - 1, token] for n, token in enumerate(continuation)]
        torch.testing.assert_close(log_p, torch.stack(wanted))


def test_a_models_forward_pass_is_given_what_it_accepts():
    class Plain:
        def forward(self, input_ids, position_ids=None):
            return input_ids

    assert accepted(Plain(), position_ids=1, logits_to_keep=2) == {"position_ids": 1}
