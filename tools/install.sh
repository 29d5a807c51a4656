#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs mvloc_ros: finds the ROS distribution and runs the commands of its page in docs/installation/, which
# `--dry-run` prints. May be run again: what is done already is kept.
set -eo pipefail

usage() {
    cat <<'TEXT'
usage: tools/install.sh [--distro NAME] [--jetson] [--workspace FOLDER] [--venv FOLDER] [--yes] [--dry-run] [--help]

Installs mvloc_ros: its dependencies (rosdep), the workspace (colcon), a virtual environment that sees the system's
packages, what has no rosdep key (pip, with the versions that fit the distribution), and at the end `mvloc doctor`.

  --distro NAME       humble, jazzy, kilted or lyrical; pip: ROS from the package index into .venv, without a
                      workspace (default: the sourced distribution, or the only one in /opt/ros)
  --jetson            also what the backend tensorrt needs on a Jetson (default: where /etc/nv_tegra_release exists)
  --workspace FOLDER  the colcon workspace (default: the one that this checkout lies in the src of, else ~/ws)
  --venv FOLDER       the virtual environment (default: ~/mvloc_venv)
  --yes               run what needs root with sudo; without it, and without being root, such commands are only
                      printed, and the script ends there
  --dry-run           print the commands and run none
TEXT
}

fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# A path as a command takes it, with ~ for the home folder.
written() {
    local quoted
    printf -v quoted '%q' "$1"
    if [[ $1 == "$HOME" || $1 == "$HOME"/* ]]; then
        printf -v quoted '%q' "${1#"$HOME"}"
        [[ -n ${1#"$HOME"} ]] || quoted=
        quoted="~$quoted"
    fi
    printf '%s' "$quoted"
}

# Print a command, and run it in this shell unless nothing is to be run; then what to do where it fails.
run() {
    printf '%s\n' "$1"
    if [[ $dry_run == no ]]; then
        eval "$1" || fail "\`$1\` failed: $2"
    fi
}

# The same for a command that needs root.
run_as_root() {
    local sudo='sudo '
    if [[ $dry_run == no && $EUID -eq 0 ]]; then
        sudo=
    elif [[ $dry_run == no && $yes == no ]]; then
        printf '%s\n' "${sudo}$1"
        missing_root=yes
        return
    fi
    run "${sudo}$1" "$2"
}

# End where commands that need root were printed and not run.
require_root_commands() {
    if [[ $missing_root == yes ]]; then
        fail "the commands above need root and were not run; run them and then this script again, or run it with" \
            "--yes, which runs them with sudo"
    fi
}

parse() {
    while [[ $# -gt 0 ]]; do
        case $1 in
            --distro | --workspace | --venv)
                [[ -n ${2:-} ]] || fail "$1 needs a value; --help shows what it takes"
                case $1 in
                    --distro) distro=$2 ;;
                    --workspace) workspace=$2 ;;
                    --venv) venv=$2 ;;
                esac
                shift
                ;;
            --jetson) jetson=yes ;;
            --yes) yes=yes ;;
            --dry-run) dry_run=yes ;;
            --help | -h) usage && exit 0 ;;
            *) fail "there is no option $1; --help lists them" ;;
        esac
        shift
    done
}

detect_distribution() {
    local found
    distro=${distro:-${ROS_DISTRO:-}}
    if [[ -z $distro ]]; then
        shopt -s nullglob
        found=(/opt/ros/*/setup.bash)
        shopt -u nullglob
        found=("${found[@]%/setup.bash}")
        case ${#found[@]} in
            0) fail "no ROS distribution was found in /opt/ros; install one (docs.ros.org), or name it with --distro;" \
                "--distro pip needs no ROS" ;;
            1) distro=${found[0]##*/} ;;
            *) fail "/opt/ros has several distributions (${found[*]##*/}); name one with --distro" ;;
        esac
    fi
    case $distro in
        humble) python=3.10 ubuntu=22.04 jetpack=6 ;;
        jazzy | kilted) python=3.12 ubuntu=24.04 jetpack=7 ;;
        lyrical) python=3.14 ubuntu=26.04 jetpack= ;;
        pip) return ;;
        *) fail "the distribution $distro is not supported; it is one of humble, jazzy, kilted, lyrical, pip" ;;
    esac
    if [[ -f /etc/nv_tegra_release ]]; then
        jetson=yes
    fi
    if [[ $jetson == yes && -z $jetpack ]]; then
        fail "no JetPack has Ubuntu $ubuntu, which $distro is for; JetPack 6 runs humble, JetPack 7 jazzy or kilted"
    fi
}

