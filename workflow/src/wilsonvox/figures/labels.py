"""Labels of figures and report pages: symbols, points and image specifications."""

import re
from collections.abc import Mapping

from wilsonvox.theory.points import PARAMETERS
from wilsonvox.voxels.specification import ImageSpecification

VARIABLES = {
    "cos_theta_mu": r"$\cos\,\theta_\mu$",
    "cos_theta_k": r"$\cos\,\theta_K$",
    "chi": r"$\chi$",
    "q2": r"$q^2$",
}
"""Symbols of the four decay variables, by branch name."""

_NAME = re.compile(r"c(\d+)(p?)(_imaginary)?")


def shift_symbol(coefficient: str) -> str:
    r"""Format the symbol of a shift as mathtext, without dollar signs.

    >>> shift_symbol("c9")
    '\\delta C_{9}'
    >>> shift_symbol("c9p")
    '\\delta C_{9}^{\\prime}'
    >>> shift_symbol("c9_imaginary")
    '\\mathrm{Im}\\,\\delta C_{9}'
    """
    match = _NAME.fullmatch(coefficient)
    assert match is not None, f"one of {PARAMETERS} expected"
    symbol = rf"\delta C_{{{match[1]}}}" + (r"^{\prime}" if match[2] else "")
    return rf"\mathrm{{Im}}\,{symbol}" if match[3] else symbol


def _real(value: float, sign: str = "") -> str:
    text = f"{value + 0.0:{sign}.4f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _number(value: complex) -> str:
    number = complex(value)
    return _real(number.real) + (rf"{_real(number.imag, '+')}\,i" if number.imag else "")


def shifts_text(shifts: Mapping[str, complex]) -> str:
    r"""Format a point for a legend; the point without shifts is the Standard Model (SM).

    >>> shifts_text({"c9": -2.0})
    '$\\delta C_{9} = -2.0$'
    >>> shifts_text({"c9": 0.0})
    '$\\delta C_{9} = 0.0$ (SM)'
    >>> shifts_text({"c9": -0.9 + 0.3j})
    '$\\delta C_{9} = -0.9+0.3\\,i$'
    """
    terms = [rf"${shift_symbol(name)} = {_number(value)}$" for name, value in shifts.items()]
    return ", ".join(terms) + (" (SM)" if not any(shifts.values()) else "")


_PLAIN = {
    "$q^2$": "q²",
    r"$\overline{B}{}^0$": "anti-B⁰",
    "$B^0$": "B⁰",
    r"$\ell^+$": "ℓ⁺",
}


def image_text(image: ImageSpecification, mathtext: bool = True) -> str:
    """Describe an image specification in one line.

    Args:
        image: the image specification.
        mathtext: write symbols as mathtext; otherwise in plain Unicode.

    >>> image_text(ImageSpecification())
    '50³ voxels, 24,000 events per image, $q^2$ < 20 GeV²'
    >>> image_text(ImageSpecification(vetoes_gev2=((8.0, 11.0),), flavour="both"), mathtext=False)
    '50³ voxels, 24,000 events per image, q² < 20 GeV² without 8–11 GeV², B⁰ and anti-B⁰'
    """
    low = f"{image.q2_min_gev2:g} < " if image.q2_min_gev2 else ""
    vetoes = " and ".join(f"{start:g}–{end:g}" for start, end in image.vetoes_gev2)
    flavours = {
        "B0": "",
        "B0bar": r", $\overline{B}{}^0$",
        "both": r", $B^0$ and $\overline{B}{}^0$",
    }
    angles = "" if image.antiparticle_angles == "conjugate" else r", angles of $\ell^+$"
    single = "" if image.multiple_entries == "averaged" else ", single-event voxels"
    text = (
        f"{image.bins}³ voxels, {image.events_per_image:,} events per image, "
        f"{low}$q^2$ < {image.q2_max_gev2:g} GeV²"
        + (f" without {vetoes} GeV²" if vetoes else "")
        + f"{flavours[image.flavour]}{angles}{single}"
    )
    if mathtext:
        return text
    for symbol, plain in _PLAIN.items():
        text = text.replace(symbol, plain)
    return text


def note_text(image: ImageSpecification, physics_inputs: str | None) -> str:
    """Compose the note at the foot of a figure: image specification and physics inputs."""
    return image_text(image) + (f"; {physics_inputs}" if physics_inputs else "")
