# %% [markdown]
# # Is my backward pass right?
#
# A network of 4 inputs, 5 sigmoid units and 3 softmax outputs, written in NumPy.

# %%
# ruff: noqa: N816 - the homework's names
import numpy as np

from jax_backprop import check_steps

generator = np.random.default_rng(0)
X, y = generator.normal(size=(6, 4)), np.array([2, 0, 1, 1, 0, 2])
W1, b1 = generator.normal(size=(4, 5)), generator.normal(size=5)
W2, b2 = generator.normal(size=(5, 3)), generator.normal(size=3)

# %% Forward, equations (1) to (4).
A1 = 1 / (1 + np.exp(-(X @ W1 + b1)))
Z2 = A1 @ W2 + b2
Y = np.exp(Z2) / np.exp(Z2).sum(axis=1, keepdims=True)

# %% Backward, with a mistake: the slope of the sigmoid is O (1 - O), not 1 - O.
dZ2 = (Y - np.eye(3)[y]) / len(X)
dZ1 = dZ2 @ W2.T * (1 - A1)
steps = {"dW1": X.T @ dZ1, "dW2": A1.T @ dZ2}

# %% The two gradients are enough for the place and the name; any further step narrows it down.
report = check_steps(steps, ((W1, b1), (W2, b2)), (X, y), hints="what")
print(report)

# %% Mended.
dZ1 = dZ2 @ W2.T * A1 * (1 - A1)
print(check_steps({**steps, "dW1": X.T @ dZ1}, ((W1, b1), (W2, b2)), (X, y)))
