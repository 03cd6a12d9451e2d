"""By hand: products with the Hessian and Gauss-Newton matrix, sharpness, gradient noise scale."""

from jax_backprop.curvature.noise import NoiseScale, gradient_noise_scale
from jax_backprop.curvature.products import gauss_newton_vector_product, hessian_vector_product
from jax_backprop.curvature.spectrum import Sharpness, sharpness, sharpness_from_products

__all__ = [
    "NoiseScale",
    "Sharpness",
    "gauss_newton_vector_product",
    "gradient_noise_scale",
    "hessian_vector_product",
    "sharpness",
    "sharpness_from_products",
]
