# SPDX-License-Identifier: Apache-2.0
"""The steps that make the bundle: network, export, scene map, covariances, and the map of all frames.

The bundle takes its name when it is complete.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import nullcontext
from pathlib import Path

from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.step import Step, Values
from mvloc_ros.mapping.build import MapOptions
from mvloc_ros.model.bundle import MANIFEST_FILE, Bundle, BundleError, read_bundle
from mvloc_ros.model.bundle_writer import bundle_to_change
from mvloc_ros.recordings import digests
from mvloc_ros.storage import StorageError, exclusive, replace_folder, staging_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.depth_range import explain_range, with_folder_depth
from mvloc_ros.training.folder_sensors import with_folder_sensors
from mvloc_ros.training.possible_views import with_possible_views

_log = logging.getLogger(__name__)
_CHECKPOINTS = "*.pt"


def network_step(job: Job) -> Step:
    """The training."""
    options, places = job.options, job.places

    def inputs() -> Values:
        config, _ = _config(job)
        values = {
            f"{section} {name}": value for section, kept in _flat(config.to_dict()) for name, value in kept.items()
        }
        about = {"refit epochs": options.effort.refit_epochs, "test fraction": options.test_fraction}
        return {**values, **about, **job.data()}

    def work() -> None:
        from mvloc_ros.training.datasets import ReadOptions
        from mvloc_ros.training.train import train

        config, left_out = _config(job)
        for clause in filter(None, (explain_range(config, job.folders, {}), *left_out)):
            print(f"{clause}.")
        train(
            config,
            job.folders,
            places.run,
            options.device,
            None,
            options.test_fraction,
            refit=options.effort.refit_epochs is not None,
            refit_epochs=options.effort.refit_epochs,
            force=options.force,
            reading=ReadOptions(options.cache),
        )

    def outputs() -> Values:
        found = sorted(places.run.rglob(_CHECKPOINTS))
        return {path.relative_to(places.run).as_posix(): digests.of_file(path) for path in found}

    return Step("network", "network", inputs, work, outputs, lambda _: [places.run], verb="mvloc train")


def _config(job: Job) -> tuple[TrainingConfig, list[str]]:
    """The training's, with the depth range that the folders state and all sensors that they declare.

    And a clause for each kind of views of its preset that the folders cannot have, and that it is without.
    """
    config = with_folder_sensors(with_folder_depth(job.options.config(), job.folders, {}), job.folders)
    return with_possible_views(config, job.folders, job.options.test_fraction)


def export_step(job: Job) -> Step:
    """The bundle, without a map."""
    places = job.places

    def inputs() -> Values:
        run = sorted(places.run.rglob(_CHECKPOINTS))
        return {f"network {path.relative_to(places.run)}": digests.of_file(path) for path in run} | job.data()

    def work() -> None:
        from mvloc_ros.training.datasets import ReadOptions
        from mvloc_ros.training.export import export

        places.bundle.parent.mkdir(exist_ok=True)
        export(places.run, places.bundle, None, job.folders, reading=ReadOptions(job.options.cache))

    def outputs() -> Values:
        bundle = _bundle(places.bundle)
        return {} if bundle is None else dict(bundle.manifest.files)

    return Step("export", "bundle", inputs, work, outputs, verb="mvloc export")


def map_step(job: Job) -> Step:
    """The scene map of the bundle, with the covariances of its network, which the trials use."""
    places, options = job.places, job.options

    def inputs() -> Values:
        return {"network": _exported(places.bundle), "test fraction": options.test_fraction, **job.data()}

    def work() -> None:
        from mvloc_ros.mapping.calibrate import calibrate, can_be_calibrated
        from mvloc_ros.mapping.map import add_map
        from mvloc_ros.mapping.summaries import map_lines

        with bundle_to_change(places.bundle) as bundle:
            if can_be_calibrated(bundle):
                calibrate(places.bundle, job.folders, options.test_fraction, network_alone=True)
            made = add_map(places.bundle, job.folders, MapOptions(), options.test_fraction)
        print("\n".join(map_lines(made)))

    def outputs() -> Values:
        bundle = _bundle(places.bundle)
        spec = None if bundle is None else bundle.manifest.scene_map
        if bundle is None or spec is None:
            return {}
        keyframes = bundle.manifest.keyframes
        return {"scene map": spec.sha256, "keyframes": "" if keyframes is None else keyframes.sha256}

    return Step("map", "scene map", inputs, work, outputs, verb="mvloc map")


def calibration_step(job: Job) -> Step:
    """The covariances; then the bundle is complete, and takes its name."""
    places, options = job.places, job.options

    def inputs() -> Values:
        bundle = _bundle(places.bundle)
        spec = None if bundle is None else bundle.manifest.scene_map
        return {
            "network": _exported(places.bundle),
            "scene map": "" if spec is None else spec.sha256,
            "test fraction": options.test_fraction,
            **job.data(),
        }

    def work() -> None:
        from mvloc_ros.mapping.calibrate import calibrate, can_be_calibrated
        from mvloc_ros.mapping.summaries import calibration_lines

        if can_be_calibrated(read_bundle(places.bundle)):
            made = calibrate(places.bundle, job.folders, options.test_fraction)
            print("\n".join(calibration_lines(made)[:-1]))
        else:
            print("The covariances are not calibrated: the bundle has no poses of validation frames.")
        if not job.holds_out:
            publish(places.bundle, places.out)

    def outputs() -> Values:
        return _published(places.bundle, job.evaluated)

    return Step("calibration", "covariances", inputs, work, outputs, verb="mvloc calibrate")


def whole_map_step(job: Job) -> Step:
    """The map of all frames, those for tests too, when these have tested the one without them."""
    places, options = job.places, job.options

    def inputs() -> Values:
        bundle = _bundle(places.bundle)
        about = {"bundle": "" if bundle is None else bundle.digest, "test fraction": options.test_fraction}
        return {**about, **job.data()}

    def work() -> None:
        from mvloc_ros.mapping.map import add_map_of_all_frames
        from mvloc_ros.mapping.summaries import map_lines

        _copy(places.bundle, places.final)
        made = add_map_of_all_frames(places.final, job.folders, options.test_fraction)
        print("\n".join(map_lines(made)))
        publish(places.final, places.out)

    def outputs() -> Values:
        return _published(places.final, places.out)

    def idle() -> str:
        return "" if job.holds_out else "the recordings say which frames are for tests"

    return Step("whole map", "map of all frames", inputs, work, outputs, idle=idle, verb="mvloc map --all-frames")


def require_bundle_or_nothing(out: Path) -> None:
    """Refuse to replace what is no bundle. Raises LearnError."""
    if out.exists() and not (out / MANIFEST_FILE).is_file():
        raise LearnError(f"{out} exists and is no model bundle: choose another --out, or remove it first.")


def publish(made: Path, out: Path) -> None:
    """Copy a complete bundle to its name; an older one there is replaced, which is said before."""
    before = _bundle(out)
    if before is not None and before.digest != read_bundle(made).digest:
        print(f"{out} has another bundle ({before.digest_in_words}), which is replaced now")
    require_bundle_or_nothing(out)
    _copy(made, out)
    print(f"written to {out}; {read_bundle(out).digest_in_words}")


def _published(made: Path, out: Path) -> Values:
    """The digest of a bundle that was made and then copied to its name; nothing where the two differ."""
    mine, theirs = _bundle(made), _bundle(out)
    return {} if mine is None or theirs is None or mine.digest != theirs.digest else {"bundle": mine.digest}


def _copy(made: Path, out: Path) -> None:
    """The files of a bundle in another folder, whole or not at all."""
    try:
        out.parent.mkdir(exist_ok=True)
        with staging_folder(out) as staging:
            for path in sorted(made.iterdir()):
                if path.is_file() and not path.name.startswith("."):
                    shutil.copyfile(path, staging / path.name)
            with exclusive(out) if out.is_dir() else nullcontext():
                replace_folder(staging, out)
    except OSError as error:
        raise StorageError(out, error) from error


def _bundle(path: Path) -> Bundle | None:
    """The bundle there; None where there is none, or a damaged one."""
    try:
        return read_bundle(path)
    except BundleError:
        return None


def _exported(path: Path) -> str:
    """What identifies an exported network, whatever was added to its bundle since."""
    bundle = _bundle(path)
    return "" if bundle is None else digests.of_values(dict(bundle.manifest.files))


def _flat(values: dict[str, object]) -> list[tuple[str, dict[str, object]]]:
    """The sections of a configuration, and the values that are in none."""
    sections = [(name, kept) for name, kept in values.items() if isinstance(kept, dict)]
    return [*sections, ("training", {name: kept for name, kept in values.items() if not isinstance(kept, dict)})]
