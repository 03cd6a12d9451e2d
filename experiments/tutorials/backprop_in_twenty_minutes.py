# %% [markdown]
# # Backpropagation in twenty minutes
#
# One hidden layer of sigmoids, softmax outputs, cross-entropy: forward, backward, one step, a
# training. Plain NumPy; each step is checked as it is made. The numbers in parentheses are the
# equations of the derivation: `jax-backprop derive --out page.html` shows them with their proofs.

# %%
# ruff: noqa: N816 - the homework's names
import numpy as np

import jax_backprop as jb

generator = np.random.default_rng(0)
X, y = generator.normal(size=(6, 4)), np.array([2, 0, 1, 1, 0, 2])  # 6 examples, 3 classes
L = np.eye(3)[y]
W1, b1 = generator.normal(size=(4, 5)), np.zeros(5)
W2, b2 = generator.normal(size=(5, 3)), np.zeros(3)


def params():
    """Return the parameters as they are now."""
    return ((W1, b1), (W2, b2))


# %% [markdown]
# ## Forward
# A hidden unit weighs the inputs and adds its bias (1). The sigmoid squeezes that between 0 and
# 1 (2). The output units do the same with the hidden outputs (3), and softmax makes
# probabilities of their logits (4). The loss is minus the logarithm of what the label's class is
# given, on average over the examples (5N).

# %%
O = 1 / (1 + np.exp(-(X @ W1 + b1)))  # noqa: E741
Z = O @ W2 + b2
Y = np.exp(Z - Z.max(axis=1, keepdims=True))
Y /= Y.sum(axis=1, keepdims=True)
loss = -np.log(Y[L == 1]).mean()
print(f"loss {loss:.4f}; by chance it would be {np.log(3):.4f}")
print(jb.check_steps({"A1": O, "Z2": Z, "Y": Y, "loss": loss}, params(), (X, y)))

# %% [markdown]
# ## Backward
# The derivative of the loss by the logits is output less label, over N (14N). From there each
# layer does three things: its weights' gradient is its inputs, transposed, times the derivative
# that arrives (16N, 21N); its biases' is the sum of it; and it passes on what its inputs
# did (18N), through the slope of the sigmoid (19N).

# %%
dZ = (Y - L) / len(X)
dW2, db2 = O.T @ dZ, dZ.sum(axis=0)
dO = dZ @ W2.T
dZ1 = dO * O * (1 - O)
dW1, db1 = X.T @ dZ1, dZ1.sum(axis=0)
gradients = {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
print(jb.check_steps(gradients, params(), (X, y)))

# %% [markdown]
# ## Is it the derivative? Ask the loss
# Move one weight a little, both ways, and see what the loss does.


# %%
def loss_at(weights):
    """Return the loss with other hidden weights."""
    hidden = 1 / (1 + np.exp(-(X @ weights + b1)))
    logits = hidden @ W2 + b2
    return (np.log(np.exp(logits).sum(axis=1)) - logits[L == 1]).mean()


h = np.zeros_like(W1)
h[2, 3] = 1e-5
difference = (loss_at(W1 + h) - loss_at(W1 - h)) / 2e-5
print(f"by differences {difference:.9f}, by hand {dW1[2, 3]:.9f}")
assert abs(difference - dW1[2, 3]) < 1e-9

# %% [markdown]
# ## One step, and how far
# The loss falls by the rate times the squared gradient, as long as the rate is small. How small,
# the gradient doesn't say.

# %%
network, batch = jb.Network(layer_sizes=(4, 5, 3)), jb.Batch(X.astype(np.float32), y)
square = sum((each**2).sum() for each in gradients.values())
for rate in (0.01, 0.1, 1.0, 10.0):
    moved = ((W1 - rate * dW1, b1 - rate * db1), (W2 - rate * dW2, b2 - rate * db2))
    layers = tuple(jb.Layer(w.astype(np.float32), b.astype(np.float32)) for w, b in moved)
    after = float(jb.loss(layers, batch, network=network))
    print(f"rate {rate:5}: loss {after:.4f}, the gradient alone expects {loss - rate * square:.4f}")

# %% [markdown]
# ## A training
# The same equations, compiled, on handwritten digits. Next: what the rate does to it, in
# `learning_rate_of_my_model.py`.

# %%
import jax  # noqa: E402

digits = jb.load_dataset("digits")
network = jb.Network(layer_sizes=(digits.features, 32, digits.classes))
keys = jb.role_keys(0)
start = jb.init_params(network, key=keys.init)
result = jb.fit(
    start, digits, key=keys.order, network=network, learning_rate=4.0, batch_size=32, epochs=5
)
found = jax.jit(lambda p: jb.evaluate(p, digits.test, network=network))(result.params)
print(f"after 5 epochs: test accuracy {float(found.accuracy):.3f}")
