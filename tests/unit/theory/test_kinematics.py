import numpy as np
import pytest
from tests.helpers.decay_builder import build_b0, cp_conjugate, random_frame, random_variables

from wilsonvox.theory.kinematics import DecayMomenta, decay_variables, lhcb_angles

N = 2000


def variables_of(momenta, flavour=1):
    flavours = np.full(momenta.shape[2], flavour, dtype=np.int8)
    return decay_variables(DecayMomenta.from_array(momenta), flavours)


def assert_same(result, expected, tolerance=1e-6):
    for name, value in expected.items():
        np.testing.assert_allclose(
            getattr(result, name), value, rtol=0, atol=tolerance, err_msg=name
        )


def test_variables_are_recovered_from_momenta():
    expected = random_variables(N)
    assert_same(variables_of(build_b0(**expected)), expected)


@pytest.mark.parametrize("largest", [0.3, 0.99, 0.9999])
def test_variables_do_not_depend_on_the_frame(largest):
    expected = random_variables(N)
    moved = random_frame(build_b0(**expected), largest=largest)
    assert np.abs(moved[0, 1:]).max() > 0.5
    assert_same(variables_of(moved), expected)


def test_cp_conjugate_decay_has_the_same_variables():
    expected = random_variables(N)
    moved = random_frame(cp_conjugate(build_b0(**expected)))
    assert_same(variables_of(moved, flavour=-1), expected)


def test_array_of_both_flavours():
    expected = random_variables(N)
    momenta = build_b0(**expected)
    flavour = np.where(np.arange(N) % 3 == 0, -1, 1).astype(np.int8)
    mixed = np.where(flavour < 0, cp_conjugate(momenta), momenta)
    assert_same(decay_variables(DecayMomenta.from_array(mixed), flavour), expected)


def test_wrong_flavour_reverses_the_muon_cosine_and_reflects_chi():
    expected = random_variables(N)
    result = variables_of(build_b0(**expected), flavour=-1)
    np.testing.assert_allclose(result.cos_theta_mu, -expected["cos_theta_mu"], atol=1e-9)
    np.testing.assert_allclose(result.cos_theta_k, expected["cos_theta_k"], atol=1e-9)
    # the normal is reversed (φ → φ + π) and the sine changes sign (φ → −φ): chi → π − chi
    turned = np.mod(np.pi - expected["chi"], 2 * np.pi)
    np.testing.assert_allclose(np.cos(result.chi), np.cos(turned), atol=1e-9)
    np.testing.assert_allclose(np.sin(result.chi), np.sin(turned), atol=1e-9)


def test_columns_are_float64_and_in_range():
    result = variables_of(build_b0(**random_variables(N)).astype(np.float32))
    for name in ("q2", "cos_theta_mu", "cos_theta_k", "chi", "m_kpi"):
        column = getattr(result, name)
        assert column.dtype == np.float64
        assert column.shape == (N,)
    assert result.chi.min() >= 0
    assert result.chi.max() <= 2 * np.pi


def test_collinear_momenta_give_cosines_of_one():
    edge = {"q2": 5.0, "cos_theta_mu": 1.0, "cos_theta_k": -1.0, "chi": 1.0, "m_kpi": 0.9}
    momenta = build_b0(**{name: np.array([value]) for name, value in edge.items()})
    result = variables_of(random_frame(momenta))
    assert result.cos_theta_mu[0] == pytest.approx(1, abs=1e-9)
    assert result.cos_theta_k[0] == pytest.approx(-1, abs=1e-9)
    assert abs(result.cos_theta_mu[0]) <= 1


def test_unphysical_momenta_give_no_warning():
    momenta = build_b0(**random_variables(4))
    momenta[:, :, 0] = np.nan
    momenta[3:, :, 1] = 0.0
    momenta[0, 0, 2] = 0.1
    result = variables_of(momenta)
    assert np.isnan(result.q2[0])
    assert np.isnan(result.cos_theta_mu[1])
    assert np.isfinite(result.chi[3])


def test_lhcb_angles_agree_with_the_momenta():
    """φ as defined in arXiv:1304.6325: from the μ+ μ− plane to the Kπ plane about the K*."""
    expected = random_variables(N)
    b, k, pi, mup, mum = build_b0(**expected)[:, 1:]
    assert np.abs(b).max() == 0
    normal_mu, normal_k = np.cross(mup, mum, axis=0), np.cross(k, pi, axis=0)
    unit = (k + pi) / np.linalg.norm(k + pi, axis=0)
    size = np.linalg.norm(normal_mu, axis=0) * np.linalg.norm(normal_k, axis=0)
    cosine = (normal_mu * normal_k).sum(axis=0) / size
    sine = (np.cross(normal_mu, normal_k, axis=0) * unit).sum(axis=0) / size
    cos_l, cos_k, phi = lhcb_angles(
        expected["cos_theta_mu"], expected["cos_theta_k"], expected["chi"]
    )
    np.testing.assert_allclose(np.cos(phi), cosine, atol=1e-9)
    np.testing.assert_allclose(np.sin(phi), sine, atol=1e-9)
    assert np.abs(phi).max() <= np.pi
    np.testing.assert_array_equal(cos_l, expected["cos_theta_mu"])
    np.testing.assert_array_equal(cos_k, expected["cos_theta_k"])
