"""What a stranger is given to verify, and whoever forges it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.adapters.ed25519_signer import Ed25519Signer
from tidegate.application import archive
from tidegate.entrypoints.cli import main
from tidegate.testing import bundles
from tidegate.testing.bundles import Forger, Said, exporting_world

SCRIPT = Path(__file__).parents[3] / "docs" / "verify_bundle.py"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What a stranger is given: a bundle and, by another way, a key and an anchor. Shared: nobody writes to it."""
    folder = tmp_path_factory.mktemp("given")
    world = exporting_world(folder / "world")
    anchor, key, bundle = world.anchor(folder / "head.json"), folder / "ledger.pub", folder / "bundle.zip"
    key.write_text(world.signer.public_key)
    archive.write(bundle, world.bundle().members)
    stranger = Ed25519Signer(folder / "stranger.pem")
    (folder / "stranger.pub").write_text(stranger.public_key)
    return SimpleNamespace(
        world=world, bundle=bundle, key=key, anchor=anchor, stranger=stranger, folder=folder, script=SCRIPT
    )


@pytest.fixture
def world(tmp_path):
    return exporting_world(tmp_path / "world")


@pytest.fixture
def ask(given, tmp_path, monkeypatch, capsys):
    """Ask for a bundle to be verified, from an empty folder; nothing may be written, and nobody sees a traceback."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)

    def asked(bundle, *words, key=None):
        arguments = ["audit", "verify-bundle", str(bundle), "--key", str(key or given.key), *map(str, words)]
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert list(empty.iterdir()) == []
        assert "Traceback" not in said.out + said.err
        assert "fault in Tidegate" not in said.err
        return Said(code, said.out, said.err)

    return asked


@pytest.fixture
def by_script(given):
    """Verify a bundle by the script that needs no package, with the given key unless another is named."""
    return lambda bundle, *words, key=None: bundles.by_script(SCRIPT, bundle, key or given.key, *words)


@pytest.fixture
def forge(given, tmp_path):
    """Forge the given bundle; ``signing`` is the key that the forger holds, if any."""

    def forged(change, signing=None):
        return Forger(archive.read(given.bundle)).write(tmp_path / "forged.zip", change, signing)

    return forged
