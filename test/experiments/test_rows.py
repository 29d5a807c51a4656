# SPDX-License-Identifier: Apache-2.0
"""Which values each row of a table takes, and which run is which."""

from __future__ import annotations

import pytest

from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.experiments.runs import identity
from mvloc_ros.experiments.table_rows import ALL_SYSTEMS, DEFAULT_SYSTEMS, budget, first_stage, make_rows
from mvloc_ros.training.config import SYSTEMS
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.presets import preset


@pytest.mark.parametrize("name", ["small", "paper"])
def test_every_system_is_a_row_with_the_same_budget(name: str) -> None:
    given = {"epochs": 7, "batch_size": 24, "drop_depth": 0.3, "stage2_epochs": 3, "samples": 4, "clip_skip": 2}
    rows = make_rows(ALL_SYSTEMS, name, given)
    assert {row.system for row in rows} == set(SYSTEMS)
    assert {row.config.optimiser.batch_size for row in rows} == {24}
    for row in rows:
        stages = row.config.stages
        epochs = row.config.optimiser.epochs + (stages.stage2_epochs if row.config.samples_latent else 0)
        assert epochs == (7 if row.label == "mvloc (stage 1)" else 10), row.label
        described = SYSTEMS[row.system]
        assert row.config.augmentation.drop_depth == (0.3 if described.uses_depth else 0.0)
        assert row.config.clips.clip_skip == (2 if described.clips else preset(row.system, name).clips.clip_skip)
        assert row.config.stages.stage in ("1", "2")
        if row.config.samples_latent:
            assert row.config.stages.samples == (1 if row.system == "mvloc-p" else 4)
            assert "then 3 of stage 2" in budget(row.config)


def test_depth_in_colours_goes_to_the_rows_that_see_depth() -> None:
    rows = make_rows(ALL_SYSTEMS, "small", {"depth_encoding": "colors"})
    for row in rows:
        assert row.config.input.depth_encoding == ("colors" if SYSTEMS[row.system].uses_depth else "metric")


def test_both_stages_of_mvloc_and_a_control_are_rows_and_the_last_is_beside_the_published_one() -> None:
    rows = make_rows(DEFAULT_SYSTEMS["table3"], "small", {"stage": "both"})
    assert [row.label for row in rows] == [
        "mvloc-v", "mvloc-c", "mvloc-p", "mvloc (stage 1)", "mvloc (stage 1, as long as both)",
        "mvloc (stage 2, k=20, dreg)",
    ]  # fmt: skip
    assert [row.published for row in rows] == ["mvloc-v", "mvloc-c", "mvloc-p", None, None, "mvloc"]
    for name in ("small", "paper"):
        assert make_rows(["mvloc"], name, {})[0].label == "mvloc (stage 1)", "both unless one is asked for"
    alone = make_rows(["mvloc", "posenet"], "small", {"stage": "1", "epochs": 7})
    assert [(row.label, row.config.optimiser.epochs) for row in alone] == [("mvloc", 7), ("posenet", 7)]


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ExperimentError, match="--stage both"):
        make_rows(["mvloc"], "small", {"stage": "2"})
    with pytest.raises(ExperimentError, match="nonsense"):
        make_rows(["nonsense"], "small", {})
    with pytest.raises(TrainingError, match="--epochs"):
        make_rows(["mvloc"], "small", {"epochs": 0})


def test_the_first_stage_of_both_products_of_experts_is_one_run() -> None:
    mvloc, product = (make_rows([name], "small", {"stage": "both"})[-1].config for name in ("mvloc", "mvloc-p"))
    assert identity(first_stage(mvloc)) == identity(first_stage(product)) == identity(preset("mvloc", "small"))
    assert identity(mvloc) != identity(product)


def test_what_is_held_out_and_the_preset_s_name_make_no_other_run() -> None:
    config = preset("mvloc", "small")
    same = config.with_options({"validation_fraction": 0.3, "samples": 7}, preset="paper")
    assert identity(config) == identity(same)
    for changed in (config.with_options({"epochs": 3}), config.with_options({}, seed=1), preset("mvloc-c", "small")):
        assert identity(config) != identity(changed)
    second = config.with_options({"stage": "2"})
    assert identity(second) == identity(config.with_options({"stage": "both"}))
    assert identity(second) != identity(second.with_options({"samples": 7}))
    other = {"epochs": 3, "learning_rate": 1e-4}  # of a first stage that is told by its own run
    assert identity(second) == identity(second.with_options(other))
    assert identity(first_stage(second)) != identity(first_stage(second.with_options(other)))
