"""The composition root: the only place that names concrete adapters.

Each adapter is imported when it is first used, so that a command pays only for the tools it needs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.application import ports
from tidegate.application.identity import Account, authenticate, open_ledger
from tidegate.application.platform import Acting
from tidegate.domain.actors import token_digest
from tidegate.domain.canonical import sha256
from tidegate.domain.errors import BadInput, Refused
from tidegate.domain.state import ActorRow, CredentialRow
from tidegate.settings import Settings, SinkSettings

if TYPE_CHECKING:
    from tidegate.adapters.arrow_batches.sample import Sample
    from tidegate.application.examine import Means

#: No tool phones home, and none fills the terminal. Set before any of them is imported.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "FEAST_USAGE": "False",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's own, read when it is imported
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}


def quiet_tools(home: Path) -> None:
    """Switch off every tool's telemetry and noise, and keep Prefect's files with ours."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(home / "prefect"))
    os.environ.setdefault("TIDEGATE_HOME", str(home))


def means_of_examination() -> Means:
    """Return what a bundle is examined with: it opens no project, no home and no ledger, and writes nothing."""
    from tidegate.adapters.cel_expressions import CelExpressions
    from tidegate.adapters.ed25519_signer import Ed25519Verifier
    from tidegate.adapters.policy_files import PolicyFiles
    from tidegate.application.examine import Means

    expressions = CelExpressions()
    # Policies are read from the chain; nothing is read from a folder.
    return Means(Ed25519Verifier(), PolicyFiles(Path(os.devnull), expressions), expressions)


