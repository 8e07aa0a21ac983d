"""The jobs that a worker may be asked to do."""

from __future__ import annotations

import importlib

import pytest

from portal.job_queue import Work


@pytest.mark.parametrize("work", Work)
def test_every_job_is_a_function_that_a_worker_can_import(work: Work) -> None:
    module, _, name = work.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
