#!/usr/bin/env python3
"""Set up Plimsoll on this machine and run its commands. Needs the standard library only.

    python3.11 bootstrap.py COMMAND [ARGUMENTS...]

Everything is installed, cached and written inside the project folder: `.venv`, `node_modules`,
`.build` (what Ape compiled) and `.local` (caches, Ape's data folder, temporary files). Each step is
stamped with a hash of its inputs, so a second run does nothing and needs no network. `make` offers
the same commands.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCAL = ROOT / ".local"
BUILD = ROOT / ".build"
STAMPS = LOCAL / "stamps"
MODULES = ROOT / "node_modules"
BIN = VENV / "bin"
MANIFEST = BUILD / "__local__.json"

PYTHONS = ((3, 11), (3, 12))
NODE = 20
FREE_DISK_GB = 3
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")
FOUNDRY = ("anvil", "cast", "forge")
NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
NPM_FILES = ("package.json", "package-lock.json", ".npmrc")
SOLIDITY = ("contracts", "interfaces")
PYTHON = ("bootstrap.py", "plimsoll", "scripts", "bots", "tests")

# What would turn an installation away from the project's folders.
NOT_INHERITED = {"NODE_ENV", "PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH"}

# A program that ignores the signal before gets the next one.
STOP_SIGNALS = ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 2))


class Failed(Exception):  # noqa: N818 an outcome, not a bug
    """Ends the run with this exit code; what went wrong has been said."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


# -------------------------------------------------------------------------------- running programs


def say(text: str) -> None:
    print(text, flush=True)


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: only processes that have ended are left
        return False
    return True


def _stop_group(process: subprocess.Popen, signals=STOP_SIGNALS) -> None:
    """End every process of the child's group: it leads one of its own, so nothing else is in it."""
    for number, patience in signals:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        with contextlib.suppress(KeyboardInterrupt, Failed):  # pressed again: the next signal
            while time.monotonic() < deadline:
                ended = process.poll() is not None
                if ended and not _group_alive(process.pid):
                    return
                time.sleep(0.05)


