"""How many examples hypothesis makes up: the same ones each time in the short form, new ones in the full form."""

from hypothesis import HealthCheck, Phase, settings

from tests.support.figures import FULL


def of_any_kind(most: int) -> settings:
    """Up to `most` examples, however long each takes; nothing is kept between runs."""
    return settings(
        max_examples=most,
        deadline=None,
        derandomize=not FULL,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
