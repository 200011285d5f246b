"""Names, PDG codes and masses of the particles in B0 → K*0(→ K+ π−) μ+ μ−.

These constants identify the decay in files and in arrays of four-momenta. The masses here are used
to check external files; those that enter predictions are in `wilsonvox.theory.physics_inputs`.
"""

PARTICLES = ("B0", "K", "pi", "mup", "mum")
"""The five particles, in the order of every array of momenta."""

COMPONENTS = ("E", "px", "py", "pz")
"""Components of a four-momentum, in the order of every array of momenta."""

MOMENTUM_BRANCHES = tuple(f"{particle}_{part}" for particle in PARTICLES for part in COMPONENTS)
"""Branches of the four-momenta, float64 [GeV], in an event file that has them."""

FLAVOURS = {"B0": 1, "B0bar": -1}
"""Names of the two flavours in configuration, and their value in the `flavour` branch."""

PDG_CODES = {"B0": 511, "K": 321, "pi": -211, "mup": -13, "mum": 13}
"""PDG codes in a B0 decay; B, kaon and pion change sign in an anti-B0 decay."""

LEPTONS = ("mup", "mum")
"""The particles whose PDG codes are the same in decays of both flavours."""

K_STAR_PDG_CODE, PHOTON_PDG_CODE = 313, 22

B_MASS = 5.27964
"""Mass of the B0 [GeV]."""

MUON_MASS = 0.10565837
"""Mass of the muon [GeV]."""

B_MASS_WINDOW = (4.5, 6.0)
"""Masses accepted as a B's [GeV]; wide, as reconstructed ones may come with sidebands."""

KPI_MASS_WINDOW = (0.6, 2.0)
"""Range of a file's median m_Kπ [GeV], from which its unit of energy is determined."""

JPSI_GEV2 = 9.591
"""Squared mass of the J/ψ [GeV²]."""
