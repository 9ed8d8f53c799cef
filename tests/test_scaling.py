"""The law of held-out loss is found again in losses that follow it."""

import numpy as np
import pytest
import scaling


def test_the_law_of_losses_that_follow_one_is_found():
    law = scaling.Law(4.0, 2000.0, 0.45, 900.0, 0.4)
    sizes, seen = np.meshgrid([2.5e5, 7e5, 2.5e6], [1e5, 3e5, 9e5])
    sizes, seen = sizes.ravel(), seen.ravel()
    noise = np.exp(0.002 * np.random.default_rng(0).normal(size=9))
    found = scaling.fit(sizes, seen, law.loss(sizes, seen) * noise)
    assert found.loss(1e7, 1e7) == pytest.approx(law.loss(1e7, 1e7), rel=0.1)
    exact = scaling.fit(sizes, seen, law.loss(sizes, seen))
    assert exact.parameters_power == pytest.approx(0.45, abs=0.01)
    assert exact.windows_power == pytest.approx(0.4, abs=0.01)
    drawn = [*scaling.bootstrap(sizes, seen, law.loss(sizes, seen), 5)]
    # A draw of few runs may be of several formulas.
    assert len(drawn) == 5
    estimate = np.median([one.loss(1e7, 1e7) for one in drawn])
    assert estimate == pytest.approx(law.loss(1e7, 1e7), rel=0.001)
