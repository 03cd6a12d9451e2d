"""Two convolutions (valid, then same padding), ReLU, max pooling, average pooling, dense."""

import jax
import jax.numpy as jnp
import numpy as np

from bug import Bug

jax.config.update("jax_enable_x64", True)


def make():
    rng = np.random.default_rng(7)
    N = 4
    params = {
        "K1": jnp.asarray(rng.normal(size=(3, 2, 3, 3)) * 0.4),
        "c1": jnp.asarray(rng.normal(size=3) * 0.2),
        "K2": jnp.asarray(rng.normal(size=(4, 3, 3, 3)) * 0.3),
        "c2": jnp.asarray(rng.normal(size=4) * 0.2),
        "W": jnp.asarray(rng.normal(size=(4, 3)) * 0.7),
        "b": jnp.asarray(rng.normal(size=3) * 0.2),
    }
    x = jnp.asarray(rng.normal(size=(N, 2, 8, 8)))
    y = jnp.asarray(rng.integers(0, 3, size=N))
    return params, (x, y)


def conv2d(x, k, padding):
    dims = ("NCHW", "OIHW", "NCHW")
    return jax.lax.conv_general_dilated(x, k, (1, 1), padding, dimension_numbers=dims)


def max_pool(a):
    N, C, H, W = a.shape
    tiles = a.reshape(N, C, H // 2, 2, W // 2, 2)
    return tiles.max(axis=(3, 5))


def loss(params, x, y):
    z1 = conv2d(x, params["K1"], "VALID")
    z1 = z1 + params["c1"][None, :, None, None]
    h1 = jax.nn.relu(z1)
    p1 = max_pool(h1)
    z2 = conv2d(p1, params["K2"], "SAME")
    z2 = z2 + params["c2"][None, :, None, None]
    h2 = jax.nn.softplus(z2)
    p2 = jnp.mean(h2, axis=(2, 3))
    logits = p2 @ params["W"] + params["b"]
    lse = jax.nn.logsumexp(logits, axis=1)
    picked = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
    return jnp.mean(lse - picked)


# ---- by hand


def windows(x, i, j, h, w):
    return x[:, :, i:i + h, j:j + w]


def correlate(x, k):
    O, C, KH, KW = k.shape
    h, w = x.shape[2] - KH + 1, x.shape[3] - KW + 1
    out = 0.0
    for i in range(KH):
        for j in range(KW):
            out = out + jnp.einsum("nchw,oc->nohw", windows(x, i, j, h, w), k[:, :, i, j])
    return out


def kernel_gradient(x, dz, KH, KW):
    h, w = dz.shape[2:]
    rows = []
    for i in range(KH):
        cols = []
        for j in range(KW):
            cols.append(jnp.einsum("nchw,nohw->oc", windows(x, i, j, h, w), dz))
        rows.append(jnp.stack(cols, axis=-1))
    return jnp.stack(rows, axis=-2)


def input_gradient(x, dz, k):
    h, w = dz.shape[2:]
    dx = jnp.zeros_like(x)
    for i in range(k.shape[2]):
        for j in range(k.shape[3]):
            piece = jnp.einsum("nohw,oc->nchw", dz, k[:, :, i, j])
            dx = dx.at[:, :, i:i + h, j:j + w].add(piece)
    return dx


def max_pool_backward(a, pooled, dpooled):
    up = jnp.repeat(jnp.repeat(pooled, 2, axis=2), 2, axis=3)
    dup = jnp.repeat(jnp.repeat(dpooled, 2, axis=2), 2, axis=3)
    hit = (a == up)
    count = hit.reshape(*pooled.shape[:2], pooled.shape[2], 2, pooled.shape[3], 2).sum((3, 5))
    count = jnp.repeat(jnp.repeat(count, 2, axis=2), 2, axis=3)
    return dup * hit / count


def gradient(params, x, y):
    K1, K2, W = params["K1"], params["K2"], params["W"]
    N = x.shape[0]
    s1 = correlate(x, K1) + params["c1"].reshape(1, -1, 1, 1)
    a1 = jnp.maximum(s1, 0)
    q1 = a1.reshape(N, 3, 3, 2, 3, 2).max((3, 5))
    padded = jnp.pad(q1, ((0, 0), (0, 0), (1, 1), (1, 1)))
    s2 = correlate(padded, K2) + params["c2"].reshape(1, -1, 1, 1)
    a2 = jnp.log1p(jnp.exp(s2))
    q2 = a2.mean((2, 3))
    prob = jax.nn.softmax(q2 @ W + params["b"], axis=1)
    dl = prob.at[jnp.arange(N), y].add(-1) / N
    dW = q2.T @ dl
    db = dl.sum(0)
    dq2 = dl @ W.T
    area = s2.shape[2] * s2.shape[3]
    da2 = jnp.ones_like(s2) * dq2[:, :, None, None] / area
    ds2 = da2 * jax.nn.sigmoid(s2)
    dc2 = ds2.sum((0, 2, 3))
    dK2 = kernel_gradient(padded, ds2, 3, 3)
    dpadded = input_gradient(padded, ds2, K2)
    dq1 = dpadded[:, :, 1:-1, 1:-1]
    da1 = max_pool_backward(a1, q1, dq1)
    ds1 = da1 * (s1 > 0)
    dc1 = ds1.sum((0, 2, 3))
    dK1 = kernel_gradient(x, ds1, 3, 3)
    return {"K1": dK1, "c1": dc1, "K2": dK2, "c2": dc2, "W": dW, "b": db}


CONV1 = "z1 = conv2d(x, params[\"K1\"], \"VALID\")"
CONV2 = "z2 = conv2d(p1, params[\"K2\"], \"SAME\")"
CORE = "return jax.lax.conv_general_dilated(x, k, (1, 1), padding, dimension_numbers=dims)"
POOL1 = "p1 = max_pool(h1)"
POOLED = "return tiles.max(axis=(3, 5))"
POOL2 = "p2 = jnp.mean(h2, axis=(2, 3))"
SOFT = "h2 = jax.nn.softplus(z2)"
RELU = "h1 = jax.nn.relu(z1)"
BIAS1 = "z1 = z1 + params[\"c1\"][None, :, None, None]"
BIAS2 = "z2 = z2 + params[\"c2\"][None, :, None, None]"

BUGS = [
    Bug("kernel_flipped_input_gradient", "piece = jnp.einsum(\"nohw,oc->nchw\", dz, k[:, :, i, j])",
        "piece = jnp.einsum(\"nohw,oc->nchw\", dz, k[:, :, ::-1, ::-1][:, :, i, j])", (CONV2, CORE), "kernel rotated by 180 degrees once too often"),
    Bug("kernel_transposed_input_gradient", "piece = jnp.einsum(\"nohw,oc->nchw\", dz, k[:, :, i, j])",
        "piece = jnp.einsum(\"nohw,oc->nchw\", dz, k[:, :, j, i])", (CONV2, CORE), "kernel's height and width swapped"),
    Bug("kernel_gradient_flipped", "dK1 = kernel_gradient(x, ds1, 3, 3)", "dK1 = kernel_gradient(x, ds1, 3, 3)[:, :, ::-1, ::-1]",
        (CONV1, CORE), "gradient of a true convolution's kernel for a correlation"),
    Bug("kernel_gradient_transposed", "return jnp.stack(rows, axis=-2)", "return jnp.stack(rows, axis=-1)", (CORE, CONV1, CONV2), "stacked along the wrong axis: height and width swapped"),
    Bug("overlap_overwritten", "dx = dx.at[:, :, i:i + h, j:j + w].add(piece)", "dx = dx.at[:, :, i:i + h, j:j + w].set(piece)",
        (CONV2, CORE), "overlapping windows overwritten instead of added"),
    Bug("padding_crop_wrong", "dq1 = dpadded[:, :, 1:-1, 1:-1]", "dq1 = dpadded[:, :, 2:, 2:]", (CONV2,), "padding cropped on one side only"),
    Bug("padding_crop_first", "dq1 = dpadded[:, :, 1:-1, 1:-1]", "dq1 = dpadded[:, :, :-2, :-2]", (CONV2,), "padding not removed at the front"),
    Bug("padding_edge", "jnp.pad(q1, ((0, 0), (0, 0), (1, 1), (1, 1)))", "jnp.pad(q1, ((0, 0), (0, 0), (1, 1), (1, 1)), mode=\"edge\")",
        (CONV2,), "edge padding in the recomputed forward"),
    Bug("padding_one_sided", "jnp.pad(q1, ((0, 0), (0, 0), (1, 1), (1, 1)))", "jnp.pad(q1, ((0, 0), (0, 0), (2, 0), (2, 0)))",
        (CONV2,), "all the padding at the front"),
    Bug("average_pool_not_divided", "dq2[:, :, None, None] / area", "dq2[:, :, None, None]", (POOL2,), "area of the average pooling forgotten"),
    Bug("average_pool_half_area", "area = s2.shape[2] * s2.shape[3]", "area = s2.shape[2]", (POOL2,), "divided by the height only"),
    Bug("max_pool_as_average", "return dup * hit / count", "return dup / 4.0", (POOL1, POOLED), "max pooling's gradient spread evenly"),
    Bug("max_pool_everywhere", "return dup * hit / count", "return dup", (POOL1, POOLED), "max pooling's gradient given to all four"),
    Bug("max_pool_quarter", "return dup * hit / count", "return dup * hit / 4.0",
        (POOL1, POOLED), "selects the maximum and divides by the area too"),
    Bug("max_pool_argmin", "max_pool_backward(a1, q1, dq1)", "max_pool_backward(-a1, -a1.reshape(N, 3, 3, 2, 3, 2).min((3, 5)), dq1)",
        (POOL1, POOLED), "argmin for argmax"),
    Bug("relu_mask_missing_pool", "ds1 = da1 * (s1 > 0)", "ds1 = da1 * s1", (RELU,), "multiplied by the pre-activation, not by its step"),
    Bug("relu_leak", "ds1 = da1 * (s1 > 0)", "ds1 = da1 * jnp.where(s1 > 0.3, 1.0, 0.0)", (RELU,), "threshold other than 0"),
    Bug("softplus_derivative_at_output", "jax.nn.sigmoid(s2)", "jax.nn.sigmoid(a2)", (SOFT,), "softplus' derivative taken at the output"),
    Bug("softplus_as_relu", "jax.nn.sigmoid(s2)", "(s2 > 0)", (SOFT,), "ReLU's derivative for softplus"),
    Bug("softplus_sigmoid_prime", "jax.nn.sigmoid(s2)", "jax.nn.sigmoid(s2) * (1 - jax.nn.sigmoid(s2))", (SOFT,), "sigmoid's derivative, one order too high"),
    Bug("conv_bias_one_pixel", "dc1 = ds1.sum((0, 2, 3))", "dc1 = ds1.mean((2, 3)).sum(0)", (BIAS1,), "bias averaged over the pixels"),
    Bug("conv_bias_batch_mean", "dc2 = ds2.sum((0, 2, 3))", "dc2 = ds2.sum((2, 3)).mean(0)", (BIAS2,), "bias averaged over the batch again"),
    Bug("kernel_gradient_batch_mean", "dK2 = kernel_gradient(padded, ds2, 3, 3)", "dK2 = kernel_gradient(padded, ds2, 3, 3) / N", (CONV2,), "1/N twice for K2"),
    Bug("kernel_gradient_shifted", "dK2 = kernel_gradient(padded, ds2, 3, 3)", "dK2 = kernel_gradient(jnp.roll(padded, 1, axis=3), ds2, 3, 3)", (CONV2,), "window shifted by one column"),
    Bug("kernel_gradient_no_activation", "dK2 = kernel_gradient(padded, ds2, 3, 3)", "dK2 = kernel_gradient(padded, da2, 3, 3)", (CONV2, SOFT), "gradient after the activation used for the kernel"),
    Bug("true_convolution_forward", "s1 = correlate(x, K1)", "s1 = correlate(x, K1[:, :, ::-1, ::-1])", (CONV1,), "true convolution in the recomputed forward"),
    Bug("pair_pool_and_bias", "    ds1 = da1 * (s1 > 0)\n    dc1 = ds1.sum((0, 2, 3))\n", "    ds1 = da1\n    dc1 = ds1.sum((0, 2, 3)) / 36\n",
        (RELU, BIAS1), "two mistakes: no ReLU mask, bias averaged"),
]
