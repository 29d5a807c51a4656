# SPDX-License-Identifier: Apache-2.0
"""Recipes in YAML: the shipped ones, a user's own, and everything that one can get wrong in a file."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import yaml

from mvloc_ros.cli import main
from mvloc_ros.training import verbs
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.export import training_command
from mvloc_ros.training.options import all_options
from mvloc_ros.training.presets import NAMES, names_of, preset, read_file
from mvloc_ros.training.presets.preset_files import FOLDER
from mvloc_ros.training.run_identity import check_same_run


def configuration(*words: str) -> TrainingConfig:
    parser = argparse.ArgumentParser()
    verbs.add_train_arguments(parser)
    return verbs.configuration(parser.parse_args(["--data", "x", "--out", "y", *words]))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_system_has_both_recipes_mvloc_one_for_robots_and_there_are_no_others() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == {
        f"{system}.{name}.yaml" for system in SYSTEMS for name in names_of(system)
    }
    assert set(names_of("mvloc")) - set(NAMES) == {"robust"}
    assert all(names_of(system) == NAMES for system in SYSTEMS if system != "mvloc")
    for path in FOLDER.glob("*.yaml"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# "), f"{path.name} does not say what it is"


def test_the_package_takes_the_recipes_along() -> None:
    patterns = re.search(r"^mvloc_ros = (\[.*\])$", (FOLDER.parents[2] / "pyproject.toml").read_text(), re.MULTILINE)
    assert patterns is not None
    taken = {path for pattern in yaml.safe_load(patterns[1]) for path in FOLDER.parents[1].glob(pattern)}
    assert set(FOLDER.glob("*.yaml")) <= taken


def test_small_differs_between_systems_only_where_it_must() -> None:
    common = preset("mvloc", "small").to_dict()
    for system in SYSTEMS:
        values = preset(system, "small").to_dict()
        assert {name for name in common if values[name] != common[name]} <= {
            "system",
            "augmentation",
            "stages",
            "clips",
        }
        assert {n for n, v in values["augmentation"].items() if v != common["augmentation"][n]} <= {
            "drop_color",
            "drop_depth",
        }


def test_paper_has_no_augmentation_and_nothing_else_that_no_paper_states() -> None:
    """With every frame as it was recorded, whatever the defaults of the options are."""
    changes = {item.name for section, item in all_options() if section == "augmentation"}
    changes -= {"unmoved", "erasing_size"}  # which change nothing by themselves
    for system in SYSTEMS:
        config = preset(system, "paper")
        assert {name: getattr(config.augmentation, name) for name in changes} == dict.fromkeys(changes, 0.0), system
        assert (config.optimiser.schedule, config.optimiser.ema, config.optimiser.precision) == (
            "constant",
            0.0,
            "fp32",
        )
    stages = preset("mvloc", "paper").stages
    assert (stages.latent_warmup, stages.target_ess, stages.latent_noise, stages.single_experts) == (0, 0, 0, 0)
    for system in ("posenet", "mapnet", "atloc"):
        options = preset(system, "paper").optimiser
        assert (options.initial_beta, options.initial_gamma, options.weight_decay) == (0.0, -3.0, 5e-4)


def test_every_value_of_paper_has_its_source() -> None:
    lines = (FOLDER / "mvloc.paper.yaml").read_text().splitlines()
    comment, stated = "", {}
    for line in lines:
        name, _, rest = line.partition(":")
        comment = "" if not line else line if line.startswith("#") else comment
        if line and not line.startswith("#"):
            stated[name] = rest.partition("#")[2].strip() or comment
    missing = [
        name
        for name, source in stated.items()
        if not re.search(r"3\.|4\.2|Eq|given|the paper|the same|not m|latent is", source)
    ]
    assert missing == []


def test_the_help_says_what_the_presets_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "paper what the paper states (sections 3.3 and 4.2) and nothing beside it: no augmentation" in text
    assert "small this project's own values" in text


def test_runs_before_the_likelihood_are_read_as_they_were(tmp_path: Path) -> None:
    """And are not resumed by a command of today that means another one."""
    now = preset("mvloc", "small").with_options({"stage": "2"})
    old = now.to_dict()
    del old["stages"]["likelihood"], old["network"]["rotation"]
    read = TrainingConfig.from_dict(old)
    assert (read.stages.likelihood, read.network.rotation) == ("mean", "logq")
    run = {"processes": 1, "data": {}, "weights": ""}
    with pytest.raises(TrainingError, match="a run with different values of likelihood; use its original command"):
        check_same_run(tmp_path, {**run, "config": old}, {**run, "config": now.to_dict()})
    same = now.with_options({"likelihood": "mean"})
    check_same_run(tmp_path, {**run, "config": old}, {**run, "config": same.to_dict()})
    first = preset("mvloc", "small")
    old_first = first.to_dict()
    del old_first["stages"]["likelihood"]
    check_same_run(tmp_path, {**run, "config": old_first}, {**run, "config": first.to_dict()})


def test_runs_before_single_experts_in_stage_1_are_read_as_they_were(tmp_path: Path) -> None:
    """In stage 1 their weight had no effect, and only the command that leaves it without one resumes them."""
    now = preset("mvloc", "small").with_options({"single_experts": 0.5, "degrade_color": 0.0, "degrade_depth": 0.0})
    run = {"processes": 1, "data": {}, "weights": ""}

    def resume(old: TrainingConfig, new: TrainingConfig) -> None:
        saved = old.to_dict()
        del saved["stages"]["single_experts_in"], saved["augmentation"]["degrade_color"]
        del saved["augmentation"]["degrade_depth"]
        check_same_run(tmp_path, {**run, "config": saved}, {**run, "config": new.to_dict()})

    read = now.to_dict()
    del read["stages"]["single_experts_in"]
    assert TrainingConfig.from_dict(read).single_experts == 0.0
    assert now.single_experts == 0.5
    with pytest.raises(TrainingError, match="a run with different values of single_experts"):
        resume(now, now)
    resume(now, now.with_options({"single_experts": 0.0}))
    resume(now, now.with_options({"single_experts_in": "2"}))
    second = now.with_options({"stage": "2"})
    resume(second, second)
    with pytest.raises(TrainingError, match="a run with different values of single_experts;"):
        resume(second, second.with_options({"single_experts": 0.0}))
    ignored = preset("mvloc-c", "small").to_dict()
    ignored["stages"] |= {"single_experts": 0.5, "single_experts_in": "2"}
    assert TrainingConfig.from_dict(ignored).single_experts == 0.0


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml", "base: small\nepochs: 7\nlearning_rate: 1e-4\nstage: 1\nregister_depth: true\n"
    )
    config = configuration("--preset", str(path))
    expected = preset("mvloc", "small").with_options({"epochs": 7, "learning_rate": 1e-4, "register_depth": True})
    assert config == expected
    assert configuration("--preset", str(path), "--epochs", "9", "--seed", "3") == expected.with_options(
        {"epochs": 9}, seed=3
    )
    assert configuration("--preset", str(path), "--system", "mvloc-c") == preset("mvloc-c", "small").with_options(
        {"epochs": 7, "learning_rate": 1e-4, "register_depth": True}
    )
    run = {"data": {"name": "kitchen"}, "test_fraction": 0.2, "weights": ""}
    command = training_command(config, run)
    assert command.endswith("--preset small --seed 0 --register-depth --epochs 7 --learning-rate 0.0001")
    assert configuration(*command.split()[6:]) == config, "the bundle's command says it all"


@pytest.mark.parametrize(
    ("text", "system", "expected"),
    [
        ("", "mvloc", preset("mvloc", "small")),
        ("base: paper", "mvloc", preset("mvloc", "paper")),
        ("system: atloc\nbase: paper", "atloc", preset("atloc", "paper")),
        ("system: vidloc\nclip_length: 4", "vidloc", preset("vidloc", "small").with_options({"clip_length": 4})),
    ],
)
def test_base_and_system(tmp_path: Path, text: str, system: str, expected: TrainingConfig) -> None:
    assert read_file(write(tmp_path / "mine.yml", text), None) == expected
    assert read_file(tmp_path / "mine.yml", system) == expected


def test_single_experts_of_a_system_without_experts_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", "base: mvloc.small\nsystem: mvloc-c\nsingle_experts: 0.5\n")
    with pytest.raises(TrainingError, match="mvloc-c has no experts of single modalities"):
        read_file(path, None)


def test_the_recipe_of_another_system_as_base(tmp_path: Path) -> None:
    config = read_file(write(tmp_path / "mine.yaml", "base: atloc.paper\n"), "posenet")
    assert config.system == "posenet"
    assert config.optimiser == preset("atloc", "paper").optimiser != preset("posenet", "paper").optimiser


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 5", "unknown name 'epoch'; known are base, system, short_side"),
        ("optimiser:\n  epochs: 5", "optimiser must be a string, not {'epochs': 5}"),
        ("epochs: many", "epochs must be a whole number, not 'many'"),
        ("epochs: 1.5", "epochs must be a whole number, not 1.5"),
        ("epochs: true", "epochs must be a whole number, not True"),
        ("epochs:", "epochs must be a whole number, not None"),
        ("epochs: 0", "--epochs 0 must be at least 1"),
        ("learning_rate: fast", "learning_rate must be a number, not 'fast'"),
        ("learning_rate: .nan", "'.nan' in line 1 is not a finite number"),
        ("register_depth: 1", "register_depth must be true or false, not 1"),
        ("backbone: vgg", "--backbone 'vgg' is unknown; choose one of resnet18, resnet34"),
        ("clip_length: 3", "mvloc is trained on single frames"),
        ("base: medium", "the base 'medium' is unknown; choose one of small, paper, robust, or one of another system"),
        ("base: [small]", "is unknown"),
        ("system: vgg", "the system 'vgg' is unknown"),
        ("system: atloc", "is for the system atloc; remove --system mvloc"),
        ("- epochs", "must hold lines of `name: value`"),
        ("epochs: [", "is not valid YAML"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_the_file(
    tmp_path: Path, text: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    code = main(["train", "--data", "x", "--out", str(tmp_path / "run"), "--preset", str(path), "--system", "mvloc"])
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert str(path) in line


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        TrainingError,
        match=r"--preset 'large' is unknown for mvloc; choose one of small, paper, robust, or give a \.yaml",
    ):
        configuration("--preset", "large")
    with pytest.raises(TrainingError, match=r"--preset 'robust' is unknown for atloc; choose one of small, paper, or"):
        configuration("--system", "atloc", "--preset", "robust")


def test_the_list_of_presets_needs_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--list-presets"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for system in SYSTEMS:
        assert len(re.findall(rf"^{system} +(?:small|paper) ", text, re.MULTILINE)) == 2
    assert "vidloc        paper  resnet34 x 1 at 256 px, 100 epochs, 64 frames a step, clips of 20, adam 5e-05" in text


def test_every_option_is_a_name(tmp_path: Path) -> None:
    """What a run's config says can be written into a file and comes back."""
    for system in SYSTEMS:
        config = preset(system, "paper")
        values = {item.name: getattr(getattr(config, section), item.name) for section, item in all_options()}
        path = write(tmp_path / "all.yaml", yaml.safe_dump({"base": "paper", **values}))
        assert read_file(path, system) == config
