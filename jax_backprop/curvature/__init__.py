"""Second order by hand: products with the Hessian and Gauss-Newton matrix, and the sharpness."""

from jax_backprop.curvature.products import gauss_newton_vector_product, hessian_vector_product
from jax_backprop.curvature.spectrum import Sharpness, sharpness, sharpness_from_products

__all__ = [
    "Sharpness",
    "gauss_newton_vector_product",
    "hessian_vector_product",
    "sharpness",
    "sharpness_from_products",
]