class Tidegate:
    """Every port of one project, opened when it is first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._who: Acting | None = None
        quiet_tools(settings.home)

    @cached_property
    def clock(self) -> ports.Clock:
        """Return the simulated clock where one is set or the ledger was opened with one, else the system's.

        A simulated clock never goes back: told an earlier moment, it stands at the ledger's last event.
        """
        from tidegate.adapters.clocks import SimulatedClock, SystemClock
        from tidegate.adapters.sql_record import resumable

        known = (self.settings.now, resumable(self.settings.profile.ledger))
        moments = [moment for moment in known if moment is not None]
        return SimulatedClock(max(moments)) if moments else SystemClock()

    @cached_property
    def entropy(self) -> ports.Entropy:
        """Return the operating system's randomness."""
        from tidegate.adapters.system_entropy import SystemEntropy

        return SystemEntropy()

    @cached_property
    def signer(self) -> ports.Signer:
        """Return the ledger's signing key, from the environment or its file."""
        from tidegate.adapters.ed25519_signer import Ed25519Signer

        return Ed25519Signer(
            self.settings.home / "keys" / "ledger.pem", os.environ.get("TIDEGATE_LEDGER_KEY")
        )

    @cached_property
    def ledger(self) -> ports.Ledger:
        """Return the record, its schema up to date and its genesis written."""
        from tidegate.adapters.sql_record import SqlLedger

        # Names, reasons and rows lie in there: for this account only, however it was made.
        self.settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings.home.chmod(0o700)
        return SqlLedger(self.settings.profile.ledger, self.clock, self.entropy)

    def notes(self, repository: Path) -> ports.Notes:
        """Return what is noted beside the commits of a git repository.

        Raises:
            BadInput: there is no repository.
        """
        from tidegate.adapters.git_notes import GitNotes

        return GitNotes(repository)

    def lockbox(self, address: str) -> ports.Lockbox:
        """Return the signed heads of a bucket with Object Lock.

        Raises:
            BadInput: no such bucket, or one without Object Lock. DependencyFailed: it does not answer.
        """
        from tidegate.adapters.s3_lock import S3Lock

        return S3Lock(address)

    @cached_property
    def contracts(self) -> ports.Contracts:
        """Return the contracts of ``expectations/``."""
        from tidegate.adapters.contract_files import ContractFiles

        return ContractFiles(self.settings.folder("expectations"))

    @cached_property
    def gate(self) -> ports.DataGate:
        """Return Great Expectations."""
        from tidegate.adapters.gx_gate import GxGate

        return GxGate(self.settings.folder("expectations") / "suites")

    @cached_property
    def batches(self) -> ports.Batches:
        """Return the batch files."""
        from tidegate.adapters.arrow_batches import ArrowBatches

        return ArrowBatches(self.settings.home, masking_key=os.environ.get("TIDEGATE_MASKING_KEY"))

    @cached_property
    def copies(self) -> ports.Copies:
        """Return the files that are made of batches."""
        from tidegate.adapters.parquet_copies import ParquetCopies

        return ParquetCopies(self.settings.home)

    def sample(self, drop: Path) -> Sample:
        """Look at a drop that is under no contract yet."""
        from tidegate.adapters.arrow_batches.sample import read_sample

        return read_sample(drop)

    @cached_property
    def models(self) -> ports.Models:
        """Return the folders of ``models/``."""
        from tidegate.adapters.model_folders import ModelFolders

        return ModelFolders(self.settings.folder("models"))

    @cached_property
    def features(self) -> ports.Features:
        """Return Feast."""
        from tidegate.adapters.feast_store import FeastStore

        profile = self.settings.profile
        return FeastStore(
            self.settings.folder("features"), self.settings.home, profile.online, profile.offline
        )

    @cached_property
    def read_log(self) -> ports.ReadLog:
        """Return the log of reads, in files."""
        from tidegate.adapters.read_log import FileReadLog

        return FileReadLog(self.settings.home / "reads")

    @cached_property
    def entities(self) -> ports.Entities:
        """Return the models' row queries, on DuckDB."""
        from tidegate.adapters.sql_entities import SqlEntities

        return SqlEntities(self.settings.home)

    @cached_property
    def trainer(self) -> ports.Trainer:
        """Return scikit-learn with ONNX conversion."""
        from tidegate.adapters.sklearn_trainer import SklearnTrainer

        return SklearnTrainer(self.settings.home)

    @cached_property
    def registry(self) -> ports.Registry:
        """Return MLflow."""
        from tidegate.adapters.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.settings.profile.registry, self.settings.profile.artifacts)

    @cached_property
    def scorer(self) -> ports.Scorer:
        """Return ONNX Runtime."""
        from tidegate.adapters.onnx_scorer import OnnxScorer

        return OnnxScorer()

    @cached_property
    def monitors(self) -> ports.Monitors:
        """Return Evidently."""
        from tidegate.adapters.evidently_monitor import EvidentlyMonitors

        return EvidentlyMonitors(self.settings.folder("monitoring"), self.settings.home)

    @cached_property
    def policies(self) -> ports.Policies:
        """Return the policy files."""
        from tidegate.adapters.policy_files import PolicyFiles

        return PolicyFiles(self.settings.folder("models") / "policy", self.expressions)

    @cached_property
    def expressions(self) -> ports.Expressions:
        """Return CEL."""
        from tidegate.adapters.cel_expressions import CelExpressions

        return CelExpressions()

    @cached_property
    def schedules(self) -> ports.Schedules:
        """Return Prefect's deployments file."""
        from tidegate.adapters.prefect_schedules import PrefectSchedules

        return PrefectSchedules(self.settings.folder("pipelines") / "prefect.yaml")

    @cached_property
    def turns(self) -> ports.Turns:
        """Return turns that everybody who shares the ledger sees: by files on one machine, else by its database."""
        from tidegate.adapters.turns import FileTurns, PostgresTurns

        url = self.settings.profile.ledger
        return FileTurns(self.settings.home / "locks") if url.startswith("sqlite") else PostgresTurns(url)

    @cached_property
    def sinks(self) -> tuple[ports.Sink, ...]:
        """Return whoever the profile says is told what happened."""
        return tuple(self._sink(each) for each in self.settings.profile.sinks)

    def _sink(self, told: SinkSettings) -> ports.Sink:
        if told.kind == "log":
            from tidegate.adapters.log_sink import LogSink

            return LogSink(told.name, told.file)
        if told.kind == "webhook":
            from tidegate.adapters.webhook_sink import WebhookSink

            return WebhookSink(told.name, told.url, told.secret, self.clock)
        from tidegate.adapters.prefect_sink import PrefectSink

        names = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
        return PrefectSink(told.name, *(os.environ.get(name, "") for name in names))

    @property
    def frames(self) -> Path:
        """Return the folder for what use cases write by content."""
        return self.settings.home

    @property
    def assurance(self) -> str:
        """Return the profile's assurance."""
        return self.settings.profile.assurance

    def code(self) -> Mapping[str, str]:
        """Return the project's commit, whether files were changed since, and the lock's digest."""
        lock = self.settings.project / "requirements.lock"
        return {
            "commit": self._git("rev-parse", "HEAD") or "unknown",
            "changed": str(bool(self._git("status", "--porcelain", "--untracked-files=no"))).lower(),
            "lock": sha256(lock.read_bytes()) if lock.is_file() else "unknown",
        }

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.settings.project), *arguments]
        try:
            done = subprocess.run(  # noqa: S603  # fixed words
                command, capture_output=True, text=True, timeout=10, check=False
            )
        except OSError:
            return ""  # no git on this machine: the packet then says that the commit is unknown
        return done.stdout.strip() if done.returncode == 0 else ""

    def open(self, keep_token: Callable[[str, str], None] | None = None) -> bool:
        """Write the genesis if there is none: the profile's accounts, the policy on disk. Say whether it was."""
        accounts = [Account(row.name, row.kind, row.roles) for row in self.settings.profile.accounts]
        return open_ledger(self, accounts, keep_token or self.keep_token)

    def keep_token(self, name: str, token: str) -> None:
        """Keep a local account's token in a file that only this machine account reads."""
        from tidegate.adapters.shared.files import write_whole

        folder = self.settings.home / "tokens"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / name, token.encode(), mode=0o600)

    def local_token(self, name: str) -> str:
        """Return a local account's token.

        Raises:
            Refused: there is no such local account here.
        """
        known = self.local_users()
        if name not in known:
            raise Refused(
                "unknown-user",
                f"A2: got the local user `{name}`, expected one of: {', '.join(known) or 'none yet'}",
                "see `tidegate user list`, or set TIDEGATE_TOKEN",
                rule="A2",
            )
        return (self.settings.home / "tokens" / name).read_text().strip()

    def local_users(self) -> list[str]:
        """Return the names of the local accounts whose tokens are kept here."""
        folder = self.settings.home / "tokens"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(name for name in names if not name.startswith("."))  # those are still being written

    def forget_tokens(self, accounts: Collection[str]) -> None:
        """Remove the token files of these accounts: a file is called by its person's name."""
        theirs = {
            row.token_digest
            for each in accounts
            for row in self.ledger.state().select(CredentialRow, actor=each)
        }
        for name in self.local_users():
            if token_digest(self.local_token(name)) in theirs:
                (self.settings.home / "tokens" / name).unlink()

    def opened(self) -> bool:
        """Say whether there is a ledger to read. Looking makes none."""
        url = self.settings.profile.ledger
        if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
            return False
        # A chain whose accounts somebody removed is no new one.
        return bool(self.ledger.state().select(ActorRow)) or self.ledger.head().sequence > 0

    def act(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        on_behalf_of: str | None = None,
        story: str | None = None,
        state: ports.StateReader | None = None,
    ) -> Acting:
        """Authenticate: by a local user's name, or by ``TIDEGATE_TOKEN``, against another state than the ledger's own.

        Raises:
            Refused: rule A2. BadInput: nobody said who is acting.
        """
        if self.assurance == "local":
            self.open()
        elif not self.opened():
            raise Refused(
                "no-ledger",
                "got no open ledger, expected one",
                "`tidegate open` opens it and shows the first token",
            )
        token = self.local_token(name) if name else os.environ.get("TIDEGATE_TOKEN", "")
        if not token:
            raise BadInput(
                "nobody",
                "got nobody to act as, expected --as USER or TIDEGATE_TOKEN",
                "see `tidegate user list`; acting commands never guess who you are",
            )
        self._who = Acting(authenticate(state or self.ledger.state(), token), on_behalf_of, story, key)
        return self._who

    @property
    def who(self) -> Acting:
        """Return who was authenticated last: in whose command something is found that nobody looked for.

        Raises:
            BadInput: nobody was.
        """
        if self._who is None:
            raise BadInput(
                "nobody", "got nobody to act as, expected somebody who was authenticated before", ""
            )
        return self._who
