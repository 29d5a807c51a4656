# SPDX-License-Identifier: Apache-2.0
"""Asking the driver, against drivers that are compiled here and say what a test wants them to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mvloc_ros.backends.gpu import Gpu, NoGpuError, find_gpu

DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return %(init)d; }
int cuDeviceGetCount(int *count) { *count = %(count)d; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 5; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Orin (nvgpu)", length); return device != 5; }
int cuDeviceGetAttribute(int *value, int key, int device) {
    *value = key == 16 ? 16 : key == 75 ? 8 : 7;
    return device != 5;
}
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
"""


def driver(folder: Path, init: int = 0, count: int = 1) -> str:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source, library = folder / "cuda.c", folder / f"libcuda{init}{count}.so"
    source.write_text(DRIVER % {"init": init, "count": count})
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)


def test_the_gpu_is_described(tmp_path: Path):
    assert find_gpu(driver(tmp_path)) == Gpu("Orin (nvgpu)", "8.7", "12.6", 16)


def test_no_driver_is_said():
    with pytest.raises(NoGpuError, match="no CUDA driver here"):
        find_gpu("libcuda-that-nobody-has.so.1")


@pytest.mark.parametrize(
    ("init", "count", "words"), [(100, 1, "sees no GPU"), (0, 0, "sees no GPU"), (803, 1, "reboot")]
)
def test_a_driver_without_gpu_is_said(tmp_path: Path, init: int, count: int, words: str):
    with pytest.raises(NoGpuError, match=words):
        find_gpu(driver(tmp_path, init, count))


def test_an_unknown_error_has_its_number(tmp_path: Path):
    with pytest.raises(NoGpuError, match=r"error 777 \(cuInit\)"):
        find_gpu(driver(tmp_path, 777))
