# SPDX-License-Identifier: Apache-2.0
"""Files of scene maps from outside: refused before memory is spent on what they claim, or read."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mutations import damaged_bytes

from mvloc_ros.localization.bundle_map import refiner_of
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scene_map import MapPoints, SceneMap, SceneMapError, read_scene_map
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map
from mvloc_ros.model.map_spec import AcceptanceSpec, SceneMapSpec

COUNT = 200


def make_map() -> SceneMap:
    rng = np.random.default_rng(1)
    normals = rng.standard_normal((COUNT, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = 6.0 * (rng.random((COUNT, 3)) - 0.5)
    content = MapPoints(points, normals, rng.integers(0, 256, COUNT).astype(np.uint8))
    return SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, 0.02)


CONTENT = make_map().to_bytes()


def members() -> dict[str, bytes]:
    """The .npy files in the archive, by name."""
    with zipfile.ZipFile(io.BytesIO(CONTENT)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(files: dict[str, bytes] | list[tuple[str, bytes]], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return stream.getvalue()


def header(dtype: str, shape: str, version: bytes = b"\x01\x00") -> bytes:
    """The header of an .npy file with any text as its shape."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text


def with_member(name: str, content: bytes) -> bytes:
    return packed(members() | {name: content})


def with_array(name: str, change: Callable[[np.ndarray], object]) -> bytes:
    """The map with the values of an array changed in place."""
    with np.load(io.BytesIO(CONTENT)) as archive:
        arrays = {key: archive[key] for key in archive.files}
    changed = change(arrays[name])
    arrays[name] = changed if isinstance(changed, np.ndarray) else arrays[name]
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def setting(index: object, value: object) -> Callable[[np.ndarray], object]:
    return lambda array: array.__setitem__(index, value)


def encrypted() -> bytes:
    """The flag of encryption in the directory and in the first member's own header."""
    data = bytearray(CONTENT)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def many_members() -> bytes:
    return packed({f"{n}.npy": b"" for n in range(1000)})


def with_wrong_checksum() -> bytes:
    """The values of an array replaced by others of the same size: the archive's checksum shows it."""
    files = members()
    stored = packed(files, zipfile.ZIP_STORED)
    values = files["brightness.npy"]
    return stored.replace(values, values[:-1] + bytes([values[-1] ^ 1]))


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


