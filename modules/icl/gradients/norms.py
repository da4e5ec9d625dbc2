"""Squared norms of the gradients of single documents, without keeping those gradients.

With the three ways of `modules/icl/gradients/products.py`, for the tokens t, s of one document:

    matrix    |sum_t g_t x_t^T|^2 = sum_ts (g_t . g_s) (x_t . x_s)      (Goodfellow, 2015)
    vector    |sum_t g_t|^2
    rows      sum_i |sum_(i_t = i) g_t|^2
    a matrix W that is also the table E of the rows adds     2 sum_ts (e_t . x_s) h_s[i_t]

with h_s the gradients of the outputs, x_s the inputs, and e_t those of the rows i_t. For a matrix
the left side is made instead, a document at a time, where documents are long.

Shape legend: N = documents, M = longest document, O = outputs, I = inputs, D = width, V = rows.
Positions behind the end of a document hold zeros.
"""

import torch
from torch import Tensor

from modules.icl.gradients.products import wide


def matrix_square(gradient_NMO: Tensor, input_NMI: Tensor) -> Tensor:
    """Squared norms of gradients of a matrix, [N], in the way that takes fewer operations."""
    length, (num_out, num_in) = gradient_NMO.shape[1], (gradient_NMO.shape[2], input_NMI.shape[2])
    if length * (num_out + num_in) < num_out * num_in:
        return ghost_square(gradient_NMO, input_NMI)
    return streamed_square(gradient_NMO, input_NMI)


def ghost_square(gradient_NMO: Tensor, input_NMI: Tensor) -> Tensor:
    """From products between tokens, [N]."""
    gram_NMM = wide(gradient_NMO @ gradient_NMO.mT)
    return (gram_NMM * (input_NMI @ input_NMI.mT)).sum((-2, -1))


def streamed_square(gradient_NMO: Tensor, input_NMI: Tensor) -> Tensor:
    """From the gradient itself, one document at a time, [N]."""
    pairs = zip(gradient_NMO, input_NMI, strict=True)
    return torch.stack([wide(g_MO.T @ x_MI).square().sum() for g_MO, x_MI in pairs])


def vector_square(gradient_NMD: Tensor, _: Tensor) -> Tensor:
    """Squared norms of gradients of a vector, [N]."""
    return wide(gradient_NMD).sum(1).square().sum(-1)


def rows_square(gradient_NMD: Tensor, id_NM: Tensor) -> Tensor:
    """Squared norms of gradients of a table, [N]; tokens of the same row are added first."""
    num_documents = len(id_NM)
    document_NM = torch.arange(num_documents, device=id_NM.device)[:, None].expand_as(id_NM)
    pair = torch.stack([document_NM.flatten(), id_NM.flatten()], dim=-1)
    unique, inverse = pair.unique(dim=0, return_inverse=True)
    g = wide(gradient_NMD).flatten(0, 1)
    rows = g.new_zeros(len(unique), g.shape[-1]).index_add(0, inverse, g)
    return g.new_zeros(num_documents).index_add(0, unique[:, 0], rows.square().sum(-1))


def at_rows(gradient_NMV: Tensor, id_NM: Tensor) -> Tensor:
    """h_s[i_t], [N, M (s), M (t)]: what the cross term needs of the gradients of all outputs."""
    id_NMM = id_NM[:, None, :].expand(-1, gradient_NMV.shape[1], -1)
    return gradient_NMV.gather(2, id_NMM)


def cross_term(at_row_NMM: Tensor, input_NMD: Tensor, gradient_NMD: Tensor) -> Tensor:
    """What a table used as rows and as a matrix adds to the two squares, [N]."""
    return 2 * (wide(at_row_NMM) * (input_NMD @ gradient_NMD.mT)).sum((-2, -1))
