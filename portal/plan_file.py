"""The plans: read once from PORTAL_PLANS (TOML), or from the shipped plans.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

FEATURES = ("brand_sender", "own_driver", "notifications")
SHIPPED = Path(__file__).with_name("plans.toml")


class Plan(BaseModel):
    """What a plan is called, what it allows, how many days its log is kept, and how much the relay sends for it a day.

    `mails_per_day` None: as much as comes. A merchant's own mail service isn't counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=50)
    features: frozenset[str]
    log_retention_days: int = Field(ge=1, le=3650)
    mails_per_day: int | None = Field(None, ge=1)


def load(path: Path = SHIPPED) -> dict[str, Plan]:
    """Plans by key, the smallest first. Raises ValueError with a sentence."""
    try:
        plans = TypeAdapter(dict[str, Plan]).validate_python(tomllib.loads(path.read_text()))
    except OSError:
        raise ValueError(f"the file {path} can't be read") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    unknown = {feature for plan in plans.values() for feature in plan.features} - set(FEATURES)
    if unknown or not plans:
        raise ValueError(
            f"{path.name}: unknown feature {', '.join(sorted(unknown))}" if unknown else "no plan is named"
        )
    return plans