HOSTILE = {
    "terabytes of points": (lambda: with_member("offset.npy", header("<u2", f"({2**40 - 1}, 3)")), "1099511627775"),
    "more than the limit": (lambda: with_member("offset.npy", header("<u2", f"({2**26 + 1}, 3)")), "at most 67108864"),
    "more than is there": (lambda: with_member("offset.npy", header("<u2", f"({2**26}, 3)")), "has another size"),
    "less than is there": (lambda: with_member("offset.npy", header("<u2", "(2, 3)") + bytes(100)), "has another size"),
    "a negative shape": (lambda: with_member("offset.npy", header("<u2", "(-1, -3)")), "has the shape -1x-3"),
    "a shape beyond 64 bits": (lambda: with_member("offset.npy", header("<u2", f"({10**400}, 3)")), "the shape 1000"),
    "a shape of truth values": (lambda: with_member("offset.npy", header("<u2", "(True, True)")), "has the shape"),
    "a shape that is no tuple": (lambda: with_member("offset.npy", header("<u2", "7")), "no scene map"),
    "a deeply nested header": (lambda: with_member("offset.npy", header("<u2", "(" * 3000)), "no scene map"),
    "a long header": (lambda: with_member("offset.npy", header("<u2", "(200, 3)" + " " * 60_000)), "no scene map"),
    "a header of gigabytes": (lambda: with_member("offset.npy", header("<u2", "(2, 3)", b"\x02\x00")), "version"),
    "values of a gigabyte": (lambda: with_member("offset.npy", header("|V1000000000", "(200, 3)")), "offset is "),
    "Python objects": (lambda: with_member("offset.npy", header("|O", "(200, 3)") + b"cos\nsystem\n"), "object of"),
    "no dtype": (lambda: with_member("offset.npy", header("nothing", "(200, 3)")), "no scene map"),
    "big-endian values": (lambda: with_array("tiles", lambda a: a.astype(">i4")), "tiles is >i4"),
    "no .npy": (lambda: with_member("offset.npy", b"rubbish"), "no scene map"),
    "an empty array's file": (lambda: with_member("offset.npy", b""), "no scene map"),
    "a zip bomb": (lambda: with_member("offset.npy", header("<u2", "(200, 3)") + bytes(1 << 27)), "another size than"),
    "a plain .npy": (lambda: npy(np.zeros(3)), "ends with no directory"),
    "an empty file": (lambda: b"", "ends with no directory"),
    "an archive of nothing": (lambda: packed({}), "it has no array tiles"),
    "a comment behind": (lambda: CONTENT[:-2] + b"\x01\x00x", "ends with no directory"),
    "many members": (many_members, "its directory has 1000 members"),
    "a member twice": (lambda: packed([*members().items(), ("tiles.npy", b"")]), "'tiles.npy' is there twice"),
    "a member that is no array": (lambda: with_member("run.sh", b"rm"), "'run.sh' is there twice or is no array"),
    "a path": (lambda: with_member("../../x.npy", b""), "unknown array '../../x'"),
    "a further array": (lambda: with_member("more.npy", npy(np.zeros(2))), "unknown array 'more'"),
    "a zero byte in a name": (lambda: CONTENT.replace(b"sizes.npy", b"sizes.np\0"), "is no array"),
    "encryption": (encrypted, "is encrypted"),
    "another compression": (lambda: packed(members(), zipfile.ZIP_BZIP2), "compressed in another way"),
    "a wrong checksum": (with_wrong_checksum, "Bad CRC-32"),
    "steps of micrometres": (lambda: with_array("sizes", setting(1, 1e-6)), "resolution of 1e-06 m are impossible"),
    "an infinite tile": (lambda: with_array("sizes", setting(0, np.inf)), "tiles of inf m"),
    "a tile of a light-year": (lambda: with_array("sizes", setting(0, 9.5e15)), r"tiles of 9.5e\+15 m"),
    "tiles beyond the earth": (lambda: with_array("tiles", setting((0, 0), 2**31 - 1)), r"points lie beyond 1e\+08 m"),
    "tiles at the least integer": (lambda: with_array("tiles", setting((0, 0), -(2**31))), "points lie beyond"),
    "a tile twice": (lambda: with_array("tiles", lambda a: a.__setitem__(1, a[0])), "one of its tiles is there twice"),
    "a beginning beyond the points": (lambda: with_array("first", setting(1, 10**9)), "do not divide"),
    "differences that overflow": (lambda: with_array("first", setting(1, -(2**63))), "do not divide"),
    "a negative beginning": (lambda: with_array("first", setting(0, -1)), "do not divide"),
    "an end before the points'": (lambda: with_array("first", setting(-1, COUNT - 1)), "do not divide"),
    "NaN in the correction": (lambda: with_array("correction", setting((3, 4), np.nan)), "correction of the depth"),
    "an infinite correction": (lambda: with_array("correction", setting((0, 0), -np.inf)), "correction of the depth"),
    "a huge correction": (lambda: with_array("correction", setting((0, 0), 0.6)), "beyond 0.5 1/m"),
    "normals of no length": (lambda: with_array("normal", setting(slice(0, 2), 0)), "normals have not the length 1"),
    "a long normal": (lambda: with_array("normal", setting(0, -128)), "normals have not the length 1"),
    "a version beyond integers": (lambda: with_array("version", lambda a: a.astype(np.float64)), "version is float64"),
    "no version in its array": (lambda: with_array("version", lambda a: a[:0]), "version 0"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_without_spending_memory_on_it(name: str):
    make, words = HOSTILE[name]
    content = make()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words):
            SceneMap.from_bytes(content)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + (4 << 20)
    finally:
        tracemalloc.stop()


def test_members_that_are_stored_or_of_another_order_of_axes_are_read():
    whole = make_map()
    fortran = with_array("offset", np.asfortranarray)
    for content in (packed(members(), zipfile.ZIP_STORED), fortran):
        np.testing.assert_array_equal(SceneMap.from_bytes(content).offset, whole.offset)


def in_range(found: SceneMap) -> None:
    content = found.content(range(len(found.tiles)))
    assert len(content.points) == len(found)
    assert np.isfinite(content.points).all()
    assert np.abs(content.points).max() < 2e8
    assert np.isfinite(content.normals).all()
    assert np.isfinite(found.correction).all()


def test_damaged_bytes_are_refused_or_are_a_map():
    """Of the file, whose checksums find most, and of its arrays, where only sense is left."""
    refused, files, names = 0, members(), sorted(members())
    for seed in range(400):
        if seed % 2:
            content = damaged_bytes(CONTENT, seed)
        else:
            name = names[seed // 2 % len(names)]
            content = packed(files | {name: damaged_bytes(files[name], seed)}, zipfile.ZIP_STORED)
        try:
            found = SceneMap.from_bytes(content)
        except ValueError:
            refused += 1
            continue
        in_range(found)
    assert 200 < refused < 400


def bundle_with(tiny_bundle: Path, folder: Path, content: bytes = CONTENT, **changes: object) -> Bundle:
    spec = SceneMapSpec("", "", 0.02, 4.0, COUNT, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
    plain = read_bundle(tiny_bundle)
    folder.mkdir()
    for name in (*plain.manifest.files, "manifest.json"):
        (folder / name).write_bytes((plain.path / name).read_bytes())
    return add_scene_map(read_bundle(folder), content, replace(spec, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"points": COUNT - 1}, "it has 200 points .* the manifest says 199 points"),
        ({"resolution_m": 0.05}, "at 0.02 m .* the manifest says 200 points at 0.05 m"),
        ({"tile_m": 2.0}, "in tiles of 4 m, the manifest says .* in tiles of 2 m"),
    ],
)
def test_the_map_must_be_what_the_manifest_says(tiny_bundle: Path, tmp_path: Path, changes, words: str):
    assert len(read_scene_map(bundle_with(tiny_bundle, tmp_path / "right"))) == COUNT
    with pytest.raises(SceneMapError, match=rf"{words}.*run `mvloc map` again"):
        read_scene_map(bundle_with(tiny_bundle, tmp_path / "wrong", **changes))


def test_the_map_is_a_regular_file_of_the_folder(tiny_bundle: Path, tmp_path: Path):
    bundle = bundle_with(tiny_bundle, tmp_path / "bundle")
    path = bundle.path / bundle.manifest.scene_map.file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SceneMapError, match=r"points outside .* `cp -rL`.* or run `mvloc map`"):
        read_scene_map(bundle)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SceneMapError, match="named pipe"):
        read_scene_map(bundle)


def test_poses_are_accepted_by_what_is_computed_alone(tiny_bundle: Path, tmp_path: Path):
    pytest.importorskip("small_gicp")
    odour = AcceptanceSpec(0.0, {"odour": 1.0}, {"odour": 0.5}, 0.5, 0.005, {})
    bundle = bundle_with(tiny_bundle, tmp_path / "bundle", acceptance=odour)
    refiner, problem = refiner_of(bundle, RefinementOptions(mode="auto"))
    assert refiner is None
    assert "accepts poses by 'odour', which this version" in problem
