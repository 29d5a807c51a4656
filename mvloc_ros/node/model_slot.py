# SPDX-License-Identifier: Apache-2.0
"""The model that runs, and its exchange under a running node.

A new model is loaded and warmed beside the old one and takes its place between two frames. Loading takes
seconds (minutes where an engine must be built) and cannot be interrupted, so it has a thread of its own and
neither the executor nor the worker waits for it, and a node that is to end does not either: a load that nobody
waits for any more releases what it loaded. A model that cannot be loaded leaves the old one running.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import nullcontext

from rclpy.task import Future

from mvloc_ros.errors import MvlocError
from mvloc_ros.inference.bundle import BundleError, read_bundle
from mvloc_ros.node.loaded_model import LoadedModel, load_model
from mvloc_ros.node.memory import give_back
from mvloc_ros.node.parameters import NodeParameters
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.node.tracking import RobotTracking

LOADER = "mvloc_model"
"""Name of the threads that load models."""
_POLL_S = 0.1


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
        self._tracker: RobotTracking | None = None
        self._thread: threading.Thread | None = None
        self._outcome: Future | None = None
        self._loading = ""
        self._is_reported = True
        self._is_closed = False

    def attach(self, pipeline: Pipeline, tracker: RobotTracking) -> None:
        """Name what uses the model from now on. Both were made with `current`, and no exchange came between."""
        with self._lock:
            self._pipeline, self._tracker = pipeline, tracker
            pipeline.localizer = self.current.localizer
            tracker.use_map(self.current.map_frame)

    def detach(self) -> None:
        """Nothing uses the model until the next `attach`."""
        with self._lock:
            self._pipeline = self._tracker = None

    def close(self, is_in_use: bool = False) -> None:
        """Release what is loaded, unless a frame that hangs uses it; what is still being loaded releases itself."""
        with self._lock:
            self._is_closed = True
            if not is_in_use:
                self.current.close()

    def begin(self, path: str) -> str:
        """Start to load the model at another path; why not, in words."""
        if self._outcome is not None and not self._outcome.done():
            if path == self._loading:
                return ""  # asked again, as by a client whose first answer was lost
            return "A model is being loaded; ~/load_model answers when that is done."
        if path == self.path:
            return ""
        try:
            read_bundle(path, verify=False)
        except BundleError as error:
            return str(error)
        self._start(path)
        return ""

    async def outcome(self) -> tuple[bool, str]:
        """Whether the last exchange succeeded, once it has ended; without one, the model is loaded again."""
        if self._outcome is None or self._is_reported:
            self._start(self.path)
        assert self._outcome is not None
        failure = str(await self._outcome)
        self._is_reported = True
        return not failure, failure or self.current.summary

    def _start(self, path: str) -> None:
        if self._thread is not None:
            self._thread.join()  # its outcome was set, so it is at its end
        self._is_reported, self._loading = False, path
        outcome = self._outcome = Future()
        self._thread = threading.Thread(target=self._run, args=(path, outcome), name=LOADER)
        self._thread.start()

    def _run(self, path: str, outcome: Future) -> None:
        try:
            failure = ""
            self._exchange(path)
        except MvlocError as error:
            failure = str(error)
        except Exception:  # a defect must not end in a thread that nobody hears
            failure = f"Loading the model failed unexpectedly:\n{traceback.format_exc()}"
        outcome.set_result(failure)  # first: the parameter goes back to the model that runs, and until then it may not
        if not self._is_closed:
            self._on_loaded(failure)

    def _exchange(self, path: str) -> None:
        model = load_model(self._values, path, self._report)
        with self._lock:
            try:
                self._require_exchangeable(model)
                with nullcontext() if self._pipeline is None else self._pipeline.between_frames():
                    old, self.current, self.path = self.current, model, path
                    if self._pipeline is not None and self._tracker is not None:
                        self._pipeline.localizer = model.localizer
                        self._tracker.use_map(model.map_frame)
            except MvlocError:  # raised before the exchange
                model.close()
                raise
        old.close()
        del old
        give_back()

    def _require_exchangeable(self, model: LoadedModel) -> None:
        if self._is_closed:
            raise MvlocError("The node was cleaned up while the model was being loaded.")
        if model.pose_of != self.current.pose_of:
            raise MvlocError(
                f"{model.bundle.path} gives the pose of the {model.pose_of} camera, the running model that of the "
                f"{self.current.pose_of} camera; deactivate, clean up, set it, configure again."
            )


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
