"""Jinja templates of conversations for `apply_chat_template`.

`{% generation %}` marks the targets.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.records.roots import missing

if TYPE_CHECKING:  # the import takes seconds
    from transformers import PreTrainedTokenizerBase

PLAIN = (
    "{{ bos_token if bos_token is defined and bos_token else eos_token }}"
    "{% for message in messages %}"
    "{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '### Response:\\n' }}"
    "{% generation %}{{ message['content'] | trim }}{{ eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'system' %}{{ message['content'] | trim }}"
    "{% else %}{{ '### Instruction:\\n' }}{{ message['content'] | trim }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"
)
"""Headings in plain characters, for tokenizers without chat tokens."""
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, for tokenizers that have its two tokens."""
NAMED = {"plain": PLAIN, "chatml": CHATML}
"""Templates by name."""


def chat_template(given: str | None, tokenizer: "PreTrainedTokenizerBase") -> str:
    """The template of a run.

    Args:
        given: A name among `NAMED`, a file that ends in `.jinja`, or a template itself; None takes
            the tokenizer's own.
        tokenizer: Tokenizer whose template is used otherwise.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The tokenizer has none.
    """
    if given in NAMED:
        return NAMED[given]
    if given is not None and "{" in given:
        return given
    if given is not None:
        if not Path(given).is_file():
            raise missing(given)
        return Path(given).read_text(encoding="utf-8-sig")
    if not tokenizer.chat_template:
        raise ValueError(
            f"the tokenizer {tokenizer.name_or_path} has no chat template: set chat_template to "
            f"one of {', '.join(NAMED)}, or to a .jinja file."
        )
    return str(tokenizer.get_chat_template())
