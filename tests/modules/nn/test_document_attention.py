import pytest
import torch

from modules.nn.document_attention import Documents, document_attention

LENGTHS = {
    "one document": [12],
    "equal": [6, 6],
    "mixed": [1, 7, 3, 1],
    "many groups": [40, 2, 70, 17, 33, 1, 5],
}


def loop(q, k, v, lengths):
    """Softmax over the own document's past, one query at a time, in float64."""
    q, k, v = q.double(), k.double(), v.double()
    share = q.shape[1] // k.shape[1]
    out, start = torch.zeros_like(q), 0
    for length in lengths:
        for i in range(start, start + length):
            for h in range(q.shape[1]):
                scores = k[start : i + 1, h // share] @ q[i, h] / q.shape[-1] ** 0.5
                out[i, h] = scores.softmax(0) @ v[start : i + 1, h // share]
        start += length
    return out


def draw(total, num_heads, num_kv_heads, dtype=torch.float64):
    torch.manual_seed(0)
    shapes = [(total, heads, 8) for heads in (num_heads, num_kv_heads, num_kv_heads)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("num_kv_heads", [4, 2, 1])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_attention_and_its_gradient_equal_the_loop(lengths, num_kv_heads):
    q, k, v = draw(sum(lengths), 4, num_kv_heads)
    out = document_attention(q, k, v, Documents.of(lengths, q.device))
    expected = loop(q, k, v, lengths)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)

    weight = torch.randn_like(out)
    actual = torch.autograd.grad((out * weight).sum(), (q, k, v))
    wanted = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-11)


def test_every_position_has_one_slot_and_comes_back():
    documents = Documents.of(LENGTHS["many groups"], torch.device("cpu"))
    index = torch.cat([group.index_P for group in documents.groups])
    assert index[documents.inverse_T].tolist() == list(range(sum(LENGTHS["many groups"])))


def test_documents_of_one_length_are_not_copied():
    documents = Documents.of([32] * 4, torch.device("cpu"))
    assert documents.inverse_T is None
    assert documents.groups[0].index_P is None


def test_a_scale_is_obeyed():
    q, k, v = draw(9, 2, 2)
    layout = Documents.of([4, 5], q.device)
    flat = document_attention(q, k, v, layout, scale=1e-9)  # all scores equal: plain means
    torch.testing.assert_close(flat[3], v[:4].mean(0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_the_variable_length_kernel_equals_the_loop(lengths):
    q, k, v = (x.detach().cuda().bfloat16().requires_grad_() for x in draw(sum(lengths), 4, 2))
    out = document_attention(q, k, v, Documents.of(lengths, q.device))
    wanted = loop(*(x.detach().cpu() for x in (q, k, v)), lengths)
    torch.testing.assert_close(out.cpu().double(), wanted, rtol=2e-2, atol=2e-2)
    out.float().square().sum().backward()
    assert all(x.grad.isfinite().all() for x in (q, k, v))
