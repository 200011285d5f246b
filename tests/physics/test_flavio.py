"""The model against flavio, an independent program, with the same inputs."""

import warnings

import numpy as np
import pytest

from wilsonvox.theory import fisher as bound
from wilsonvox.theory.amplitudes import amplitudes, phase_space
from wilsonvox.theory.angular import NAMES, kinematic_factors, observables, reduced_coefficients
from wilsonvox.theory.charm_loop import c9_effective, quark_loop
from wilsonvox.theory.form_factors import form_factors
from wilsonvox.theory.model import DecayModel
from wilsonvox.theory.physics_inputs import load_inputs
from wilsonvox.theory.points import COEFFICIENTS

THEORY_SIGN = {"4": -1, "6s": -1, "7": -1, "9": -1}
"""Signs between the theory convention (flavio) and the LHCb convention (this package)."""

SIGNS = np.array([THEORY_SIGN.get(name, 1) for name in NAMES])
POINTS = [
    (0.05, 0.9),
    (0.3, 0.7),
    (2.5, 0.89555),
    (6.7, 0.95),
    (6.8, 0.8),
    (14.0, 1.2),
    (18.9, 0.9),
]


@pytest.fixture(scope="module")
def flavio():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("flavio")


def flavio_helicity(q2, m_kpi, wilson, inputs, m_lepton=None):
    """Compute helicity amplitudes by flavio with the inputs of this package."""
    from flavio.physics.bdecays import angular

    factors = {
        name: float(value)
        for name, value in form_factors(np.array(q2), np.array(m_kpi), inputs).items()
    }
    coefficients = {"v": wilson["c9"], "a": wilson["c10"], "7": wilson["c7"]}
    coefficients |= {"vp": wilson["c9p"], "ap": wilson["c10p"], "7p": wilson["c7p"]}
    coefficients |= dict.fromkeys(("s", "p", "sp", "pp", "t", "tp"), 0)
    m_lepton = m_lepton or inputs.m_muon_gev
    return angular.helicity_amps_v(
        q2,
        inputs.m_b_meson_gev,
        m_kpi,
        inputs.m_b_gev,
        0,
        m_lepton,
        m_lepton,
        factors,
        coefficients,
        1.0,
    )


def flavio_coefficients(q2, m_kpi, wilson, inputs, m_lepton=None):
    """Compute J_i by flavio with the inputs of this package, in its order and signs."""
    from flavio.physics.bdecays import angular

    m_b, m_lepton = inputs.m_b_gev, m_lepton or inputs.m_muon_gev
    helicity = flavio_helicity(q2, m_kpi, wilson, inputs, m_lepton)
    result = angular.angularcoeffs_general_v(
        helicity, q2, inputs.m_b_meson_gev, m_kpi, m_b, 0, m_lepton, m_lepton
    )
    # the twelfth, J_6c, is zero without scalar operators and not in the arrays
    assert abs(result["6c"]) < 1e-20
    keys = [int(name) if name.isdigit() else name for name in NAMES]
    return SIGNS * np.array([result[key] for key in keys])


def ours(q2, m_kpi, wilson, inputs):
    q2, m_kpi = np.array([q2]), np.array([m_kpi])
    lam, beta2 = phase_space(q2, m_kpi, inputs.m_b_meson_gev, inputs.m_muon_gev)
    reduced = reduced_coefficients(
        amplitudes(q2, m_kpi, wilson, inputs), q2, lam, beta2, inputs.m_muon_gev
    )
    return (reduced * kinematic_factors(q2, lam, beta2))[0]


def random_coefficients(seed):
    rng = np.random.default_rng(seed)
    names = ("c7", "c9", "c10", "c7p", "c9p", "c10p")
    scales = (0.3, 4, 4, 0.1, 1, 1)
    return {
        name: complex(scale * rng.normal(), scale * rng.normal())
        for name, scale in zip(names, scales, strict=True)
    }


@pytest.mark.parametrize(("q2", "m_kpi"), POINTS)
@pytest.mark.usefixtures("flavio")
def test_amplitudes_agree_with_flavio(inputs, q2, m_kpi):
    from flavio.physics.bdecays import angular

    wilson = random_coefficients(int(q2 * 1000))
    theirs = flavio_helicity(q2, m_kpi, wilson, inputs)
    at, mass = np.array(q2), np.array(m_kpi)
    mine = amplitudes(at, mass, {name: np.array(v) for name, v in wilson.items()}, inputs)
    root_lambda = np.sqrt(phase_space(at, mass, inputs.m_b_meson_gev, inputs.m_muon_gev)[0])
    transversity = {
        "0_L": mine.zero_left,
        "0_R": mine.zero_right,
        "para_L": mine.para_left,
        "para_R": mine.para_right,
        "perp_L": root_lambda * mine.perp_left,
        "perp_R": root_lambda * mine.perp_right,
    }
    helicity = angular.transversity_to_helicity(transversity)
    largest = max(abs(helicity[key]) for key in helicity)
    # a common constant of all amplitudes and points, the normalisation N
    scale = 4.0
    for key, value in helicity.items():
        assert abs(complex(value) / scale - theirs[key]) < 1e-9 * largest, key
    time = abs(root_lambda * mine.time) / abs(theirs["P"])
    assert time == pytest.approx(2 * q2**0.5 / inputs.m_muon_gev, rel=1e-9)


