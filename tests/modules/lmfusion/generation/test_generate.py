from dataclasses import replace

import pytest
import torch

from modules.diffusion.guidance import Guidance
from modules.diffusion.noise import gaussian
from modules.diffusion.schedule import CosineSchedule
from modules.diffusion.solver import DDIM, DDPM
from modules.lmfusion.generation.batch import generator
from modules.lmfusion.generation.generate import Generation, continue_document, draw, write
from modules.lmfusion.generation.session import without_text
from modules.lmfusion.network.fusion import BOI, EOI
from tests.fixtures.lmfusion_parts import arrange, fusion, linear, unet

SHAPE = (3, 8, 8)
END = 49
HOW = Generation(num_steps=4, guidance=Guidance(2.0), solver=DDIM(), max_new_tokens=6)
SAMPLER = HOW.sampler(CosineSchedule(), "v")


@pytest.fixture(autouse=True)
def exact():
    """Noise in the precision of the tests' networks."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def generators(*numbers):
    return [generator(0, number) for number in numbers]


def image(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def documents(segments, to_draw=False):
    """Segments as the elements of `parts.arrange`, and the stack of their images."""
    elements, latents = [], []
    for segment in segments:
        if segment.ndim == 1:
            elements += segment.tolist()
        else:
            elements += [BOI, (len(latents),), EOI]
            latents.append(segment)
    return elements + ([BOI, (len(latents),)] if to_draw else []), latents


@torch.no_grad()
def uncached(network, segments, x_t, step):
    """The prediction for an image after a document, by a forward over all of it."""
    document, latents = documents(segments, to_draw=True)
    token, position, runs = arrange([document], network.patchifier.num_patches)
    steps = torch.tensor([0] * len(latents) + [int(step)])
    return network(token, position, torch.stack([*latents, x_t]), steps, runs).noise_ICHW[-1]


@pytest.mark.parametrize("patchifier", [linear, unet])
@pytest.mark.parametrize("with_image", [False, True])
def test_an_image_drawn_with_a_cache_is_the_one_drawn_with_whole_forwards(patchifier, with_image):
    network = fusion(patchifier())
    text, start = torch.tensor([1, 7, 8, 9]), torch.tensor([1])
    edit = [torch.tensor([1, 7]), image(0), torch.tensor([8, 9])]
    conditional = edit if with_image else [text]
    free = [start, edit[1], text[:0]] if with_image else [start]

    def predict(x_t, step_B):
        rows = (conditional, free)
        with_text, without = (uncached(network, row, x_t[0], step_B[0]) for row in rows)
        return (without + 2.0 * (with_text - without))[None]

    expected = SAMPLER.sample(predict, gaussian((1, *SHAPE), generators(3), dtype=torch.float64))
    drawn = draw(network, [conditional], SHAPE, SAMPLER, HOW.guidance, generators(3))
    torch.testing.assert_close(drawn, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("solver", [DDIM(), DDPM()], ids=["without fresh noise", "with it"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_images_drawn_together_are_those_drawn_alone(scale, solver):
    network = fusion()
    prompts = [[torch.tensor(ids)] for ids in ([1, 5, 6, 7, 8, 9], [1], [1, 4])]
    sampler = replace(HOW, solver=solver).sampler(CosineSchedule(), "v")
    how = SHAPE, sampler, Guidance(scale)
    together = draw(network, prompts, *how, generators(0, 1, 2))
    for i, prompt in enumerate(prompts):
        alone = draw(network, [prompt], *how, generators(i))
        torch.testing.assert_close(together[i], alone[0], rtol=1e-8, atol=1e-8)


def test_guidance_by_one_is_the_conditional_image_and_needs_no_second_row(monkeypatch):
    network = fusion()
    prompt = [torch.tensor([1, 5, 6])]
    plain = draw(network, [prompt], SHAPE, SAMPLER, Guidance(1.0), generators(0))
    almost = draw(network, [prompt], SHAPE, SAMPLER, Guidance(1.0 + 1e-9), generators(0))
    other = draw(network, [prompt], SHAPE, SAMPLER, Guidance(2.0), generators(0))
    torch.testing.assert_close(plain, almost, rtol=1e-6, atol=1e-6)
    assert (plain - other).abs().max() > 1e-3
    sizes = []
    empty = network.empty_cache
    monkeypatch.setattr(network, "empty_cache", lambda *a: sizes.append(a[0]) or empty(*a))
    draw(network, [prompt], SHAPE, SAMPLER, Guidance(1.0), generators(0))
    assert sizes == [1]


def test_without_text_a_prompt_keeps_its_start_and_its_images():
    latent = image(0)
    rows = [torch.tensor([1, 5]), latent, torch.tensor([6])]
    rows_without = without_text(rows)
    assert [rows_without[0].tolist(), rows_without[2].tolist()] == [[1], []]
    assert rows_without[1] is latent


def greedy(network, segments, how_many):
    """Text after a document, each token by a forward over everything before it."""
    segments, written = [*segments, torch.tensor([], dtype=torch.int64)], []
    for _ in range(how_many):
        document, latents = documents(segments)
        token, position, runs = arrange([document], network.patchifier.num_patches)
        images = torch.stack(latents) if latents else torch.zeros(0, *SHAPE)
        with torch.no_grad():
            step = torch.zeros(len(latents), dtype=torch.int64)
            out = network(token, position, images, step, runs, read_prefix=True)
            hidden = torch.cat([out.prefix_WD, out.later_LD])[-1:]
            best = network.logits(hidden)[0, :-1].argmax()
        if best == END:
            break
        written.append(int(best))
        segments[-1] = torch.cat([segments[-1], best[None]])
    return written


def test_text_written_in_a_batch_is_that_of_whole_forwards_row_by_row():
    network = fusion()
    start, empty = torch.tensor([1]), torch.tensor([], dtype=torch.int64)
    prompts = [
        [start, image(0), empty],
        [start, image(1), torch.tensor([3, 4])],
        [torch.tensor([1, 9]), image(2), torch.tensor([5])],
    ]
    texts = write(network, prompts, HOW, END, generators(0, 1, 2))
    assert [text.tolist() for text in texts] == [greedy(network, p, 6) for p in prompts]
    assert len({tuple(text.tolist()) for text in texts}) > 1


def test_text_stops_at_its_end_token_row_by_row():
    network = fusion()
    prompts = [[torch.tensor([1, token])] for token in (3, 4, 5)]
    free = write(network, prompts, HOW, -1, generators(0, 1, 2))
    assert {len(text) for text in free} == {6}
    end = int(free[0][2])
    stopped = write(network, prompts, HOW, end, generators(0, 1, 2))
    for text, whole in zip(stopped, (text.tolist() for text in free), strict=True):
        assert text.tolist() == (whole[: whole.index(end)] if end in whole else whole)


def test_sampled_text_is_the_same_alone_and_in_a_batch_and_another_with_another_seed():
    network = fusion()
    how = replace(HOW, temperature=1.0)
    prompts = [[torch.tensor([1, 3])], [torch.tensor([1, 4, 5])]]
    together = write(network, prompts, how, END, generators(0, 1))
    for i, prompt in enumerate(prompts):
        assert torch.equal(write(network, [prompt], how, END, generators(i))[0], together[i])
    others = [write(network, prompts[:1], how, END, generators(i))[0].tolist() for i in range(5)]
    assert len({tuple(text) for text in others}) > 1


def test_an_image_begins_where_its_mark_is_the_likeliest():
    network = fusion()
    token, position, runs = arrange([[1, 3]], 16)
    none = torch.zeros(0, *SHAPE), torch.zeros(0, dtype=torch.int64)
    with torch.no_grad():
        hidden = network(token, position, *none, runs, read_prefix=True).prefix_WD[-1]
    how = replace(HOW, max_new_tokens=1)
    for sign, kinds in ((1, [1, 3, 1]), (-1, [1])):
        network.boi_output.data = sign * 100 * hidden / hidden.norm()
        prompt = [torch.tensor([1, 3])]
        added = continue_document(network, prompt, SHAPE, SAMPLER, how, END, generators(0)[0])
        assert [part.ndim for part in added] == kinds


def play(monkeypatch, network, choices):
    """Make the network generate the tokens of a script; returns its hidden states at each."""
    seen, script = [], iter(choices)

    def logits(hidden):
        seen.append(hidden[0])
        row = torch.zeros(1, 51)
        row[0, next(script)] = 1.0
        return row

    monkeypatch.setattr(network, "logits", logits)
    return seen


def test_text_and_images_go_on_from_all_that_stands(monkeypatch):
    network = fusion()
    start = [torch.tensor([1, 3])]
    seen = play(monkeypatch, network, [5, 50, 7, END])
    added = continue_document(network, start, SHAPE, SAMPLER, HOW, END, generators(4)[0])
    drawn = draw(network, [[torch.tensor([1, 3, 5])]], SHAPE, SAMPLER, HOW.guidance, generators(4))
    assert [added[0].tolist(), added[2].tolist()] == [[5], [7]]
    torch.testing.assert_close(added[1], drawn[0])
    token, position, runs = arrange([[1, 3, 5, BOI, (0,), EOI, 7]], 16)
    with torch.no_grad():
        out = network(token, position, drawn, torch.tensor([0]), runs, read_prefix=True)
    hidden = torch.cat([out.prefix_WD, out.later_LD])
    torch.testing.assert_close(torch.stack(seen), hidden[[1, 2, 4, 5]])


def test_no_more_images_are_placed_than_allowed(monkeypatch):
    network = fusion()
    how = replace(HOW, max_images=2, num_steps=1)
    play(monkeypatch, network, [50] * 20)
    added = continue_document(
        network, [torch.tensor([1])], SHAPE, SAMPLER, how, END, generators(0)[0]
    )
    assert [part.ndim for part in added] == [1, 3, 1, 3, 1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must not be negative, got -1.0"),
    ],
)
def test_what_cannot_be_generated_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Generation(**wrong)


def test_a_document_beyond_the_language_models_positions_is_told_with_both_numbers():
    network = fusion()
    prompt = [torch.arange(1, 41).remainder(40)]
    write(network, [prompt], replace(HOW, max_new_tokens=88), END, generators(0))
    with pytest.warns(UserWarning, match=r"takes 129 positions.* was made for 128"):
        write(network, [prompt], replace(HOW, max_new_tokens=89), END, generators(0))


def test_steps_are_spaced_as_the_prediction_allows():
    how = Generation(num_steps=250, solver=DDPM())
    assert how.sampler(CosineSchedule(), "eps").path[0] == 997
    assert how.sampler(CosineSchedule(), "v").path[0] == 1000
    assert replace(how, first=500).sampler(CosineSchedule(), "v").path[0] == 500
    with pytest.raises(ValueError, match="would multiply the error"):
        replace(how, spacing="trailing").sampler(CosineSchedule(), "eps")
