"""Configuration of Sphinx. `make docs` builds the pages; nothing is fetched meanwhile."""

import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))
# commands of the tutorial are those of the environment that builds the pages
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

project = "wilsonvox"
author = "The wilsonvox developers"
project_copyright = author
release = installed_version("wilsonvox")
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.napoleon",
    "autoapi.extension",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
    "configuration_keys",
    "docstrings",
    "mathml",
    "workflow_rules",
]
exclude_patterns = ["_build"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# only pages with a kernelspec are executed, from the root of the checkout
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autoapi_dirs = ["../workflow/src/wilsonvox"]
autoapi_root = "reference/api"
autoapi_options = ["members", "show-module-summary"]
autoapi_member_order = "bysource"
autoapi_add_toctree_entry = False
autoapi_keep_files = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = "wilsonvox"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
