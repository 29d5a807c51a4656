# SPDX-License-Identifier: Apache-2.0
"""What is said of poses that were found: the content of posing.json, and a few lines of it for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.posing import quality
from mvloc_ros.posing.base_odometry import Mount
from mvloc_ros.posing.held_out import held_out_content, held_out_lines
from mvloc_ros.posing.imu_motion import ImuMotion
from mvloc_ros.posing.loop_closures import Closure
from mvloc_ros.posing.posed_folder import PosedFrame
from mvloc_ros.posing.tracks import Missed
from mvloc_ros.posing.upright import Upright
from mvloc_ros.posing.whole_map import WholeMap
from mvloc_ros.recordings import FrameRecord
from mvloc_ros.recordings.held_out_blocks import Block
from mvloc_ros.recordings.imu.samples import Imu

VERSION = 1
"""Of posing.json."""
# Spans of left-out frames with one reason that the terminal shows one by one.
_MOST_SPANS = 5


@dataclass(frozen=True, eq=False)
class Recording:
    """One sequence of one folder, under its new name, with the robot's odometry and the IMU if there are any."""

    name: str
    folder: Path
    frames: tuple[FrameRecord, ...]
    odometry: Trajectory | None = None
    imu: Imu | None = None


def content_of(
    recordings: Sequence[Recording],
    posed: Mapping[str, Sequence[PosedFrame]],
    missed: Sequence[Missed],
    whole: WholeMap,
    frame: Upright,
    mount: Mount | None,
    blocks: Sequence[Block],
    seconds: float,
    imus: Mapping[str, ImuMotion] | None = None,
) -> dict[str, Any]:
    """The content of posing.json; `imus` are those that were used, by the names of the recordings."""
    imus = imus or {}
    first_ns = {recording.name: recording.frames[0].stamp_ns for recording in recordings}
    spans = quality.left_out(missed, first_ns)
    sigma = quality.sigmas(whole)
    apart = quality.consistency(whole)
    total = sum(len(recording.frames) for recording in recordings)
    return {
        "version": VERSION,
        "sequences": [
            {
                "name": recording.name,
                "has_odometry": recording.odometry is not None,
                "imu": _imu(recording, imus.get(recording.name)),
                "recording": str(recording.folder),
                "frames": len(recording.frames),
                "posed": len(posed.get(recording.name, [])),
                "path_m": _path_m(posed.get(recording.name, [])),
                "left_out": [
                    {key: value for key, value in asdict(span).items() if key not in ("sequence", "sigma_m")}
                    for span in spans
                    if span.sequence == recording.name
                ],
            }
            for recording in recordings
        ],
        "held_out": held_out_content(blocks, posed),
        "parts": whole.parts,
        "loop_closures": [_closure(whole, closure) for closure in whole.closures if closure.by_appearance],
        "near_pairs": sum(not closure.by_appearance for closure in whole.closures),
        "rejected_loop_closures": whole.rejected,
        "consistency": None if apart is None else {"median_m": apart[0], "p90_m": apart[1]},
        "low_confidence": [
            {key: value for key, value in asdict(span).items() if key != "frames"}
            for span in quality.low_confidence(whole, first_ns)
        ],
        "sigma_m": {
            "median": float(np.median(sigma)),
            "p90": float(np.quantile(sigma, 0.9)),
            "max": float(np.max(sigma)),
        },
        "up": frame.by,
        "up_remarks": [remark for remark in (whole.remark, frame.remark) if remark],
        "floor_z_m": frame.floor_z_m,
        "origin": list(frame.origin),
        "camera_on_robot": None if mount is None else _mount(mount),
        "camera_height_m": whole.camera_height_m,
        "seconds": seconds,
        "frames_per_s": total / max(seconds, 1e-9),
    }


def _closure(whole: WholeMap, closure: Closure) -> dict[str, Any]:
    number = {node: index for index, node in enumerate(whole.members)}
    a, b = (whole.nodes[node].view.record for node in (closure.a, closure.b))
    poses = {closure.a: whole.poses[number[closure.a]], closure.b: whole.poses[number[closure.b]]}
    T = se3.inverse(poses[closure.a]) @ poses[closure.b]
    return {
        "from": [a.sequence, a.index],
        "to": [b.sequence, b.index],
        "residual_m": float(se3.translation_error(T, closure.T_a_b)),
        "residual_deg": float(np.rad2deg(se3.rotation_error(T, closure.T_a_b))),
        "matches": closure.aligned.matches,
        "inlier_ratio": closure.aligned.inlier_ratio,
    }


def _mount(mount: Mount) -> dict[str, float]:
    """Where the camera is on the robot, as odometry tells it, which leaves its height open."""
    ahead = mount.T_base_camera[:3, 2]
    return {
        "x_m": float(mount.T_base_camera[0, 3]),
        "y_m": float(mount.T_base_camera[1, 3]),
        "heading_deg": float(np.rad2deg(np.arctan2(ahead[1], ahead[0]))),
        "pitch_down_deg": float(np.rad2deg(-np.arcsin(np.clip(ahead[2], -1.0, 1.0)))),
        "motions_differ_m": mount.metres,
        "motions_differ_deg": float(np.rad2deg(mount.radians)),
    }


