"""Tiny random models and a tokenizer of numbers, and decoding written out plainly."""

import copy

import torch

from modules.decoding.branches import Branch

VOCABULARY = 37
KINDS = ("gpt2", "llama", "t5", "bart")
OTHERS = ("opt", "bloom", "mistral", "gemma2", "qwen2")
HYBRIDS = ("lfm2", "falcon_h1")
"""Models with layers of convolutions or of linear attention beside those of attention."""


class Numbers:
    """A tokenizer whose texts are numbers: "3 14 15"; the last ids start, end and fill up."""

    def __init__(self, size=VOCABULARY, extra=()):
        self.words = [str(i) for i in range(size)] + list(extra)
        self.pad_token_id = 0
        self.eos_token_id = size - 1
        self.bos_token_id = None
        self.all_special_ids = [0, size - 1]

    def __len__(self):
        return len(self.words)

    def get_vocab(self):
        return {word: i for i, word in enumerate(self.words)}

    def convert_tokens_to_ids(self, names):
        return [self.get_vocab().get(name) for name in names]

    def convert_ids_to_tokens(self, ids):
        return [self.words[i] for i in ids]

    def encode(self, text, add_special_tokens=True):
        return [self.words.index(word) for word in text.split()]

    def decode(self, ids, skip_special_tokens=False):
        ids = torch.as_tensor(ids).tolist()
        ids = [i for i in ids if not (skip_special_tokens and i in self.all_special_ids)]
        return " ".join(self.words[i] for i in ids)


def tiny(kind, seed=0, size=VOCABULARY, width=32, spread=1.5):
    """A random model in evaluation mode whose logits have a standard deviation of `spread`."""
    import transformers as t

    torch.manual_seed(seed)
    if kind == "gpt2":
        config = t.GPT2Config(vocab_size=size, n_positions=64, n_embd=width, n_layer=2, n_head=4)
        model = t.GPT2LMHeadModel(config)
    elif kind == "llama":
        config = t.LlamaConfig(
            vocab_size=size,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
        model = t.LlamaForCausalLM(config)
    elif kind == "t5":
        config = t.T5Config(
            vocab_size=size,
            d_model=width,
            d_kv=8,
            d_ff=2 * width,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=0,
            tie_word_embeddings=False,
        )
        model = t.T5ForConditionalGeneration(config)
    elif kind in (*OTHERS, *HYBRIDS):
        model = other(kind, size, width)
    else:
        config = t.BartConfig(
            vocab_size=size,
            d_model=width,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=2 * width,
            decoder_ffn_dim=2 * width,
            max_position_embeddings=64,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
        )
        model = t.BartForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(9.0 if kind in ("gpt2", "llama") else 1.5)
        told = {"input_ids": torch.arange(1, 12)[None]}
        if kind in ("t5", "bart"):
            told["decoder_input_ids"] = torch.arange(5, 15)[None]
        model.get_output_embeddings().weight.mul_(spread / model.eval()(**told).logits.std())
    generation = model.generation_config
    generation.eos_token_id = generation.pad_token_id = generation.bos_token_id = None
    generation.forced_eos_token_id = None
    model.config.eos_token_id = None
    return model.eval()


def nothing(question, tokenizer):
    """A prompt for tests that give token ids themselves."""
    raise AssertionError("this test gives token ids")


def other(kind, size, width):
    """Models that place tokens in other ways: by bias, by offset, in a window."""
    import transformers as t

    wide = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 4}
    gated = {**wide, "intermediate_size": 2 * width, "num_key_value_heads": 2}
    config = {
        "opt": lambda: t.OPTConfig(
            **wide, ffn_dim=2 * width, word_embed_proj_dim=width, max_position_embeddings=64
        ),
        "bloom": lambda: t.BloomConfig(hidden_size=width, n_layer=2, n_head=4),
        "mistral": lambda: t.MistralConfig(**gated, sliding_window=6),
        "gemma2": lambda: t.Gemma2Config(**gated, head_dim=8, sliding_window=6),
        "qwen2": lambda: t.Qwen2Config(**gated),
        "lfm2": lambda: t.Lfm2Config(**gated, layer_types=["conv", "full_attention"]),
        "falcon_h1": lambda: t.FalconH1Config(
            **gated,
            mamba_n_heads=4,
            mamba_d_head=16,
            mamba_d_ssm=64,
            mamba_d_state=8,
            mamba_n_groups=1,
            mamba_chunk_size=8,
        ),
    }[kind]()
    config.vocab_size = size
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, name, None)
    return t.AutoModelForCausalLM.from_config(config)


def branch(model, weight=1.0, name="model", size=None, **more):
    return Branch(model, Numbers(size or VOCABULARY), nothing, weight, name, **more)


def prompts(num, lengths=(9, 3, 7, 12, 5), seed=1, size=VOCABULARY):
    """Token ids of unequal prompts; the first `num` of them."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(1, size - 1, (n,), generator=generator).tolist() for n in lengths]
    return rows[:num]


# Decoding as one would write it down: no cache, no batch, float64


def doubled(branches):
    """The same branches in float64."""
    return [(copy.deepcopy(one.model).double(), one.weight) for one in branches.branches]


@torch.no_grad()
def plain_logits(models, told, written, start=0):
    """sum_k w_k s_k for one question, [V].

    Args:
        models: Models in float64 with their weights.
        told: The question's prompt for each of them.
        written: Tokens so far.
        start: What an encoder-decoder's decoder begins with.
    """
    total = 0
    for (model, weight), ids in zip(models, told, strict=True):
        if model.config.is_encoder_decoder:
            decoder = torch.tensor([[start, *written]])
            encoder = torch.tensor([ids])
            logits = model(input_ids=encoder, decoder_input_ids=decoder, use_cache=False).logits
        else:
            logits = model(input_ids=torch.tensor([[*ids, *written]]), use_cache=False).logits
        total = total + weight * logits[0, -1]
    return total


def plain_greedy(models, told, num):
    written = []
    for _ in range(num):
        written.append(int(plain_logits(models, told, written).argmax()))
    return written


def plain_samples(models, questions, num, temperature, seed):
    """Samples of several questions, whose chance is drawn together at each step."""
    torch.manual_seed(seed)
    written = [[] for _ in questions]
    for _ in range(num):
        logits = torch.stack(
            [plain_logits(models, told, w) for told, w in zip(questions, written, strict=True)]
        )
        chosen = torch.multinomial((logits.float() / temperature).softmax(-1), 1)[:, 0]
        for row, token in zip(written, chosen.tolist(), strict=True):
            row.append(token)
    return written


def plain_beams(models, told, num, num_beams):
    """The best of beams of equal length."""
    beams = [(0.0, [])]
    for _ in range(num):
        found = []
        for score, written in beams:
            log_p = plain_logits(models, told, written).log_softmax(-1)
            found += [(score + float(log_p[i]), [*written, i]) for i in range(len(log_p))]
        beams = sorted(found, key=lambda one: -one[0])[:num_beams]
    return beams[0][1]
