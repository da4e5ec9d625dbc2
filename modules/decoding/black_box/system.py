"""Proxy-tuning of a model at an endpoint, as a Lightning system."""

from modules.decoding.black_box.decode import ProxySampling
from modules.decoding.black_box.method import RemoteProxy, RemoteProxyTuned
from modules.decoding.system import PerQuestionSystem


class RemoteDecoding(PerQuestionSystem):
    """Answer questions by a proxy-tuned model at an endpoint.

    A question with choices, each of one token, gets one of them; any other gets a text.

    Args:
        method: The endpoint, the local experts and the prompt.
        sampling: How tokens are chosen; if it names no end, the expert's end tokens end a text.
        per_token: Whether every token is written with its probability and the bounds.
        answers: Records of an earlier run; they are included in the totals.
    """

    def __init__(
        self,
        method: RemoteProxyTuned,
        sampling: ProxySampling = ProxySampling(),  # noqa: B008 - frozen
        per_token: bool = False,
        answers: str | None = None,
    ):
        super().__init__(RemoteProxy(method, sampling, per_token), answers)
