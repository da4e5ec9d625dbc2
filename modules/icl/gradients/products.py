"""What each token adds to the product of the loss gradient with a direction.

A parameter enters a network in one of three ways. With g_t the gradient of the loss with respect
to what an operation puts out at token t, its own gradient is a sum over tokens, and so is the
product with a direction G of the same shape:

    y_t = W x_t         dL/dW = sum_t g_t x_t^T         <dL/dW, G> = sum_t g_t . (G x_t)
    y_t = v + ...       dL/dv = sum_t g_t               <dL/dv, G> = sum_t g_t . G
    y_t = E[i_t]        dL/dE[i] = sum_(i_t = i) g_t    <dL/dE, G> = sum_t g_t . G[i_t]

A norm's weight w in y_t = w * n_t is the second way, with g_t * n_t in the place of g_t. The
gradient itself is never made. It is as if each operation had a scalar of its own for every token,
y_t + e_t (G x_t) at e_t = 0, and the loss were differentiated by e_t.

Products with matrices are made in the type of the activations, sums in float32 or wider.

Shape legend: T = tokens, O = outputs, I = inputs, D = width, V = rows, Q = directions.
"""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """In float32, or wider where it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def matrix_product(gradient_TO: Tensor, input_TI: Tensor, direction_QOI: Tensor) -> Tensor:
    """g_t . (G x_t) for a matrix, [T, Q]; as many operations a direction as its gradient takes."""
    directions = direction_QOI.to(gradient_TO.dtype)
    return torch.stack([bilinear(gradient_TO, G_OI, input_TI) for G_OI in directions], dim=-1)


def bilinear(left_TO: Tensor, matrix_OI: Tensor, right_TI: Tensor) -> Tensor:
    """Product of a matrix with two vectors a token, [T]; the narrower side is held."""
    if matrix_OI.shape[0] <= matrix_OI.shape[1]:
        return (wide(left_TO) * (right_TI @ matrix_OI.T)).sum(-1)
    return (wide(right_TI) * (left_TO @ matrix_OI)).sum(-1)


def vector_product(gradient_TD: Tensor, _: Tensor, direction_QD: Tensor) -> Tensor:
    """g_t . G for a vector that is added at every token, [T, Q]."""
    return wide(gradient_TD) @ direction_QD.to(wide(gradient_TD).dtype).T


def rows_product(gradient_TD: Tensor, id_T: Tensor, direction_QVD: Tensor) -> Tensor:
    """g_t . G[i_t] for rows that are looked up, [T, Q]."""
    g = wide(gradient_TD)
    return torch.stack([(g * G_VD[id_T].to(g.dtype)).sum(-1) for G_VD in direction_QVD], dim=-1)