def run(command: list, env: dict, quiet: bool = False, mark: str = "") -> int:
    """Run a program to its end and return its exit code. None of its processes survives.

    A quiet program's output is shown only if it fails, and only from the mark on.
    """
    options: dict = {"cwd": ROOT, "env": env, "start_new_session": True}
    if quiet:
        options.update(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process = subprocess.Popen([str(part) for part in command], **options)
    except OSError as error:
        raise Failed(127, f"{command[0]} cannot be started: {error}") from error
    try:
        output, _ = process.communicate()
    except BaseException:
        _stop_group(process)
        raise
    if _group_alive(process.pid):
        _stop_group(process, STOP_SIGNALS[1:])
    if quiet and process.returncode:
        text = output.decode(errors="replace")
        say(text[max(text.find(mark), 0) :].rstrip())
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def must(command: list, env: dict, quiet: bool = False, mark: str = "") -> None:
    code = run(command, env, quiet, mark)
    if code:
        raise Failed(code, f"failed ({code}): {shlex.join(str(part) for part in command)}")


def ask(command: list) -> str:
    """The first line a program prints, or nothing."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip().split("\n")[0]


def foundry_platform() -> str:
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    own = platform.machine().lower()
    return f"{platform.system().lower()}-{machine.get(own, own)}"


def foundry_folder(tool: str) -> Path:
    """Where npm put the native program. The wrapper in `node_modules/.bin` hides exit codes."""
    return MODULES / "@foundry-rs" / f"{tool}-{foundry_platform()}" / "bin"


def install_environment() -> dict:
    """For pip and npm: the user's index, proxy and certificates, but caches in here."""
    env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    env.update(
        PIP_CACHE_DIR=str(LOCAL / "pip"),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        npm_config_cache=str(LOCAL / "npm"),
        npm_config_update_notifier="false",
        TMPDIR=str(LOCAL / "tmp"),
        PYTHONUTF8="1",
    )
    return env


def environment() -> dict:
    """For everything else: nothing of the user's home is read or written."""
    env = install_environment()
    home = LOCAL / "home"
    paths = [BIN, *(foundry_folder(tool) for tool in FOUNDRY), MODULES / ".bin"]
    env.update(
        PATH=os.pathsep.join([*map(str, paths), os.environ.get("PATH", os.defpath)]),
        VIRTUAL_ENV=str(VENV),
        HOME=str(home),
        XDG_CACHE_HOME=str(home / ".cache"),
        XDG_CONFIG_HOME=str(home / ".config"),
        XDG_DATA_HOME=str(home / ".share"),
        APE_DATA_FOLDER=str(LOCAL / "ape"),
        SOLCX_BINARY_PATH=str(ROOT / "tools" / "solc"),
        FOUNDRY_CONFIG=str(ROOT / "tools" / "foundry.toml"),
        HYPOTHESIS_STORAGE_DIRECTORY=str(LOCAL / "hypothesis"),
        MYPY_CACHE_DIR=str(LOCAL / "mypy"),
        RUFF_CACHE_DIR=str(LOCAL / "ruff"),
        PYTHONUNBUFFERED="1",
    )
    if not sys.stdout.isatty():
        env["NO_COLOR"] = "1"
        for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS"):
            env.pop(name, None)
    return env


# --------------------------------------------------------------------------------------- preflight


def node_version() -> int:
    text = ask(["node", "--version"]).lstrip("v").split(".")[0]
    return int(text) if text.isdigit() else 0


def preflight() -> None:
    """Everything that is missing on this machine, at once, each with its fix."""
    missing = []
    if sys.version_info[:2] not in PYTHONS:
        have = ".".join(map(str, sys.version_info[:3]))
        missing.append(
            f"Python 3.11 or 3.12 (this is {have})\n    run `python3.11 bootstrap.py`; "
            "Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        missing.append("Python's venv module\n    Debian and Ubuntu: apt install python3-venv")
    version = node_version()
    if version < NODE:
        have = f"version {version} is installed" if version else "not found"
        fix = "install it from nodejs.org; macOS: brew install node"
        missing.append(f"Node.js {NODE} or newer ({have})\n    {fix}")
    elif not ask(["npm", "--version"]):
        missing.append("npm (not found)\n    it comes with Node.js; Debian: apt install npm")
    if os.name != "posix":
        missing.append("Linux or macOS\n    on Windows run this inside WSL 2")
    elif foundry_platform() not in PLATFORMS:
        own = foundry_platform()
        missing.append(
            f"a platform that anvil is built for (this is {own})\n    use x86-64 or arm64"
        )
    if not os.access(ROOT, os.W_OK):
        missing.append(f"a project folder that can be written to\n    chmod -R u+w {ROOT}")
    if ".py" in str(ROOT):
        reason = "Ape would skip every contract"
        missing.append(f"a folder without `.py` in its path ({reason})\n    move the project")
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < FREE_DISK_GB:
        missing.append(f"{FREE_DISK_GB} GB of free disk ({free:.1f} GB left)\n    free some space")
    if missing:
        raise Failed(2, "Missing on this machine:\n\n  " + "\n  ".join(missing))


# ------------------------------------------------------------------------------------------ set-up


def digest(*parts: str | Path) -> str:
    """A hash of texts, files, and the files of whole folders."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(f"text {len(part)}\n{part}".encode())
            continue
        for path in [part] if part.is_file() else sorted(part.rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            content = path.read_bytes()
            total.update(f"file {path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    return total.hexdigest()


@contextlib.contextmanager
def locked():
    """One set-up at a time in this folder."""
    import fcntl

    LOCAL.mkdir(exist_ok=True)
    with open(LOCAL / "lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another run in this folder to finish its set-up")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Step:
    """Work that is done again only when a hash of its inputs differs from the last time's."""

    def __init__(self, name: str, *inputs: str | Path) -> None:
        self.path = STAMPS / name
        self.stamp = digest(*inputs)

    @property
    def done(self) -> bool:
        return self.path.is_file() and self.path.read_text() == self.stamp

    @contextlib.contextmanager
    def perform(self, title: str):
        self.path.unlink(missing_ok=True)
        say(f"set-up: {title}")
        start = time.monotonic()
        yield
        self.path.write_text(self.stamp)
        say(f"set-up: {title}, done in {time.monotonic() - start:.0f} s")


def lock_entry(lock: str, package: str) -> str:
    """The lines of one package in a pip lock file: its version, then its indented hashes."""
    lines = lock.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{package}=="))
    hashes = itertools.takewhile(lambda line: line.startswith(" "), lines[start + 1 :])
    return "".join([lines[start], *hashes])


def install_python(step: Step) -> None:
    env = install_environment()
    with step.perform("Python packages into .venv"):
        must([sys.executable, "-m", "venv", "--clear", VENV], env, quiet=True)
        # A few packages come as source only: they are built with the locked setuptools.
        lock = ROOT / "requirements.lock"
        builder = LOCAL / "setuptools.lock"
        builder.write_text(lock_entry(lock.read_text(), "setuptools"))
        pip = [BIN / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        must([*pip, "-r", builder], env, quiet=True)
        must([*pip, "--no-build-isolation", "--use-pep517", "-r", lock], env, quiet=True)


def install_project(step: Step) -> None:
    with step.perform("the plimsoll package, editable"):
        pip = [BIN / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        must([*pip, "--no-build-isolation", "-e", ROOT], install_environment(), quiet=True)


def install_node(step: Step) -> None:
    env = install_environment()
    with step.perform("npm packages into node_modules"):
        must(["npm", "ci", *NPM_OPTIONS], env, quiet=True)
        for tool in FOUNDRY:
            program = foundry_folder(tool) / tool
            if not program.is_file():
                raise Failed(1, f"npm did not deliver {program.relative_to(ROOT)}")
            program.chmod(0o755)


def setup() -> None:
    """Install what is not installed yet."""
    for folder in (STAMPS, LOCAL / "tmp", LOCAL / "home", LOCAL / "ape"):
        folder.mkdir(parents=True, exist_ok=True)
    version = ".".join(map(str, sys.version_info[:2]))
    python = Step("python", version, foundry_platform(), str(ROOT), ROOT / "requirements.lock")
    node = Step("node", foundry_platform(), *(ROOT / name for name in NPM_FILES))
    project = Step("project", python.stamp, ROOT / "pyproject.toml")
    installed = (BIN / "python").exists()
    # A link is another folder's, as in a second worktree: installing through it would empty that.
    steps: list = []
    if not VENV.is_symlink():
        steps += [(python, installed, install_python), (project, installed, install_project)]
    if not MODULES.is_symlink():
        steps += [(node, (foundry_folder("anvil") / "anvil").is_file(), install_node)]
    if all(step.done and present for step, present, _ in steps):
        return
    preflight()
    for step, present, perform in steps:
        if not (step.done and present):
            perform(step)


def compile_contracts() -> None:
    """Compile with Ape whenever anything that a contract is made of has changed.

    Ape by itself compiles the changed file only, not what imports it, and keeps what deleted files
    once were. The shim's cache makes compiling everything as quick.
    """
    config = [ROOT / name for name in ("ape-config.yaml", "package-lock.json", "tools/solc")]
    step = Step("compile", *(ROOT / name for name in SOLIDITY if (ROOT / name).is_dir()), *config)
    if step.done and MANIFEST.is_file():
        return
    if not (ROOT / "contracts").is_dir():
        say("set-up: there are no contracts to compile")
        return
    with step.perform("contracts"):
        if MANIFEST.is_file():
            sources = json.loads(MANIFEST.read_text()).get("sources", {})
            if not all((ROOT / source).is_file() for source in sources):
                MANIFEST.unlink()
        must([BIN / "ape", "compile", "--force"], environment(), quiet=True, mark="ERROR:")


def clear_leftovers() -> None:
    """Remove what programs that were killed have left: temporary files, chain states of Anvil."""
    yesterday = time.time() - 24 * 3600
    for folder in (LOCAL / "tmp", LOCAL / "home" / ".foundry" / "anvil" / "tmp"):
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < yesterday:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def ready(contracts: bool = True) -> dict:
    """Everything set up; the environment to run in."""
    with locked():
        clear_leftovers()
        setup()
        if contracts:
            compile_contracts()
    return environment()


# ---------------------------------------------------------------------------------------- commands


def cmd_setup(args: list) -> int:
    """install everything and compile the contracts"""
    ready()
    return 0


def cmd_compile(args: list) -> int:
    """compile the contracts with Ape"""
    ready()
    return 0


def workers() -> list:
    return ["-n", str(min(6, max(2, os.cpu_count() or 2))), "--dist", "loadscope"]


def cmd_test(args: list) -> int:
    """run the test suite; arguments go to pytest"""
    return run([BIN / "pytest", *(args or workers())], ready())


def cmd_deep(args: list) -> int:
    """run the tests with the deep Hypothesis profile"""
    return run([BIN / "pytest", "--hypothesis-profile=deep", *(args or workers())], ready())


def cmd_demo(args: list) -> int:
    """portfolios, a crash and liquidations on a local chain (SCENARIO=a.yaml, PRICES=a.csv)"""
    return run([BIN / "python", "-m", "plimsoll.lab.demo", *args], ready())


def cmd_bench(args: list) -> int:
    """measure gas on Anvil"""
    return run([BIN / "python", "-m", "tests.gas.bench", *args], ready())


def cmd_gas_check(args: list) -> int:
    """compare gas with the committed snapshot"""
    return run([BIN / "python", "-m", "tests.gas.bench", "--check", *args], ready())


def cmd_sizes(args: list) -> int:
    """the size of each contract against the limit"""
    return run([BIN / "python", "-m", "tests.gas.sizes", *args], ready())


def cmd_abi_check(args: list) -> int:
    """events and ABIs against the committed schema"""
    return run([BIN / "python", "-m", "tests.abi_schema", "--check", *args], ready())


def python_paths() -> list:
    return [name for name in PYTHON if (ROOT / name).exists()]


def solidity_paths() -> list:
    return [name for name in SOLIDITY if (ROOT / name).is_dir()]


def run_all(env: dict, commands: list) -> int:
    """Run every command even if one fails; the first failure's exit code."""
    first = 0
    for title, command in commands:
        say(f"{title}: {shlex.join(str(part) for part in command[1:])}")
        code = run(command, env)
        first = first or code
    return first


def cmd_lint(args: list) -> int:
    """check style and types: ruff, mypy, solhint, forge fmt"""
    commands: list = [
        ("ruff", [BIN / "ruff", "check", *python_paths()]),
        ("ruff", [BIN / "ruff", "format", "--check", *python_paths()]),
        ("mypy", [BIN / "mypy", *python_paths()]),
    ]
    if solidity_paths():
        globs = [f"{name}/**/*.sol" for name in solidity_paths()]
        solhint = [
            "node",
            MODULES / "solhint" / "solhint.js",
            "--disc",
            "--noPoster",
            "--max-warnings",
            "0",
        ]
        commands += [
            ("solhint", [*solhint, *globs]),
            ("forge", [foundry_folder("forge") / "forge", "fmt", "--check", *solidity_paths()]),
        ]
    return run_all(ready(contracts=False), commands)


def cmd_format(args: list) -> int:
    """rewrite Python and Solidity in the common format"""
    commands: list = [
        ("ruff", [BIN / "ruff", "check", "--fix-only", "--quiet", *python_paths()]),
        ("ruff", [BIN / "ruff", "format", *python_paths()]),
    ]
    if solidity_paths():
        commands.append(("forge", [foundry_folder("forge") / "forge", "fmt", *solidity_paths()]))
    return run_all(ready(contracts=False), commands)


def cmd_run(args: list) -> int:
    """run any program in the project's environment: run ape console"""
    if not args:
        raise Failed(2, "run what? for example: bootstrap.py run ape console")
    return run(args, ready(contracts=False))


def cmd_env(args: list) -> int:
    """print the environment for a shell: eval "$(python3.11 bootstrap.py env)\""""
    with contextlib.redirect_stdout(sys.stderr):
        env = ready(contracts=False)
    for name, value in sorted(env.items()):
        if os.environ.get(name) != value and name != "NO_COLOR":
            print(f"export {name}={shlex.quote(value)}")
    return 0


def complete_npm_lock() -> None:
    """Add the native programs of platforms whose packages could not be had where npm resolved.

    These entries carry no integrity hash; npm installs them at exactly their version.
    """
    path = ROOT / "package-lock.json"
    lock = json.loads(path.read_text())
    packages = lock["packages"]
    for tool in FOUNDRY:
        programs = packages[f"node_modules/@foundry-rs/{tool}"]["optionalDependencies"]
        for name, version in programs.items():
            system, machine = name.rsplit("-", 2)[1:]
            cpu = {"amd64": "x64", "arm64": "arm64"}[machine]
            entry = {
                "version": version,
                "cpu": [cpu],
                "os": [system],
                "dev": True,
                "optional": True,
            }
            packages.setdefault(f"node_modules/{name}", entry)
    lock["packages"] = dict(sorted(packages.items()))
    path.write_text(json.dumps(lock, indent=2) + "\n")


def cmd_lock(args: list) -> int:
    """resolve both lock files again (needs the network)"""
    for folder in (STAMPS, LOCAL / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    env = install_environment()
    tools = LOCAL / "uv"
    must([sys.executable, "-m", "venv", "--clear", tools], env, quiet=True)
    must([tools / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"], env)
    env["UV_CACHE_DIR"] = str(LOCAL / "uv-cache")
    options = ["--universal", "--python-version", "3.11", "--all-extras", "--generate-hashes"]
    plain = ["--no-header", "--no-annotate", "--no-emit-index-url", "--upgrade", "--quiet"]
    uv = [tools / "bin" / "uv", "pip", "compile", *options, *plain]
    must([*uv, "pyproject.toml", "-o", "requirements.lock"], env)
    must(["npm", "install", "--package-lock-only", *NPM_OPTIONS], env, quiet=True)
    complete_npm_lock()
    return 0


def cmd_clean(args: list) -> int:
    """remove what was installed and built"""
    for folder in (VENV, MODULES, BUILD, LOCAL):
        shutil.rmtree(folder, ignore_errors=True)
    return 0


COMMANDS = {
    name[len("cmd_") :].replace("_", "-"): function
    for name, function in list(globals().items())
    if name.startswith("cmd_")
}


def usage() -> str:
    lines = [f"  {name:<10} {function.__doc__}" for name, function in COMMANDS.items()]
    return "usage: python3.11 bootstrap.py COMMAND [ARGUMENTS...]\n\n" + "\n".join(lines)


def interrupt(number: int, _frame: object) -> None:
    raise Failed(128 + number, "")


def main(args: list) -> int:
    if not args or args[0] not in COMMANDS:
        say(usage())
        return 0 if args[:1] in (["-h"], ["--help"], ["help"]) else 2
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        code: int = COMMANDS[args[0]](args[1:])
        return code
    except KeyboardInterrupt:
        return 130
    except Failed as failure:
        if str(failure):
            print(failure, file=sys.stderr)
        return failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
