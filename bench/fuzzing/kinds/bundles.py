# SPDX-License-Identifier: Apache-2.0
"""Model bundles: the manifest's values and text, the files that it lists, and their digests.

Most inputs are sealed again after they were changed, as someone would do who wants them to be read: otherwise each
would be refused for its digest, and no reader behind it would be tried.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bench.fuzzing import values
from bench.fuzzing.bundle_feed import feed_bundle
from bench.fuzzing.kind import Input
from bench.fuzzing.mutators import copy_links, damaged, damaged_text, odd_file, replace_bytes
from bench.fuzzing.sense import breaches
from bench.fuzzing.tiny_bundle import is_sealed, read_manifest, seal, unsealed, write_tiny_bundle
from mvloc_ros.model.bundle import MANIFEST_FILE

_INTEGERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))


class Bundles:
    """See the module."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-bundle-")
        home = Path(self._home.name)
        self.valid = write_tiny_bundle(home).path
        self.manifest = read_manifest(self.valid)
        self.breaches = list(breaches(self.manifest))
        self.is_sealed = is_sealed(self.valid, home / "changed")

    def plain(self, folder: Path) -> list[Input]:
        """The bundle as it is written, and without the digest of the whole."""
        copy_links(self.valid, folder / "bundle")
        copy_links(self.valid, folder / "older")
        replace_bytes(folder / "older" / MANIFEST_FILE, json.dumps(unsealed(self.manifest)).encode())
        return [Input(name, partial(feed_bundle, folder / name)) for name in ("bundle", "older")]

    def make(self, random: Random, folder: Path) -> Input:
        """A bundle with one thing changed, or a few."""
        bundle = folder / "bundle"
        copy_links(self.valid, bundle)
        change = random.choices(
            (self._senseless, self._altered, self._values, self._text, self._map, self._listed, self._odd),
            weights=(30, 10, 20, 5, 12, 12, 11),
        )[0]
        what, must_refuse = change(random, bundle)
        return Input(what, partial(feed_bundle, bundle), must_refuse)

    def _write(self, bundle: Path, manifest: Any) -> None:
        replace_bytes(bundle / MANIFEST_FILE, json.dumps(manifest).encode())

    def _senseless(self, random: Random, bundle: Path) -> tuple[str, str]:
        """A rule of `sense` broken, the digest of the whole left out: the value alone must be refused."""
        breach = random.choice(self.breaches)
        self._write(bundle, unsealed(values.put(self.manifest, breach.place, breach.value)))
        name = values.named(breach.place)
        return f"{name} is {breach.value!r}", f"{_general(breach.place)} must be {breach.must_be}"

    def _altered(self, random: Random, bundle: Path) -> tuple[str, str]:
        """One value is another one, which may make sense; the digest of the whole must tell."""
        place = random.choice(list(values.leaves(self.manifest)))
        old = values.get(self.manifest, place)
        self._write(bundle, values.put(self.manifest, place, values.altered(old, random)))
        what = f"{values.named(place)} was altered"
        return (
            what,
            "any value of a bundle with a digest of the whole must be refused if altered" if self.is_sealed else "",
        )

    def _values(self, random: Random, bundle: Path) -> tuple[str, str]:
        text, what = values.mutated(unsealed(self.manifest), random)
        replace_bytes(bundle / MANIFEST_FILE, text.encode("utf-8", "surrogatepass"))
        return what, ""

    def _text(self, random: Random, bundle: Path) -> tuple[str, str]:
        data, what = damaged(json.dumps(unsealed(self.manifest), indent=1).encode(), random)
        replace_bytes(bundle / MANIFEST_FILE, data)
        return f"{MANIFEST_FILE}: {what}", ""

    def _map(self, random: Random, bundle: Path) -> tuple[str, str]:
        path = bundle / self.manifest["scene_map"]["file"]
        data, what = damaged(path.read_bytes(), random) if random.random() < 0.3 else _damaged_arrays(path, random)
        replace_bytes(path, data)
        self._seal(bundle)
        return f"{path.name}: {what}", ""

    def _listed(self, random: Random, bundle: Path) -> tuple[str, str]:
        path = bundle / random.choice(("training_poses.tum", "validation.csv"))
        data, what = damaged_text(path.read_text(), random)
        replace_bytes(path, data)
        self._seal(bundle)
        return f"{path.name}: {what}", ""

    def _odd(self, random: Random, bundle: Path) -> tuple[str, str]:
        path = bundle / random.choice([MANIFEST_FILE, *self.manifest["files"], self.manifest["scene_map"]["file"]])
        what = odd_file(path, random)
        if path.name != MANIFEST_FILE and random.random() < 0.5:
            self._seal(bundle)
        return f"{path.name} is {what}", ""

    def _seal(self, bundle: Path) -> None:
        sealed = seal(bundle)
        if isinstance(sealed, dict):
            self._write(bundle, unsealed(sealed))


def create() -> Bundles:
    """The kind."""
    return Bundles()


def _general(place: values.Path) -> str:
    """A place without its numbers, so that findings of one field are one."""
    return values.named(tuple("*" if isinstance(name, int) else name for name in place))


def _damaged_arrays(path: Path, random: Random) -> tuple[bytes, str]:
    """A map with values, shapes, types or headers changed, in an archive that is right."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = random.choice(list(arrays))
    old = arrays[name]
    change = random.randrange(7)
    if change == 0:
        del arrays[name]
        what = f"without {name}"
    elif change == 1 and old.size:
        flat = old.reshape(-1).copy()
        extremes = (np.nan, np.inf, -np.inf, 1e30) if old.dtype.kind == "f" else _INTEGERS
        with np.errstate(all="ignore"):
            flat[random.randrange(flat.size)] = np.array([random.choice(extremes)]).astype(old.dtype)[0]
        arrays[name] = flat.reshape(old.shape)
        what = f"a value of {name} at its edge"
    elif change == 2:
        arrays[name] = old[: len(old) // 2]
        what = f"{name} cut"
    elif change == 3:
        arrays[name] = old.astype(random.choice((np.float64, np.int8, np.uint64, np.complex64, np.bool_, ">f4")))
        what = f"{name} of another type"
    elif change == 4:
        arrays[name] = old.reshape(random.choice(((-1,), (1, -1), (-1, 1, 1))))
        what = f"{name} of another shape"
    elif change == 5:
        arrays[name] = np.zeros_like(old)
        what = f"{name} all zeros"
    else:
        return _damaged_member(arrays, name, random)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue(), what


def _damaged_member(arrays: dict[str, Any], name: str, random: Random) -> tuple[bytes, str]:
    """One array's file with another header, as one that claims terabytes, is pickled, or unpacks to gigabytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            data = content.getvalue()
            if other == name:
                header = random.choice((
                    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
                    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
                    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
                    "(" * 300 + ")" * 300, "{" * 9000, "",
                    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }",
                    "bomb",
                ))  # fmt: skip
                if header == "bomb":
                    _write_bomb(archive, f"{other}.npy")
                    continue
                text = header.encode() + b"\n"
                data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data[128:]
            archive.writestr(f"{other}.npy", data)
    return stream.getvalue(), f"{name} with a header of its own: {header[:60]!r}"


def _write_bomb(archive: zipfile.ZipFile, name: str) -> None:
    """Two gigabytes of zeros, packed."""
    count = 1 << 28
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count},), }}\n".encode()
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w") as member:
        member.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
        for _ in range(4):  # the header claims more
            member.write(bytes(1 << 24))
