"""WRONG gradients of the functions in right.py: (name, loss, gradient, params, args).

Each is the case's source with one piece replaced.  SOURCES: the right case's function name.
The name is `mistake__case`.
"""
import inspect

import bug
import right

EDITS = [
    ("fused_sigmoid_cross_entropy", "no_batch_factor", "(jax.nn.sigmoid(z) - y) / y.size", "jax.nn.sigmoid(z) - y"),
    ("fused_sigmoid_cross_entropy", "bias_is_the_mean", '"b": r.sum()', '"b": r.mean()'),
    ("logsumexp_large_logits", "overflow", "jnp.exp(z - jax.nn.logsumexp(z, axis=1, keepdims=True))", "jnp.exp(z) / jnp.sum(jnp.exp(z), axis=1, keepdims=True)"),
    ("softmax_full_jacobian", "diagonal_squared", "jnp.diag(s) - jnp.outer(s, s)", "jnp.diag(s - s ** 2)"),
    ("softmax_full_jacobian", "no_two", "J @ (2 * (s - ti))", "J @ (s - ti)"),
    ("least_squares_by_gram_matrix", "two_on_one_term", "- 2 * (X.T @ y)", "- (X.T @ y)"),
    ("value_and_grad_logistic", "value_without_penalty", "value = jnp.mean(jax.nn.softplus(-margin)) + 0.05 * p[\"w\"] @ p[\"w\"]", "value = jnp.mean(jax.nn.softplus(-margin))"),
    ("value_and_grad_logistic", "one_part_in_a_thousand", "pull @ X + 0.1 * p[\"w\"]", "(pull @ X + 0.1 * p[\"w\"]).at[1].multiply(1.001)"),
    ("value_and_grad_logistic", "sigmoid_of_plus_margin", "-y * jax.nn.sigmoid(-margin)", "-y * jax.nn.sigmoid(margin)"),
    ("trilinear_other_order", "second_factor_lacks_m", "(left @ B).T @ c", "(A @ B).T @ c"),
    ("product_with_a_zero", "divided_by_the_element", "c[:, None] * left * right", "c[:, None] * jnp.where(w != 0, jnp.prod(w, axis=1, keepdims=True) / jnp.where(w != 0, w, 1.0), 0.0)"),
    ("cumulative_sum", "not_reversed", "jnp.sum(d) - jnp.cumsum(d) + d", "jnp.cumsum(d)"),
    ("cumulative_sum", "exclusive", "jnp.sum(d) - jnp.cumsum(d) + d", "jnp.sum(d) - jnp.cumsum(d)"),
    ("least_squares_at_its_optimum", "hidden_weight_decay", "X.T @ (X @ p[\"w\"]) - X.T @ y", "X.T @ (X @ p[\"w\"]) - X.T @ y + 1e-4 * p[\"w\"]"),
    ("float32_network", "no_two", "(2 / y.size)", "(1 / y.size)"),
    ("float32_network", "one_part_in_a_thousand", '"V": h.T @ r', '"V": (h.T @ r).at[2, 1].multiply(1.01)'),
    ("float32_softplus", "overflow_in_one_row", "jnp.where(z >= 0, 1 / (1 + small), small / (1 + small))", "jnp.exp(z) / (1 + jnp.exp(z))"),
    ("float32_log1p", "cancellation", '"a": jnp.expm1(p["e"]),', '"a": jnp.exp(p["e"]) - 1,'),
    ("relu_at_zero", "slope_1.3_at_zero", "c * (p[\"w\"] >= 0)", "c * jnp.where(p[\"w\"] == 0, 1.3, p[\"w\"] > 0)"),
    ("relu_at_zero", "negative_slope_at_zero", "c * (p[\"w\"] >= 0)", "c * jnp.where(p[\"w\"] == 0, -0.2, p[\"w\"] > 0)"),
    ("relu_at_zero_half", "counted_twice_at_zero", "0.5 * (1 + jnp.sign(z))", "1.0 * (z >= 0) + (z <= 0)"),
    ("lasso_at_zero", "outside_the_interval", "jnp.clip(-smooth, -0.7, 0.7)", "-1.2 * jnp.sign(smooth)"),
    ("tied_maximum_first", "all_tied_get_it", "jnp.zeros_like(a).at[rows, k].set(2 * a[rows, k])", "2 * a * (a == a[rows, k][:, None])"),
    ("tied_maximum_first", "half_of_the_first", ".set(2 * a[rows, k])", ".set(jnp.where((a == a[rows, k][:, None]).sum(1) > 1, 1.0, 2.0) * a[rows, k])"),
    ("max_pool_ties_last", "one_after_the_winner", "k = 3 - int(jnp.argmax(tile[::-1]))", "k = (4 - int(jnp.argmax(tile[::-1]))) % 4"),
    ("clip_at_the_edge", "slope_1.5_at_the_edge", "c * inside", "c * jnp.where(jnp.abs(p[\"w\"]) == 1.0, 1.5, inside)"),
    ("clip_at_the_edge", "outside_passes", "c * inside", "c * jnp.where(p[\"w\"] > 1.5, 1.0, inside)"),
    ("median_with_ties", "all_tied_get_it", "(2 * v).at[middle].add(2.0)", "2 * v + 2.0 * (v == v[middle])"),
    ("median_with_ties", "neighbour_in_order", "jnp.argsort(v)[v.size // 2]", "jnp.argsort(v)[v.size // 2 + 2]"),
    ("sorted_weights_with_ties", "permuted_the_wrong_way", "jnp.zeros(5).at[order].set(c)", "c[order]"),
    ("hinge_on_the_margin", "double_on_the_margin", "active = y * (X @ p[\"w\"]) < 1.0", "active = 1.0 * (y * (X @ p[\"w\"]) < 1.0) + 2.0 * (y * (X @ p[\"w\"]) == 1.0)"),
    ("pinball_on_the_data", "outside_the_interval", "jnp.where(d == 0, 0.2, 0.0)", "jnp.where(d == 0, 0.9, 0.0)"),
    ("norm_at_the_origin", "longer_than_one", "jnp.asarray([0.6, -0.5, 0.3])", "jnp.ones(3)"),
    ("top_k_with_ties", "all_tied_get_one", "share = (3 - above.sum()) / equal.sum()", "share = 1.0"),
    ("top_k_plain", "written_to_the_first_places", "at[index].add", "at[jnp.arange(3)].add"),
    ("huber_at_its_edge", "one_part_in_a_thousand_outside", "jnp.clip(p[\"w\"] - y, -1.0, 1.0)", "jnp.clip(p[\"w\"] - y, -1.0, 1.001)"),
    ("implicit_fixed_point", "not_transposed", "(jnp.eye(4) - J).T", "(jnp.eye(4) - J)"),
    ("implicit_fixed_point", "one_neumann_term", "jnp.linalg.solve((jnp.eye(4) - J).T, c + 2 * x)", "(jnp.eye(4) + J).T @ (c + 2 * x)"),
    ("implicit_root_of_a_cubic", "slope_lacks_a", "slope = 3 * x ** 2 + p[\"a\"]", "slope = 3 * x ** 2"),
    ("implicit_ridge_hyperparameter", "no_chain_rule_for_the_log", "-lam * jnp.dot(adjoint, w)", "-jnp.dot(adjoint, w)"),
    ("custom_vjp_straight_line", "square_forgotten", "g * 2 * u / (1 + u * u)", "g * 2 * u / (1 + jnp.abs(u))"),
    ("checkpointed_by_hand", "residual_path_forgotten", "d = d + W.T @ s", "d = W.T @ s"),
    ("checkpointed_by_hand", "recomputed_from_the_start", "inner = [marks[segment]]", "inner = [marks[0]]"),
    ("scan_backward_by_hand", "new_state_for_old", "dA + jnp.outer(dz, old)", "dA + jnp.outer(dz, new)"),
    ("scan_backward_by_hand", "forgets_the_reverse", "start, saved, reverse=True", "start, saved"),
    ("jitted_and_vmapped_per_example", "sum_for_mean", "jnp.mean(jax.vmap(one)(X, y), axis=0)", "jnp.sum(jax.vmap(one)(X, y), axis=0)"),
    ("detached_target", "target_differentiated", "s.T @ error / 6", "(s - 0.9 * s2).T @ error / 6"),
    ("straight_through_rounding", "zero_as_of_the_rounding", "2 * (jnp.round(p[\"w\"]) - t)", "0.0 * p[\"w\"]"),
    ("log_determinant", "inverse_not_transposed", "jnp.linalg.inv(B).T @ M.T", "jnp.linalg.inv(B) @ M.T"),
    ("gaussian_likelihood_by_cholesky", "log_determinant_half", "0.5 * (len(X) * inverse - inverse", "0.5 * (0.5 * len(X) * inverse - inverse"),
    ("cholesky_backward", "diagonal_not_halved", "P = P - 0.5 * jnp.diag(jnp.diag(P))", "P = P"),
    ("cholesky_backward", "not_symmetrised", "dS = 0.5 * (dS + dS.T)", "dS = jnp.tril(dS)"),
    ("linear_solve", "outer_transposed", "-jnp.outer(lam, x)", "-jnp.outer(x, lam)"),
    ("linear_solve", "adjoint_not_transposed", "jnp.linalg.solve(p[\"A\"].T, c", "jnp.linalg.solve(p[\"A\"], c"),
    ("symmetric_eigenvalues", "rows_for_columns", "(V * (2 * c * lam)) @ V.T", "V.T @ (V * (2 * c * lam)[:, None])"),
    ("symmetric_eigenvalues", "order_reversed", "(V * (2 * c * lam)) @ V.T", "(V * (2 * c[::-1] * lam)) @ V.T"),
    ("nuclear_norm", "singular_values_kept", "U @ Vt", "(U * s) @ Vt"),
    ("trace_of_inverse", "not_transposed", "-(inv @ inv).T", "-(inv @ inv)"),
    ("fft_power_spectrum", "n_forgotten", "2 * 8 * jnp.real", "2 * jnp.real"),
    ("fft_power_spectrum", "forward_for_inverse", "2 * 8 * jnp.real(jnp.fft.ifft(c * F))", "2 * jnp.real(jnp.fft.fft(c * F))"),
    ("rfft_filter", "ends_counted_twice", "[1., 2, 2, 2, 2, 1]", "[2., 2, 2, 2, 2, 2]"),
    ("rfft_filter", "last_counted_twice", "[1., 2, 2, 2, 2, 1]", "[1., 2, 2, 2, 2, 2]"),
    ("complex_phases", "conjugate_forgotten", '"r": 2 * jnp.real(jnp.conj(z) * e)', '"r": 2 * jnp.real(z * e)'),
    ("complex_phases", "k_forgotten", "(1j * k * p[\"r\"] * e)", "(1j * p[\"r\"] * e)"),
    ("linear_interpolation", "extrapolated", "inside = jnp.clip(q, xp[0], xp[-1])", "inside = q"),
    ("linear_interpolation", "weights_swapped", "g = jnp.zeros(5).at[i].add(r * (1 - f))", "g = jnp.zeros(5).at[i].add(r * f)"),
    ("gather_repeated_indices", "last_write_wins", "onehot.T @ d", "jnp.zeros((6, 3)).at[index].set(d)"),
    ("segment_sums", "inner_square_forgotten", "4 * p[\"v\"] * s[ids]", "2 * s[ids]"),
    ("reflect_padding", "one_fold_forgotten", "        g = g.at[-3].add(dp[-1])\n", ""),
    ("reflect_padding", "folded_as_symmetric", "        g = g.at[1].add(dp[1])\n        g = g.at[2].add(dp[0])\n", "        g = g.at[0].add(dp[1])\n        g = g.at[1].add(dp[0])\n"),
    ("dropout_fixed_key", "scale_once", "keep / 0.7 ** 2", "keep / 0.7"),
    ("dropout_fixed_key", "another_mask", "        keep = jax.random.bernoulli(key, 0.7, h.shape)\n        dh", "        keep = jax.random.bernoulli(jax.random.split(key)[0], 0.7, h.shape)\n        dh"),
    ("masked_mean", "mask_only_forward", "jnp.where(mask, (2 * mean / n)[:, None], 0.0)", "(2 * mean / n)[:, None] * jnp.ones((5, 4))"),
    ("masked_mean", "wrong_in_the_row_of_one", "(2 * mean / n)[:, None], 0.0)", "(2 * mean / jnp.maximum(n, 2))[:, None], 0.0)"),
    ("safe_division_double_where", "wrong_where_masked", "jnp.where(d > 0, 1 / p[\"s\"], 0.0)", "1 / p[\"s\"]"),
    ("hidden_markov_forward_backward", "emission_counted_late", "be.insert(0, jax.nn.logsumexp(p[\"trans\"] + (p[\"emit\"][:, obs[t]] + be[0])[None, :], axis=1))", "be.insert(0, jax.nn.logsumexp(p[\"trans\"] + (p[\"emit\"][:, obs[t - 1]] + be[0])[None, :], axis=1))"),
    ("hidden_markov_forward_backward", "first_transition_skipped", "for t in range(1, T):\n            pair", "for t in range(2, T):\n            pair"),
    ("very_different_scales", "tiny_leaf_off_by_a_thousandth", "jnp.cos(u) * 1e8 * x[:3]", "jnp.cos(u) * 1.001e8 * x[:3]"),
    ("very_different_scales", "huge_leaf_scale_inverted", "jnp.cos(u) * 1e-3 * x[3:6]", "jnp.cos(u) * 1e3 * x[3:6]"),
    ("very_different_scales", "huge_leaf_forgotten", "jnp.cos(u) * 1e-3 * x[3:6]", "0.0 * u"),
    ("small_gradient_beside_large", "small_leaf_forgotten", "1e-6 * jnp.exp(p[\"b\"])}", "0.0 * p[\"b\"]}"),
    ("small_gradient_beside_large", "small_leaf_off_by_a_percent", "1e-6 * jnp.exp(p[\"b\"])}", "1.01e-6 * jnp.exp(p[\"b\"])}"),
    ("zero_sized_leaf", "square_forgotten", "2 * p[\"w\"] * x ** 2", "2 * p[\"w\"] * x"),
    ("none_leaf", "inner_factor_forgotten", "0.3 * x.T @", "x.T @"),
    ("integer_leaf", "power_not_lowered", "(p[\"power\"] - 1)", "p[\"power\"]"),
    ("unused_leaf_and_constant_region", "weight_decay_on_the_unused", "jnp.zeros_like(p[\"unused\"])", "0.01 * p[\"unused\"]"),
    ("unused_leaf_and_constant_region", "floor_passed_through", "jnp.zeros_like(p[\"f\"])", "jnp.ones_like(p[\"f\"])"),
    ("numpy_gradient", "bias_is_the_mean", "np.float64(d.sum())", "np.float64(d.mean())"),
    ("numpy_gradient", "one_row_skipped", "np.einsum(\"ni,n->i\", X, d)", "np.einsum(\"ni,n->i\", X[:-1], d[:-1])"),
    ("nested_lists_and_tuples", "factors_swapped", "(x * b.sum(), jnp.full_like(b, jnp.dot(a, x)))", "(x * jnp.dot(a, x), jnp.full_like(b, b.sum()))"),
]


def build(function, what, old, new):
    builder = next(f for f in right.CASES if f.__name__ == function)
    source = inspect.getsource(builder)
    assert source.count(old) == 1, (function, what, source.count(old))
    header = inspect.getsource(inspect.getmodule(builder)).split("\n# -----")[0]
    module = bug.load_source(header + "\n\n" + source.replace(old, new), f"blind_wrong_{function}_{what}".replace(".", "_"))
    name, loss, gradient, params, args = getattr(module, function)()
    return f"{what}__{name}", loss, gradient, params, args


SOURCES = [edit[0] for edit in EDITS]
WRONG = [build(*edit) for edit in EDITS]
