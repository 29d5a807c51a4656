# SPDX-License-Identifier: Apache-2.0
"""Installing: the script, the pages and the images name the same commands, and linters have nothing to say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mvloc_ros.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "installation"
DISTRIBUTIONS = {"humble": "3.10", "jazzy": "3.12", "kilted": "3.12", "lyrical": "3.14"}
DOCKERFILES = [ROOT / "docker" / name for name in ("Dockerfile", "Dockerfile.jetson")]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))


def install(
    home: Path, *arguments: str, place: str = "ws/src/mvloc_ros", **environ: str
) -> subprocess.CompletedProcess:
    """Run the script of a checkout that lies in a home folder, with nothing sourced."""
    checkout = home / place
    checkout.parent.mkdir(parents=True, exist_ok=True)
    if not checkout.exists():
        checkout.symlink_to(ROOT)
    command = ["bash", checkout / "tools" / "install.sh", *arguments]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=60)


def linter(name: str) -> str:
    """A linter of requirements/dev.in, of this environment or of the machine."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not found:
        pytest.skip(f"{name} is not installed; `make setup-dev` installs it")
    return found


def blocks(page: str) -> list[str]:
    return re.findall(r"```\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)


# The script


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_dry_run_prints_the_commands_of_the_page(distribution: str, tmp_path: Path):
    result = install(tmp_path, "--distro", distribution, "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout in blocks(f"{distribution}.md")
    assert not (tmp_path / "mvloc_venv").exists()


def test_a_dry_run_without_ros_prints_the_commands_of_the_page(tmp_path: Path):
    result = install(tmp_path, "--distro", "pip", "--dry-run", place="mvloc_ros")
    assert result.stdout in blocks("pip.md")
    assert "requirements/runtime.lock" in result.stdout


@pytest.mark.parametrize(("distribution", "jetpack"), [("humble", 6), ("jazzy", 7)])
def test_a_dry_run_for_a_jetson_prints_the_commands_of_the_page(distribution: str, jetpack: int, tmp_path: Path):
    result = install(tmp_path, "--distro", distribution, "--jetson", "--dry-run")
    assert result.stdout in blocks("jetson.md")
    assert f"requirements/jetson/jetpack{jetpack}.txt" in result.stdout


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_versions_are_those_of_the_distribution(distribution: str, tmp_path: Path):
    result = install(tmp_path, "--dry-run", ROS_DISTRO=distribution)  # the sourced one
    (installed,) = re.findall(r"^pip install -r (\S+)$", result.stdout, re.MULTILINE)
    assert installed == f"src/mvloc_ros/requirements/ros/{distribution}.txt"
    file = ROOT / "requirements" / "ros" / f"{distribution}.txt"
    python = DISTRIBUTIONS[distribution]
    assert f"Python {python}" in file.read_text(encoding="utf-8").splitlines()[0]
    assert result.stdout.startswith(f"# {distribution}: Ubuntu ")
    assert f"Python {python}; versions for pip: requirements/ros/{distribution}.txt\n" in result.stdout


def test_a_checkout_elsewhere_is_linked_into_the_workspace(tmp_path: Path):
    words = ["--distro", "jazzy", "--dry-run", "--workspace", f"{tmp_path}/my ws", "--venv", "env"]
    result = install(tmp_path, *words, place="code/mvloc_ros")
    assert "ln -s ~/code/mvloc_ros ~/my\\ ws/src/mvloc_ros\ncd ~/my\\ ws\n" in result.stdout
    assert "python3 -m venv --system-site-packages ~/env\n" in result.stdout
    named = install(tmp_path, "--distro", "jazzy", "--dry-run", place="ws2/src/other")
    assert "cd ~/ws2\nrosdep install --from-paths src/other " in named.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--distro", "noetic"), "noetic is not supported; it is one of humble, jazzy, kilted, lyrical, pip"),
        (("--distro",), "--distro needs a value"),
        (("--fast",), "there is no option --fast; --help lists them"),
        (("--distro", "lyrical", "--jetson"), "JetPack 6 runs humble, JetPack 7 jazzy or kilted"),
        (("--distro", "jazzy", "--yes", "--venv", "/nowhere/env"), "sudo apt install ros-jazzy-ros-base"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_a_remedy(arguments: tuple[str, ...], words: str, tmp_path: Path):
    if "--yes" in arguments and Path("/opt/ros/jazzy").exists():
        pytest.skip("ROS Jazzy is installed here, so that nothing is missing")
    result = install(tmp_path, *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("install: ")
    assert words in line


def test_a_command_that_fails_is_named_and_nothing_runs_after_it(tmp_path: Path):
    (tmp_path / "mvloc_ros" / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "install.sh", tmp_path / "mvloc_ros" / "tools")
    result = install(tmp_path, "--distro", "pip", place="mvloc_ros")
    assert result.returncode == 1
    assert "install: `make setup` failed: its last line says what is missing" in result.stderr
    assert "doctor" not in result.stdout


def test_help_names_every_option(tmp_path: Path):
    result = install(tmp_path, "--help")
    assert result.returncode == 0
    source = (ROOT / "tools" / "install.sh").read_text(encoding="utf-8")
    parsed = set(re.findall(r"--[a-z-]+", re.search(r"^parse\(\).*?^}", source, re.DOTALL | re.MULTILINE)[0]))
    assert parsed <= set(re.findall(r"--[a-z-]+", result.stdout))


def test_every_page_is_in_the_index():
    text = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    assert {path.name for path in PAGES.glob("*.md")} == set(re.findall(r"\]\(installation/([\w.]+)\)", text))


# Linters


@pytest.mark.parametrize("name", ["tools/install.sh", "docker/entrypoint.sh"])
def test_shell_scripts_are_clean(name: str):
    result = subprocess.run(
        [linter("shellcheck"), ROOT / name], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.stdout + result.stderr == ""
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_are_clean(path: Path):
    result = subprocess.run([linter("hadolint"), path], capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout + result.stderr == ""


def test_the_compose_file_has_the_form_of_its_specification():
    command = [linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "--output-format", "json"]
    result = subprocess.run(
        [*command, ROOT / "docker" / "compose.yaml"], capture_output=True, text=True, check=False, timeout=60
    )
    assert json.loads(result.stdout)["status"] == "ok", result.stdout


# The images


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_runs_without_root_and_tells_its_health(path: Path):
    last = path.read_text(encoding="utf-8").split("\nFROM ")[-1].replace("\\\n", " ")
    assert re.search(r"^USER \$\{UID\}$", last, re.MULTILINE)
    assert re.search(r"^ARG UID=[1-9]\d*$", last, re.MULTILINE)
    entry, *check = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", last, re.MULTILINE)[1])
    assert (check[0], entry) == ("mvloc", "/entrypoint.sh")
    deadline = int(re.search(r"--timeout=(\d+)s", last)[1])
    assert _parser().parse_args(check[1:]).deadline < deadline
    assert "STOPSIGNAL SIGINT" in last
    assert (ROOT / "launch" / json.loads(re.search(r"^CMD (.*)$", last, re.MULTILINE)[1])[3]).exists()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_takes_the_files_of_the_script(path: Path, tmp_path: Path):
    text = path.read_text(encoding="utf-8").replace("${ROS_DISTRO}", "jazzy").replace("${JETPACK}", "7")
    script = install(tmp_path, "--distro", "jazzy", "--jetson", "--dry-run").stdout
    taken = set(re.findall(r"-r \"(src/\S+\.txt)\"", text))
    assert taken
    assert taken <= set(re.findall(r"-r (\S+\.txt)", script))
    for name in taken:
        assert (ROOT / name.removeprefix("src/mvloc_ros/")).exists()
    assert "--packages-select mvloc_ros" in text


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "!"))]


def test_what_an_image_needs_is_not_kept_from_it():
    needed = {
        "package.xml", "CMakeLists.txt", "mvloc_ros", "msg", "launch", "config", "tools", "requirements", "docker",
        "docker/entrypoint.sh",
    }  # fmt: skip
    assert not needed & set(ignored())
    assert "!models/demo" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".venv*", "build", "out", "runs"} <= set(ignored())


def test_the_services_share_network_memory_and_user_and_their_files_exist():
    for name, service in COMPOSE["services"].items():
        assert (service["network_mode"], service["ipc"], service["init"]) == ("host", "host", True), name
        for volume in service.get("volumes", []):
            if volume.startswith("../"):
                assert (ROOT / "docker" / volume.split(":")[0]).is_file(), volume
    node, camera = COMPOSE["services"]["node"], COMPOSE["services"]["camera"]
    assert node["build"]["args"]["UID"] == camera["user"]
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert set(node["build"]["args"]) <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert (ROOT / "docker" / node["build"]["context"] / node["build"]["dockerfile"]).is_file()
