# %% [markdown]
# # Which learning rate for my own model?
#
# A model of one's own, with a gradient by autodiff: two functions are all that a study takes.
# First a sweep over rates and seeds, then its answer, then the same by short trainings alone.

# %%
import jax
import jax.numpy as jnp
import numpy as np

import jax_backprop as jb


def init(key):
    """Draw a network with a skip connection, which the package doesn't have."""
    first, second = jax.random.split(key)
    return {
        "w": 0.1 * jax.random.normal(first, (64, 16)),
        "v": 0.1 * jax.random.normal(second, (16, 10)),
        "skip": jnp.zeros((64, 10)),
    }


def loss(params, batch):
    """Cross-entropy, in nats per example."""
    hidden = jnp.tanh(batch.inputs @ params["w"])
    logits = hidden @ params["v"] + batch.inputs @ params["skip"]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(batch.labels)), batch.labels])


# %% [markdown]
# ## Is its gradient right?
# Autodiff's is, so this shows what the check says; a gradient by hand goes in its place.

# %%
digits = jb.load_dataset("digits")
gradient = jax.value_and_grad(loss)
sample = jb.Batch(digits.train.inputs[:8], digits.train.labels[:8])
report = jb.check_value_and_grad(loss, gradient, init(jax.random.key(0)), sample)
print(report.summary())
assert report.passed

# %% [markdown]
# ## A sweep
# Each rate with the same seeds: the same weights and the same order of examples, so that what
# differs is the rate. `out=DIR` would keep the results and continue a run that was stopped.

# %%
rates = [float(rate) for rate in 10.0 ** np.arange(-2, 2.1)]
tables = jb.sweep(
    init,
    digits,
    jb.Grid({"learning_rate": rates, "seed": range(2)}),
    value_and_grad=gradient,
    batch_size=32,
    epochs=2,
)
cells = tables.cells.to_pandas()
print(cells.pivot(index="learning_rate", columns="seed", values="validation_loss").round(3))

# %% [markdown]
# ## What it says
# Medians, so that one failed seed doesn't decide. The best rate must not lie at the grid's edge:
# then the grid is too narrow.

# %%
median = cells.groupby("learning_rate")["validation_loss"].median()
best = float(median.idxmin())
print(f"best of the grid: {best:.3g}, validation loss {median.min():.3f}")
assert rates[0] < best < rates[-1], "widen the grid"

# %% [markdown]
# ## The same, cheaper
# Short trainings about the limit that the curvature sets, then longer ones about the best.

# %%
found = jb.find_learning_rate(init, gradient, digits, batch_size=32, epochs=2, budget=1)
low, high = found.window
print(f"found: {found.rate:.3g}, as good from {low:.3g} to {high:.3g}")
