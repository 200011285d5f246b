"""Four-momenta built from the decay variables, independently of the package."""

import numpy as np

M_B, M_MU, M_K, M_PI = 5.27964, 0.10565837, 0.493677, 0.13957061
PARTICLES = ("B0", "K", "pi", "mup", "mum")
COMPONENTS = ("E", "px", "py", "pz")


def _breakup(m, m1, m2):
    return np.sqrt((m**2 - (m1 + m2) ** 2) * (m**2 - (m1 - m2) ** 2)) / (2 * m)


def boost(p, beta):
    """Boost momenta of shape (4, n) actively by velocities of shape (3, n)."""
    b2 = (beta**2).sum(axis=0)
    gamma = 1 / np.sqrt(1 - b2)
    along = (beta * p[1:]).sum(axis=0)
    factor = np.where(b2 > 0, (gamma - 1) / np.where(b2 > 0, b2, 1), 0.5) * along + gamma * p[0]
    return np.concatenate([[gamma * (p[0] + along)], p[1:] + factor * beta])


def _pair(mass, m1, m2, direction, velocity):
    p = _breakup(mass, m1, m2) * direction
    first = np.concatenate([[np.sqrt(m1**2 + (p**2).sum(axis=0))], p])
    second = np.concatenate([[np.sqrt(m2**2 + (p**2).sum(axis=0))], -p])
    beta = np.zeros((3, len(mass)))
    beta[2] = velocity
    return boost(first, beta), boost(second, beta)


def build_b0(q2, cos_theta_mu, cos_theta_k, chi, m_kpi):
    """B0 decays at rest, (5, 4, n): K* along +z, kaon in the xz plane, μ+ at azimuth chi."""
    m_mumu = np.sqrt(q2)
    p = _breakup(M_B, m_kpi, m_mumu)
    zero = np.zeros_like(q2)
    sin_k, sin_mu = np.sqrt(1 - cos_theta_k**2), np.sqrt(1 - cos_theta_mu**2)
    k, pi = _pair(
        m_kpi, M_K, M_PI, np.stack([sin_k, zero, cos_theta_k]), p / np.sqrt(p**2 + m_kpi**2)
    )
    mup, mum = _pair(
        m_mumu,
        M_MU,
        M_MU,
        np.stack([sin_mu * np.cos(chi), sin_mu * np.sin(chi), -cos_theta_mu]),
        -p / np.sqrt(p**2 + q2),
    )
    b = np.stack([np.full_like(q2, M_B), zero, zero, zero])
    return np.stack([b, k, pi, mup, mum])


def cp_conjugate(momenta):
    """CP conjugate: all momenta reversed, particles and antiparticles exchanged."""
    reversed_ = momenta * np.array([1, -1, -1, -1])[np.newaxis, :, np.newaxis]
    return reversed_[[0, 1, 2, 4, 3]]


def random_variables(n, seed=1):
    rng = np.random.default_rng(seed)
    m_kpi = rng.uniform(0.67, 1.5, n)
    low = 4 * M_MU**2 * 1.05
    return {
        "q2": low + rng.uniform(0.0, 0.99, n) * ((M_B - m_kpi) ** 2 - low),
        "cos_theta_mu": rng.uniform(-0.99, 0.99, n),
        "cos_theta_k": rng.uniform(-0.99, 0.99, n),
        "chi": rng.uniform(0.001, 2 * np.pi - 0.001, n),
        "m_kpi": m_kpi,
    }


def random_frame(momenta, seed=2, largest=0.9, smallest=0.0):
    """Boost each decay to a random frame."""
    rng = np.random.default_rng(seed)
    n = momenta.shape[2]
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    turned = np.concatenate(
        [momenta[:, :1], np.einsum("ij,ajn->ain", rotation, momenta[:, 1:])], axis=1
    )
    direction = rng.normal(size=(3, n))
    beta = direction / np.sqrt((direction**2).sum(axis=0)) * rng.uniform(smallest, largest, n)
    return np.stack([boost(momenta, beta) for momenta in turned])


def flat_columns(momenta, names=PARTICLES, components=COMPONENTS, separator="_"):
    return {
        f"{name}{separator}{component}": momenta[i, j].copy()
        for i, name in enumerate(names)
        for j, component in enumerate(components)
    }