def _imu(recording: Recording, motion: ImuMotion | None) -> dict[str, Any] | None:
    """What was made of a recording's IMU; None where it has none."""
    if recording.imu is None:
        return None
    mount = None if motion is None else motion.mount
    return {
        "tells_rotation": mount is not None,
        "why_not": "not asked for" if motion is None else motion.why_not,
        "R_camera_imu": None if motion is None or motion.R_camera_imu is None else motion.R_camera_imu.tolist(),
        "is_stated": recording.imu.R_camera_imu is not None and (mount is None or mount.is_stated),
        "is_determined": mount is None or mount.is_determined,
        "bias_rad_s": None if mount is None else mount.bias.tolist(),
        "rotations_differ_deg": None if mount is None else float(np.rad2deg(mount.radians)),
    }


def _path_m(frames: Sequence[PosedFrame]) -> float:
    positions = np.array([frame.T_map_camera[:3, 3] for frame in frames]).reshape(-1, 3)
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())


def summary_text(content: dict[str, Any]) -> str:
    """posing.json in a few lines for the terminal."""
    frames = sum(sequence["frames"] for sequence in content["sequences"])
    posed = sum(sequence["posed"] for sequence in content["sequences"])
    floor = (
        "the floor is z = 0" if content["floor_z_m"] is not None else "no floor was found, the first camera is z = 0"
    )
    if content["camera_height_m"] is not None:
        floor += f" and taken as level (the camera is always {content['camera_height_m']:.2f} m above it)"
    lines = [
        f"poses: {posed} of {frames} frames, {len(content['loop_closures'])} loop closures "
        f"({content['rejected_loop_closures']} rejected), {content['frames_per_s']:.1f} frames/s",
        f"frame: z up by the {content['up']}, {floor}; {_where_text(content['origin'])}; metres",
    ]
    lines += [f"WARNING: {remark}" for remark in content["up_remarks"]]
    lines += _odometry_lines(content)
    lines += [line for sequence in content["sequences"] for line in _imu_lines(sequence)]
    if content["consistency"] is not None:
        apart = content["consistency"]
        lines.append(
            f"surfaces seen twice differ by {apart['median_m']:.3f} m (median), {apart['p90_m']:.3f} m (90 %); "
            f"position relative to the first: {content['sigma_m']['median']:.3f} m (one standard deviation)"
        )
    else:
        lines.append("no place was seen twice: nothing tells how far the poses drifted")
    lines += held_out_lines(content["held_out"])
    if content["parts"] > 1:
        lines.append(
            f"WARNING: {content['parts']} parts could not be joined; the largest is used, the rest is left out"
        )
    lines += [line for sequence in content["sequences"] for line in _left_out_lines(sequence)]
    lines += [
        f"low confidence: {span['sequence']} {span['from_s']:.1f} to {span['to_s']:.1f} s, "
        f"{span['sigma_m']:.2f} m: {span['reason']}"
        for span in content["low_confidence"]
    ]
    return "\n".join(lines)


def _odometry_lines(content: dict[str, Any]) -> list[str]:
    """What was made of the robot's odometry, if there is any."""
    if not any(sequence["has_odometry"] for sequence in content["sequences"]):
        return []
    found = content["camera_on_robot"]
    if found is None:
        return ["odometry: not used, since no place of the camera on the robot explains it, or it was not asked for"]
    return [
        f"odometry: used, with the camera at x {found['x_m']:.2f}, y {found['y_m']:.2f} m of the base, heading "
        f"{found['heading_deg']:.1f}, pitch {found['pitch_down_deg']:.1f} degrees down (found from the recording; "
        f"motions differ by {found['motions_differ_m']:.3f} m and {found['motions_differ_deg']:.2f} degrees, median)"
    ]


def _imu_lines(sequence: dict[str, Any]) -> list[str]:
    """What was made of the IMU of a sequence, if there is one."""
    found = sequence["imu"]
    if found is None:
        return []
    if not found["tells_rotation"]:
        return [f"imu of {sequence['name']}: tells no rotation, since {found['why_not']}"]
    how = "as the recording states it" if found["is_stated"] else "found from the recording"
    if not found["is_determined"]:
        how += ", not determined about the axis that the camera turned about"
    bias = ", ".join(f"{value:.4f}" for value in found["bias_rad_s"])
    return [
        f"imu of {sequence['name']}: tells rotation, turned against the camera {how}; bias {bias} rad/s; rotations "
        f"differ by {found['rotations_differ_deg']:.2f} degrees, median"
    ]


def _where_text(origin: Sequence[float]) -> str:
    if not any(origin):
        return "x along the first view"
    return f"the first camera at x {origin[0]:g}, y {origin[1]:g}, heading {origin[2]:g} degrees"


def _left_out_lines(sequence: dict[str, Any]) -> list[str]:
    """A line for each span; of a reason with many spans one for all, which posing.json has one by one."""
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for span in sequence["left_out"]:
        by_reason.setdefault(span["reason"], []).append(span)
    lines = []
    for reason, found in by_reason.items():
        spans, places = found, ""
        if len(found) > _MOST_SPANS:
            whole = {"from_s": found[0]["from_s"], "to_s": found[-1]["to_s"], "frames": sum(s["frames"] for s in found)}
            spans, places = [whole], f" in {len(found)} places"
        lines += [
            f"left out: {sequence['name']} ({sequence['recording']}) {span['from_s']:.1f} to {span['to_s']:.1f} s, "
            f"{span['frames']} frames{places}: {reason}"
            for span in spans
        ]
    return lines
