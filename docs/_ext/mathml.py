"""Formulas as MathML, which browsers draw by themselves: no script, no network.

Docutils translates the LaTeX; what it cannot translate is a warning of the build.
"""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def mathml(latex: str, *, block: bool) -> str:
    """Translate LaTeX into MathML.

    Raises:
        MathError: docutils knows no MathML for it.
    """
    return str(latex2mathml.tex2mathml(latex, as_block=block))


def _write(translator: HTML5Translator, node: nodes.math | nodes.math_block, block: bool) -> None:
    try:
        markup = mathml(node.astext(), block=block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        markup = f"<code>{translator.encode(node.astext())}</code>"
    classes = "math block" if block else "math"
    tag = "div" if block else "span"
    translator.body.append(f'<{tag} class="{classes}">{markup}</{tag}>')
    raise nodes.SkipNode


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line of text."""
    _write(translator, node, block=False)


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula."""
    _write(translator, node, block=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer `mathml` with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
