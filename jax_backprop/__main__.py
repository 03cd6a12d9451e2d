"""``python -m jax_backprop`` is ``jax-backprop``."""

from jax_backprop.cli import main

if __name__ == "__main__":
    main()
