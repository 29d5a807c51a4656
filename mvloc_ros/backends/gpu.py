# SPDX-License-Identifier: Apache-2.0
"""Is there a GPU that CUDA can use, and which? Asked of the driver itself, before any library that needs one.

Libraries answer this question unreliably: TensorRT without a CUDA driver makes a runtime that ends the
process with a segmentation fault when it is used, ONNX Runtime falls back silently, PyTorch takes
seconds to import. The driver's own library answers in a millisecond and needs no package.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from mvloc_ros.backends.backend import BackendError

_DRIVER = "libcuda.so.1"
_NAME_BYTES = 256
# CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 16, 75, 76
# CUresult of cuda.h, those that users meet.
_RESULTS = {
    3: "the driver is shutting down",
    34: "only a stub of the driver is installed",
    100: "the driver sees no GPU (a container needs --gpus, a laptop its GPU switched on)",
    101: "CUDA_VISIBLE_DEVICES hides the GPU",
    802: "the system is not yet initialised",
    803: "the driver's library and its kernel module are of different versions; reboot",
    804: "this GPU does not support the installed compatibility package",
    999: "an unknown error; see dmesg",
}


class NoGpuError(BackendError):
    """There is no GPU that CUDA can use here; the message says why."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU of this process.

    Attributes:
        name: as the driver gives it; every Jetson Orin, of 4 to 16 multiprocessors, has the same.
        compute_capability: such as "8.7".
        driver: the CUDA version of the driver.
        multiprocessors: that are switched on; on a Jetson a power mode decides that.
    """

    name: str
    compute_capability: str
    driver: str
    multiprocessors: int


def find_gpu(library: str = _DRIVER) -> Gpu:
    """The GPU that CUDA would use first.

    Args:
        library: the driver's library, by the name that the dynamic linker knows or as a path.

    Raises:
        NoGpuError: no driver, no GPU, or a driver that does not work.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise NoGpuError(f"There is no CUDA driver here ({error}).") from None
    _check(driver, "cuInit", ctypes.c_uint(0))
    count = _integer(driver, "cuDeviceGetCount")
    if count == 0:
        raise NoGpuError(f"CUDA does not work here: {_RESULTS[100]}.")
    device = _integer(driver, "cuDeviceGet", ctypes.c_int(0))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), ctypes.c_int(device))
    multiprocessors, major, minor = (
        _integer(driver, "cuDeviceGetAttribute", ctypes.c_int(attribute), ctypes.c_int(device))
        for attribute in (_MULTIPROCESSORS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    version = _integer(driver, "cuDriverGetVersion")
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    return Gpu(name.value.decode(errors="replace"), f"{major}.{minor}", cuda, multiprocessors)


def _integer(driver: ctypes.CDLL, function: str, *arguments: object) -> int:
    value = ctypes.c_int(0)
    _check(driver, function, ctypes.byref(value), *arguments)
    return value.value


def _check(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    result = getattr(driver, function)(*arguments)
    if result != 0:
        meaning = _RESULTS.get(result, f"error {result}")
        raise NoGpuError(f"CUDA does not work here: {meaning} ({function}).")
