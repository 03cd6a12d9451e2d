"""Sphinx's settings for the pages of this folder."""

import importlib.metadata

project = "jax_backprop"
author = "the jax_backprop developers"
version = release = importlib.metadata.version("jax-backprop")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["deflist"]
html_theme = "furo"
html_title = "jax_backprop"
html_show_sphinx = False
html_copy_source = False
myst_heading_anchors = 3
autodoc_typehints = "none"  # signatures are long enough: the text says shapes and units
html_show_copyright = False
autodoc_default_options = {"exclude-members": "model_config"}
autodoc_member_order = "bysource"