@pytest.mark.parametrize(("q2", "m_kpi"), POINTS)
@pytest.mark.usefixtures("flavio")
def test_angular_coefficients_agree_with_flavio(inputs, q2, m_kpi):
    wilson = random_coefficients(int(q2 * 100))
    theirs = flavio_coefficients(q2, m_kpi, wilson, inputs)
    mine = ours(q2, m_kpi, {name: np.array(value) for name, value in wilson.items()}, inputs)
    # the common constant is arbitrary, but equal for all q2, m_kpi (next test) and J_i
    ratio = theirs[0] / mine[0]
    np.testing.assert_allclose(mine * ratio, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())
    assert np.count_nonzero(np.abs(theirs) > 1e-6 * np.abs(theirs).max()) == 11


@pytest.mark.usefixtures("flavio")
def test_dependence_on_q2_and_mass_agrees_with_flavio(inputs):
    wilson = {"c7": -0.3, "c9": 4.2, "c10": -4.1, "c7p": 0.0, "c9p": 0.0, "c10p": 0.0}
    arrays = {name: np.array(value) for name, value in wilson.items()}
    ratios = [
        flavio_coefficients(*point, wilson, inputs)[0] / ours(*point, arrays, inputs)[0]
        for point in POINTS
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_form_factors_agree_with_flavio(flavio, inputs):
    from flavio.physics.bdecays.formfactors.b_v import bsz

    par = dict(flavio.default_parameters.get_central_all())
    par |= {"m_B0": inputs.m_b_meson_gev, "m_K*0": inputs.m_k_star_gev}
    par |= {"B->K* BCL m0": 5.366, "B->K* BCL m1-": 5.415, "B->K* BCL m1+": 5.829}
    for name, factor in inputs.form_factors:
        for power, value in enumerate(factor.a):
            par[f"B->K* BSZ a{power}_{name}"] = value
    m_b_meson, m_k_star = inputs.m_b_meson_gev, inputs.m_k_star_gev
    # flavio takes A12's leading coefficient from A0's (an exact relation)
    relation = (m_b_meson**2 - m_k_star**2) / (8 * m_b_meson * m_k_star)
    a12 = inputs.form_factors.A12
    a12 = a12.model_copy(update={"a": (inputs.form_factors.A0.a[0] * relation, *a12.a[1:])})
    changed = inputs.form_factors.model_copy(update={"A12": a12})
    used = inputs.model_copy(update={"form_factors": changed})
    for q2 in (0.1, 5.0, 15.0):
        theirs = bsz.ff("B->K*", q2, dict(par), n=3)
        for name, value in form_factors(np.array(q2), np.array(m_k_star), used).items():
            assert float(value) == pytest.approx(theirs[name], rel=1e-12), name


@pytest.mark.parametrize("mass", [0.0, 1.3, 4.8])
@pytest.mark.parametrize("q2", [0.05, 6.7, 6.76, 6.8, 18.0])
@pytest.mark.usefixtures("flavio")
def test_quark_loop_agrees_with_flavio(q2, mass):
    from flavio.physics.bdecays.matrixelements import h

    theirs = h(q2, mass, 4.8)
    mine = complex(quark_loop(np.array([q2]), mass, 4.8)[0])
    # exactly at the threshold flavio evaluates 0/0
    assert mine == pytest.approx(theirs, rel=1e-6 if q2 == 6.76 else 1e-12)


def test_c9_effective_check_values(inputs):
    values = c9_effective(np.array([1.0, 5.0, 10.0, 15.0]), inputs)
    expected = [4.747 + 0.061j, 4.952 + 0.061j, 5.052 + 0.738j, 4.771 + 0.868j]
    np.testing.assert_allclose(values, expected, atol=6e-4)


def random_shifts(rng):
    scale = np.array([0.3, 4, 4, 0.3, 2, 2])
    return scale * (rng.normal(size=6) + 1j * rng.normal(size=6))


@pytest.mark.parametrize("lepton", ["muon", "electron"])
@pytest.mark.parametrize("antiparticle_shifts", ["equal", "conjugate"])
@pytest.mark.parametrize("flavour", [1, -1])
@pytest.mark.usefixtures("flavio")
def test_model_agrees_with_flavio_for_both_flavours(inputs, lepton, antiparticle_shifts, flavour):
    """All J_i with six complex shifts; weak phases, not strong ones, change sign with flavour."""
    model = DecayModel(inputs, lepton, antiparticle_shifts)
    rng = np.random.default_rng(8)
    ratios = []
    for q2, m_kpi in POINTS:
        shifts = random_shifts(rng)
        weak = np.conj(shifts) if antiparticle_shifts == "conjugate" and flavour > 0 else shifts
        standard = {"c7": inputs.c7eff, "c9": c9_effective(np.array(q2), inputs), "c10": inputs.c10}
        wilson = {
            name: complex(standard.get(name, 0.0)) + weak[index]
            for index, name in enumerate(COEFFICIENTS)
        }
        theirs = flavio_coefficients(q2, m_kpi, wilson, inputs, model.m_lepton_gev)
        mine = model.angular_coefficients(q2, m_kpi, shifts, flavour)
        ratios.append(theirs[0] / mine[0])
        np.testing.assert_allclose(
            mine * ratios[-1], theirs, rtol=0, atol=1e-9 * np.abs(theirs).max()
        )
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_inputs_of_the_set_flavio_agree_with_flavio(flavio):
    from flavio.physics.bdecays.wilsoncoefficients import wctot_dict
    from flavio.physics.running import running

    mine = load_inputs("flavio")
    par = flavio.default_parameters.get_central_all()
    wilson = wctot_dict(flavio.WilsonCoefficients(), "bsmumu", mine.scale_gev, par)
    expected = {
        "m_b_meson_gev": par["m_B0"],
        "m_muon_gev": par["m_mu"],
        "m_electron_gev": par["m_e"],
        "m_k_star_gev": par["m_K*0"],
        "width_k_star_gev": 1 / par["tau_K*0"],
        "m_kaon_gev": par["m_K+"],
        "m_pion_gev": par["m_pi+"],
        "m_b_gev": running.get_mb(par, mine.scale_gev),
        "m_b_loop_gev": running.get_mb_pole(par),
        "m_c_gev": running.get_mc_pole(par),
        "c7eff": wilson["C7eff_bs"].real,
        "c7peff": wilson["C7effp_bs"].real,
        "c9": wilson["C9_bsmumu"].real,
        "c10": wilson["C10_bsmumu"].real,
    }
    for name, value in expected.items():
        assert getattr(mine, name) == pytest.approx(value, rel=1e-9), name
    for number, value in enumerate(mine.c1_to_c6, start=1):
        assert value == pytest.approx(wilson[f"C{number}_bs"].real, rel=1e-9)
    from flavio.physics.bdecays.formfactors.b_v import bsz

    for q2 in (0.1, 8.0, 17.0):
        theirs = bsz.ff("B->K*", q2, dict(par), n=3)
        result = form_factors(np.array(q2), np.array(mine.m_k_star_gev), mine)
        for name, value in result.items():
            assert float(value) == pytest.approx(theirs[name], rel=1e-8), (name, q2)


def test_bound_with_coefficients_of_flavio(flavio):
    """Reference table of bounds for 24,000 events, from J_i of flavio at the K* mass."""
    from flavio.physics.bdecays import angular
    from flavio.physics.bdecays.bvll import amplitudes as flavio_amplitudes
    from flavio.physics.running import running

    par = flavio.default_parameters.get_central_all()
    m_b = running.get_mb(par, 4.8)
    masses = par["m_B0"], par["m_K*0"], m_b, 0, par["m_mu"], par["m_mu"]
    keys = [int(name) if name.isdigit() else name for name in NAMES]

    def coefficients(q2, shift):
        wilson = flavio.WilsonCoefficients()
        wilson.set_initial({"C9_bsmumu": shift}, scale=4.8)
        factors = flavio_amplitudes.get_ff(q2, par, "B0", "K*0")
        helicity = flavio_amplitudes.helicity_amps(q2, factors, wilson, par, "B0", "K*0", "mu")
        result = angular.angularcoeffs_general_v(helicity, q2, *masses)
        return SIGNS * np.array([result[key] for key in keys])

    nodes, weights = np.polynomial.legendre.leggauss(16)
    moments = dict.fromkeys((0.0, -0.25, -0.5, -1.0, -1.5, -2.0, 0.5, 1.0), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for low, high in ((0.0447, 0.3), (0.3, 1.5), (1.5, 6), (6, 8.69), (8.69, 14), (14, 19)):
            q2 = low + (high - low) * (nodes + 1) / 2
            below, at, above = (
                np.array([coefficients(x, shift) for x in q2]) for shift in (-1, 0, 1)
            )
            polynomials = np.stack([at, (above - below) / 2, (above + below) / 2 - at], axis=1)
            for shift in moments:
                zeroth, first, second = bound.score_moments(
                    polynomials, weights * (high - low) / 2, np.array([shift])
                )
                moments[shift] = moments[shift] + np.array([zeroth, first[0], second[0, 0]])
    reference = (0.056, 0.050, 0.045, 0.0375, 0.032, 0.029, 0.070, 0.082)
    for (shift, (zeroth, first, second)), expected in zip(moments.items(), reference, strict=True):
        information = second / zeroth - (first / zeroth) ** 2
        assert (24_000 * information) ** -0.5 == pytest.approx(expected, rel=0.03), shift


def test_observables_follow_lhcb_signs(model, inputs):
    values = observables(model.angular_coefficients(5.0, inputs.m_k_star_gev))
    # LHCb measures S4, S5 < 0 and A_FB > 0 here, F_L between 0.5 and 0.9
    assert values["S4"] < 0
    assert values["S5"] < 0
    assert values["A_FB"] > 0
    assert 0.5 < values["F_L"] < 0.9