detect_workspace() {
    if [[ -z $workspace && $(basename "$(dirname "$checkout")") == src ]]; then
        workspace=$(dirname "$(dirname "$checkout")")
    fi
    workspace=${workspace:-$HOME/ws}
    [[ $workspace == /* ]] || workspace=$PWD/$workspace
    package=src/mvloc_ros
    if [[ $(dirname "$checkout") == "$workspace/src" ]]; then
        printf -v package 'src/%q' "$(basename "$checkout")"
    fi
    venv=${venv:-$HOME/mvloc_venv}
    [[ $venv == /* ]] || venv=$PWD/$venv
}

check_machine() {
    local found
    if [[ ! -f /opt/ros/$distro/setup.bash ]]; then
        fail "/opt/ros/$distro/setup.bash is missing; install the distribution first (sudo apt install" \
            "ros-$distro-ros-base, docs.ros.org tells how to add its package source), or use --distro pip"
    fi
    if [[ -n ${ROS_DISTRO:-} && $ROS_DISTRO != "$distro" ]]; then
        fail "this shell has $ROS_DISTRO sourced and not $distro; open a new one, and remove the line from ~/.bashrc"
    fi
    if [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} ]]; then
        fail "a Python environment is active (${VIRTUAL_ENV:-$CONDA_PREFIX}), and colcon would build for it;" \
            "leave it with \`deactivate\` or \`conda deactivate\` and run this again"
    fi
    found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || true
    if [[ $found != "$python" ]]; then
        fail "python3 is $(command -v python3 || echo missing) ${found:-}, and the packages of $distro are for Python" \
            "$python of Ubuntu $ubuntu; put /usr/bin first on the PATH (PATH=/usr/bin:\$PATH tools/install.sh)"
    fi
    if [[ -f $venv/pyvenv.cfg ]] && ! grep -qi '^include-system-site-packages *= *true' "$venv/pyvenv.cfg"; then
        fail "the environment $venv does not see the system's packages; name another with --venv, or remove it"
    fi
    if [[ -d $venv && ! -d $venv/lib/python$python ]]; then
        fail "$venv is no environment of Python $python; name another with --venv, or remove it"
    fi
}

is_installed() {
    local name
    for name in "$@"; do
        [[ $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) == 'install ok installed' ]] || return 1
    done
}

install_tools() {
    local packages=(python3-venv python3-rosdep python3-colcon-common-extensions)
    if [[ $jetson == yes ]]; then
        packages+=(python3-libnvinfer)
    fi
    if [[ $dry_run == yes ]] || ! is_installed "${packages[@]}"; then
        run_as_root 'apt-get update' 'check the network and the package sources'
        run_as_root "apt-get install --yes ${packages[*]}" 'the package source of ROS (packages.ros.org) or of JetPack may be missing'
    fi
    if [[ $dry_run == yes || ! -f /etc/ros/rosdep/sources.list.d/20-default.list ]]; then
        run_as_root 'rosdep init' 'check the network'
    fi
    require_root_commands
    run "rosdep update --rosdistro $distro" 'check the network'
}

# `rosdep install` asks for root by itself, so what it would install is looked at first.
install_dependencies() {
    local paths="--from-paths $package --ignore-src --rosdistro $distro"
    local install="rosdep install $paths --default-yes"
    if [[ $dry_run == no ]] && eval "rosdep check $paths" >/dev/null 2>&1; then
        return
    fi
    if [[ $dry_run == no && $EUID -ne 0 && $yes == no ]]; then
        printf '%s\n' "$install"
        missing_root=yes
        require_root_commands
    fi
    run "$install" 'read the lines above; where a key has no rule, "rosdep update" did not run'
}

install_in_workspace() {
    printf '# %s: Ubuntu %s, Python %s; versions for pip: requirements/ros/%s.txt\n' "$distro" "$ubuntu" "$python" "$distro"
    if [[ $dry_run == no ]]; then
        check_machine
    fi
    install_tools
    run "source /opt/ros/$distro/setup.bash" 'the installation of ROS is damaged'
    if [[ $package == src/mvloc_ros && $checkout != "$workspace/src/mvloc_ros" ]]; then
        run "mkdir -p $(written "$workspace/src")" 'choose another folder with --workspace'
        if [[ $dry_run == yes || ! $workspace/src/mvloc_ros -ef $checkout ]]; then
            run "ln -s $(written "$checkout") $(written "$workspace/src/mvloc_ros")" 'another checkout is there already'
        fi
    fi
    run "cd $(written "$workspace")" 'choose another folder with --workspace'
    install_dependencies
    run 'colcon build --packages-select mvloc_ros' 'its log is in log/latest_build'
    run 'source install/setup.bash' 'remove build, install and log, and run this again'
    run "python3 -m venv --system-site-packages $(written "$venv")" 'choose another folder with --venv'
    run "source $(written "$venv/bin/activate")" 'remove the environment and run this again'
    run "pip install -r $package/requirements/ros/$distro.txt" 'check the network and run this again'
    if [[ $jetson == yes ]]; then
        run "pip install -r $package/requirements/jetson/jetpack$jetpack.txt" 'check the network and run this again'
    fi
    run "mvloc doctor --no-topics --model $package/models/demo" 'each ERROR above has its remedy in the line below it'
}

install_without_ros() {
    printf '# pip: Python 3.10 to 3.14, ROS from the package index; versions for pip: requirements/runtime.lock\n'
    run "cd $(written "$checkout")" 'the checkout was moved'
    run 'make setup' 'its last line says what is missing'
    run '.venv/bin/mvloc doctor --no-topics --model models/demo' 'each ERROR above has its remedy in the line below it'
}

distro='' workspace='' venv='' jetson=no yes=no dry_run=no missing_root=no
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
parse "$@"
detect_distribution
if [[ $distro == pip ]]; then
    install_without_ros
    done_with='.venv/bin/mvloc demo run --out out/demo  runs the demo'
else
    detect_workspace
    install_in_workspace
    done_with="in each new shell: source $(written "$workspace/install/setup.bash") && source $(written "$venv/bin/activate")"
fi
if [[ $dry_run == no ]]; then
    printf 'install: done; %s\n' "$done_with"
fi
