# SPDX-License-Identifier: Apache-2.0
"""The model that runs, and its exchange under a running node.

A new model is loaded and warmed beside the old one and takes its place between two frames. Loading takes
seconds (minutes where an engine must be built) and cannot be interrupted, so it has a thread of its own and
neither the executor nor the worker waits for it, and a node that is to end does not either: a load that nobody
waits for any more releases what it loaded. A model that cannot be loaded leaves the old one running.

Files are read in that thread too, since a network file system may answer late or never. The executor waits for the
verdict on the manifest, which mostly is there at once, for a second at most.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import nullcontext

from rclpy.task import Future

from mvloc_ros.errors import MvlocError
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.named_maps import model_path
from mvloc_ros.node.loaded_model import LoadedModel, load_model
from mvloc_ros.node.memory import give_back
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.parameters.table import NodeParameters

LOADER = "mvloc_model"
"""Name of the threads that load models."""
_POLL_S = 0.1
_VERDICT_S = 1.0
"""How long the executor may wait for the manifest of a model that a parameter names."""


class _Load:
    """One load: its outcome, and before that a verdict on the manifest for who waits for it."""

    def __init__(self, path: str, is_awaited: bool) -> None:
        self.path = path
        self.outcome: Future = Future()
        self._lock = threading.Lock()
        self._is_checked = threading.Event()
        self._is_awaited = is_awaited
        self._refusal = ""

    def accept(self) -> None:
        """The manifest can be used; whatever fails from now on is the outcome."""
        with self._lock:
            self._is_awaited = False
        self._is_checked.set()

    def refuse(self, reason: str) -> bool:
        """Give a reason against the manifest to who waits for it; False if nobody does (any more)."""
        with self._lock:
            if not self._is_awaited:
                return False
            self._refusal = reason
        self._is_checked.set()
        return True

    def refusal(self, seconds: float) -> str:
        """Why the manifest cannot be used; empty if it can, or if nothing is known in that time."""
        self._is_checked.wait(seconds)
        with self._lock:
            self._is_awaited = False
            return self._refusal


class ModelSlot:
    """Holds one model; at most one more is being loaded. Methods are called in the executor's thread.

    Attributes:
        current: the model that runs; read by any thread.
    """

    def __init__(
        self,
        values: NodeParameters,
        on_loaded: Callable[[str], None],
        report: Callable[[str], object],
        is_ending: Callable[[], bool],
    ) -> None:
        """Load the model of the parameters, and wait for it.

        Args:
            values: the parameters.
            on_loaded: told in the loader's thread how an exchange ended: why it failed, or an empty text.
            report: told in sentences, in the thread that loads, how loading goes.
            is_ending: whether the process is to end, so that waiting for a model is to no purpose.

        Raises:
            BundleError, BackendError: the model cannot be used.
            MvlocError: the process is to end.
        """
        self._values = values
        self._on_loaded = on_loaded
        self._report = report
        self.current = _load_and_wait(values, report, is_ending)
        self.path = values.model
        self._lock = threading.Lock()  # of the two that an exchange concerns
        self._pipeline: Pipeline | None = None
        self._thread: threading.Thread | None = None
        self._load: _Load | None = None
        self._is_reported = True
        self._is_closed = False

    def attach(self, pipeline: Pipeline) -> None:
        """Name what uses the model from now on, and give it the one that runs now."""
        with self._lock:
            self._pipeline = pipeline
            self._use(pipeline)

    def detach(self) -> None:
        """Nothing uses the model until the next `attach`."""
        with self._lock:
            self._pipeline = None

    def close(self, is_in_use: bool = False) -> None:
        """Release what is loaded, unless a frame that hangs uses it; what is still being loaded releases itself."""
        with self._lock:
            self._is_closed = True
            if not is_in_use:
                self.current.close()

    def begin(self, path: str) -> str:
        """Start to load the model at another path, or of the map of that name; why not, in words.

        What shows later than in a second is the outcome's: the manifest may lie where reading takes long.
        """
        before = self._load
        if before is not None and not before.outcome.done():
            if path == before.path:
                return ""  # asked again, as by a client whose first answer was lost
            return "A model is being loaded; ~/load_model answers when that is done."
        if path == self.path:
            return ""
        load = self._start(path, is_awaited=True)
        if refusal := load.refusal(_VERDICT_S):
            self._load = before
            return refusal
        self._is_reported = False
        return ""

    async def outcome(self) -> tuple[bool, str]:
        """Whether the last exchange succeeded, once it has ended; without one, the model is loaded again."""
        if self._load is None or self._is_reported:
            self._start(self.path, is_awaited=False)
            self._is_reported = False
        assert self._load is not None
        failure = str(await self._load.outcome)
        self._is_reported = True
        return not failure, failure or self.current.summary

    def _start(self, path: str, is_awaited: bool) -> _Load:
        if self._thread is not None:
            self._thread.join()  # it was refused or its outcome was set, so it is at its end
        load = self._load = _Load(path, is_awaited)
        self._thread = threading.Thread(target=self._run, args=(load,), name=LOADER)
        self._thread.start()
        return load

    def _run(self, load: _Load) -> None:
        try:
            failure = ""
            read_bundle(model_path(self._values.models_folder, load.path), verify=False)
            load.accept()
            self._exchange(load.path)
        except MvlocError as error:
            failure = str(error)
        except Exception:  # a defect must not end in a thread that nobody hears
            failure = f"Loading the model failed unexpectedly:\n{traceback.format_exc()}"
        if failure and load.refuse(failure):
            return
        # First: the parameter goes back to the model that runs, and until then it may not.
        load.outcome.set_result(failure)
        if not self._is_closed:
            self._on_loaded(failure)

    def _exchange(self, path: str) -> None:
        model = load_model(self._values, path, self._report)
        with self._lock:
            try:
                self._require_exchangeable(model)
                with nullcontext() if self._pipeline is None else self._pipeline.between_frames():
                    old, self.current, self.path = self.current, model, path
                    if self._pipeline is not None:
                        self._use(self._pipeline)
            except MvlocError:  # raised before the exchange
                model.close()
                raise
        old.close()
        del old
        give_back()

    def _use(self, pipeline: Pipeline) -> None:
        pipeline.server.localizer = self.current.localizer
        pipeline.server.tracking.use_map(self.current.map_frame, self.current.bundle.map_identity)

    def _require_exchangeable(self, model: LoadedModel) -> None:
        if self._is_closed:
            raise MvlocError("The node was cleaned up while the model was being loaded.")
        if model.pose_of != self.current.pose_of:
            raise MvlocError(
                f"{model.bundle.path} gives the pose of the {model.pose_of} camera, the running model that of the "
                f"{self.current.pose_of} camera; deactivate, clean up, set it, configure again."
            )
        if model.sensors != self.current.sensors:
            raise MvlocError(
                f"{model.bundle.path} takes other sensors ({_in_words(model)}) than the running model "
                f"({_in_words(self.current)}); deactivate, clean up, set it, configure again."
            )


def _in_words(model: LoadedModel) -> str:
    """The sensors that a model takes."""
    return ", ".join(("color", "depth", *(name for name, _ in model.sensors)))


def _load_and_wait(
    values: NodeParameters, report: Callable[[str], object], is_ending: Callable[[], bool]
) -> LoadedModel:
    """Load the parameters' model in another thread: the main thread alone takes notice of signals."""
    loaded: list[LoadedModel | BaseException] = []
    is_abandoned, lock = False, threading.Lock()

    def load() -> None:
        try:
            result: LoadedModel | BaseException = load_model(values, values.model, report)
        except BaseException as error:
            result = error
        with lock:
            loaded.append(result)
            if is_abandoned and isinstance(result, LoadedModel):
                result.close()

    thread = threading.Thread(target=load, name=LOADER)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_S)
        with lock:
            if not loaded and is_ending():
                is_abandoned = True
                raise MvlocError("The node was told to end while its model was being loaded.")
    result = loaded.pop()
    if isinstance(result, BaseException):
        raise result
    give_back()
    return result
