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
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "reference",
]
exclude_patterns = ["_build"]
# types in signatures are short names, of which several classes may have one
suppress_warnings = ["ref.python"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# only pages with a kernelspec are executed, from the root of the checkout
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = "wilsonvox"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
