"""A small endpoint on this machine that speaks as OpenAI's does, and tiny models behind it."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import torch

TEXT = [
    "the cat sat on the mat and the dog sat on the log.",
    "a question has one answer: A, B, C or D.",
    "Der Bär saß müßig in der Sonne, naïve façade.",
]
END = "<|end|>"


def byte_tokenizer(num=300):
    """Byte-level, as of GPT-2 and Llama 3; tokens may be parts of characters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=num,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END)


def piece_tokenizer():
    """Pieces with a mark for the space before them and byte tokens, as of Llama 2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "A", "▁A", "B", "▁B", "true", "▁true", "t", "r", "u", "e", "1", "2"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def tiny_model(kind, num_tokens, seed, scale=8.0):
    """A random model whose distributions are neither flat nor sure."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    if kind == "gpt2":
        config = GPT2Config(
            vocab_size=num_tokens,
            n_positions=256,
            n_embd=32,
            n_layer=2,
            n_head=4,
            bos_token_id=None,
            eos_token_id=None,
        )
        model = GPT2LMHeadModel(config)
    else:
        config = LlamaConfig(
            vocab_size=num_tokens,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
        )
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
    return model.eval()


@dataclass
class Served:
    """What stands behind the endpoint, and what was asked of it.

    Attributes:
        model: Tells log-probabilities; none is needed where all answers are scripted.
        tokenizer: Of its vocabulary.
        script: Answers given instead, in order: status, headers, body; a number is a wait.
        as_ids: Whether tokens are written as `token_id:7`.
        num: Most tokens told.
        requests: Path, headers and fields of all requests.
        num_connections: Connections that were opened.
    """

    model: object = None
    tokenizer: object = None
    script: list = field(default_factory=list)
    as_ids: bool = False
    num: int = 10_000
    requests: list = field(default_factory=list)
    url: str = ""
    num_connections: int = 0

    def logprobs(self, ids):
        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0, -1]
        return logits[: len(self.tokenizer)].double().log_softmax(0)

    def top(self, ids, num):
        value, place = self.logprobs(ids).topk(min(num, self.num, len(self.tokenizer)))
        return list(zip(place.tolist(), value.tolist(), strict=True))

    def string(self, i):
        return f"token_id:{i}" if self.as_ids else self.tokenizer.decode([i])

    def text(self, fields):
        prompt = fields["prompt"]
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        top = self.top(ids, fields["logprobs"])
        table = {self.string(i): value for i, value in top}
        logprobs = {"tokens": [self.string(top[0][0])], "top_logprobs": [table]}
        return {"text": self.string(top[0][0]), "logprobs": logprobs, "finish_reason": "length"}

    def chat(self, fields):
        from modules.decoding.spelling import Spelling

        prompt = "".join(one["content"] for one in fields["messages"])
        top = self.top(self.tokenizer.encode(prompt), fields["top_logprobs"])
        raw = Spelling(self.tokenizer).raw
        entries = [
            {"token": self.string(i), "logprob": value, "bytes": list(raw[i])} for i, value in top
        ]
        content = [{**entries[0], "top_logprobs": entries}]
        return {"message": {"content": ""}, "logprobs": {"content": content}}


@contextmanager
def serving(**arguments) -> Iterator[Served]:
    """The endpoint, on a free port of this machine."""
    served = Served(**arguments)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept
        disable_nagle_algorithm = True

        def setup(self):
            served.num_connections += 1
            super().setup()

        def do_POST(self):
            fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append((self.path, dict(self.headers), fields))
            while served.script and isinstance(served.script[0], float):
                time.sleep(served.script.pop(0))
            if served.script:
                return self.answer(*served.script.pop(0))
            make = served.chat if self.path.endswith("/chat/completions") else served.text
            return self.answer(200, {}, {"choices": [make(fields)]})

        def answer(self, status, headers, body):
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                pass  # the client has given up

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True  # a kept connection does not keep the test
    server.block_on_close = False
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with patch.dict(os.environ, {"no_proxy": "127.0.0.1"}):
            yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
