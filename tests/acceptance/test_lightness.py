"""What a command costs before it does anything: heavy libraries are imported where they are used."""

import subprocess
import sys

import pytest
from typer.main import get_command

from tidegate.entrypoints.cli.app import COMMANDS, GROUPS, WITHIN, assembled

HEAVY = {
    "prefect", "great_expectations", "feast", "mlflow", "evidently", "pandas", "numpy", "pyarrow", "sklearn",
    "onnxruntime", "duckdb", "fastapi", "alembic", "cryptography",
}  # fmt: skip


def loaded(code, **environment):
    """Run ``code`` in a fresh interpreter and return which heavy packages it loaded."""
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment or None, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing():
    assert loaded("import tidegate") == set()


COMMAND = """
sys.argv = ['tidegate', {words}]
from tidegate.entrypoints.cli import main
try:
    main()
except SystemExit:
    print()
"""


def test_help_loads_no_heavy_library():
    assert loaded(COMMAND.format(words="'--help'")) == set()


def test_a_command_imports_no_other_command_s_module():
    code = COMMAND.format(words="'status', '--help'") + (
        "\nprint(*sorted(name for name in sys.modules if name.startswith('tidegate.entrypoints.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, timeout=60
    )
    *_, last = done.stdout.splitlines()
    commands = {f"tidegate.entrypoints.cli.{each.module}" for each in (*COMMANDS, *GROUPS, *WITHIN)}
    assert commands & {*last.split()} == {"tidegate.entrypoints.cli.work"}


def test_each_command_alone_is_what_it_is_among_all():
    whole = get_command(assembled())
    names = [each.name for each in (*COMMANDS, *GROUPS)]
    assert sorted(whole.commands) == sorted(names)
    for name in names:
        alone = get_command(assembled(name))
        assert list(alone.commands) == [name]
        assert alone.commands[name].help == whole.commands[name].help
        assert list(getattr(alone.commands[name], "commands", ())) == list(
            getattr(whole.commands[name], "commands", ())
        )


@pytest.mark.slow
def test_status_loads_no_heavy_library(played):
    shell, _ = played
    environment = {**shell.environment(), "TIDEGATE_PROJECT": str(shell.project)}
    assert loaded(COMMAND.format(words="'status'"), **environment) == set()
