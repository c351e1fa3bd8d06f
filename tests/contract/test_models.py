"""`Models`: the fake and the folders keep the same contract; the folders report every fault at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.adapters.model_folders import ModelFolders
from tidegate.domain.errors import BadInput
from tidegate.testing.contracts.models import ModelsContract
from tidegate.testing.fakes.models import FakeModels
from tidegate.testing.material import MODEL_YAML, NUMBER_YAML, model_spec, write_model

REQUIRED = "name, owner, purpose, tier, service, datasets, prediction, "
REQUIRED += "label, label_time, entity_time, keys, inputs, fallback"
JUDGED = "status, sensitivity, slice_by, slice_rows, resamples, day_starts_hour, onnx_tolerance"


class TestFakeModels(ModelsContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> FakeModels:
        return FakeModels(model_spec(tmp_path), replace(model_spec(tmp_path, "number"), name="bus_delay"))


class TestModelFolders(ModelsContract):
    @pytest.fixture
    def subject(self, tmp_path: Path) -> ModelFolders:
        write_model(tmp_path)
        write_model(tmp_path, "bus_delay", prediction="number")
        return ModelFolders(tmp_path)

    def test_a_declaration_is_read_in_full(self, subject: ModelFolders, tmp_path: Path) -> None:
        spec = subject.spec("tram_delay")
        judged = {"status": "status", "sensitivity": "diverted", "slice_by": "line", "resamples": 200}
        assert spec == replace(
            model_spec(tmp_path / "tram_delay"),
            source_digest=spec.source_digest,
            parameters={
                "seed": 7,
                "train_days": 10,
                "calibrate_days": 5,
                "validate_days": 5,
                **{f"evaluation.{name}": value for name, value in judged.items()},
            },
        )

    def test_a_declaration_of_a_number_is_read_in_full(self, subject: ModelFolders, tmp_path: Path) -> None:
        spec = subject.spec("bus_delay")
        assert spec == replace(
            model_spec(tmp_path / "bus_delay", "number"),
            name="bus_delay",
            source_digest=spec.source_digest,
            parameters={
                "seed": 7,
                "train_days": 10,
                "calibrate_days": 5,
                "validate_days": 5,
                "evaluation.status": "status",
                "evaluation.slice_by": "line",
                "evaluation.resamples": 200,
            },
        )

    @pytest.mark.parametrize(
        ("old", "new", "line", "fault"),
        [
            (
                "prediction: number",
                "prediction: rank",
                7,
                "got 'rank', expected a prediction: probability, number",
            ),
            ("kind: abstain", "kind: median", 16, "got 'median', expected a kind: base_rate, abstain"),
            (
                "slice_by: line",
                "sensitivity: diverted",
                20,
                "got a sensitivity of a number, expected it of a probability alone",
            ),
        ],
    )
    def test_what_no_number_has_is_a_fault_with_its_line(
        self, tmp_path: Path, old: str, new: str, line: int, fault: str
    ) -> None:
        assert old in NUMBER_YAML
        write_model(tmp_path, prediction="number", model=NUMBER_YAML.replace(old, new))
        with pytest.raises(BadInput) as refusal:
            ModelFolders(tmp_path).spec("tram_delay")
        assert refusal.value.data["faults"] == [{"line": line, "sentence": fault}]

    def test_a_base_rate_is_a_way_back_for_a_number_too(self, tmp_path: Path) -> None:
        text = NUMBER_YAML.replace("kind: abstain", "kind: base_rate")
        write_model(tmp_path, prediction="number", model=text)
        assert ModelFolders(tmp_path).spec("tram_delay").fallback == "base_rate: Nobody is told anything."

    def test_any_changed_file_changes_the_source_digest_and_a_cache_does_not(
        self, subject: ModelFolders, tmp_path: Path
    ) -> None:
        folder = tmp_path / "tram_delay"
        digests = [subject.spec("tram_delay").source_digest]
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "train.pyc").write_bytes(b"cache")
        (folder / ".notes").write_text("mine")
        assert subject.spec("tram_delay").source_digest == digests[0]
        for name in ("card.md", "train.py", "rows.sql"):
            (folder / name).write_text((folder / name).read_text() + "\n")
            digests.append(subject.spec("tram_delay").source_digest)
        (folder / "extra.txt").write_text("")
        assert len({*digests, subject.spec("tram_delay").source_digest}) == 5

    def test_risks_that_the_owner_declares_are_sentences_on_one_line(self, tmp_path: Path) -> None:
        told = "risks:\n  - Trams of one winter only.\n  - >-\n    Nobody counts\n    the strikes.\n"
        write_model(tmp_path, model=MODEL_YAML + told)
        assert ModelFolders(tmp_path).spec("tram_delay").risks == (
            "Trams of one winter only.",
            "Nobody counts the strikes.",
        )

    def test_who_acts_on_the_decisions_is_told_in_short_texts_and_may_be_left_out(
        self, tmp_path: Path
    ) -> None:
        write_model(tmp_path / "untold")
        assert ModelFolders(tmp_path / "untold").spec("tram_delay").consumers == ()
        told = "consumers:\n  - the depot\n  - >-\n    drivers\n    on call\n"
        write_model(tmp_path, model=MODEL_YAML + told)
        assert ModelFolders(tmp_path).spec("tram_delay").consumers == ("the depot", "drivers on call")

    @pytest.mark.parametrize(
        ("consumers", "sentence"),
        [
            ("depot", "got 'depot', expected a list of short texts"),
            ("[7]", "got '7', expected who acts on it"),
            (f"[{'x' * 101}]", "got 101 characters, expected at most 100"),
            (
                f"[{', '.join(['x'] * 21)}]",
                "got 21 consumers, expected at most 20: who acts on the decisions",
            ),
        ],
    )
    def test_consumers_that_are_no_short_texts_are_faults(
        self, tmp_path: Path, consumers: str, sentence: str
    ) -> None:
        write_model(tmp_path, model=f"{MODEL_YAML}consumers: {consumers}\n")
        with pytest.raises(BadInput) as refusal:
            ModelFolders(tmp_path).spec("tram_delay")
        assert sentence in str(refusal.value.data["faults"])

    @pytest.mark.parametrize(
        ("risks", "sentence"),
        [
            ("none", "got 'none', expected a list of sentences"),
            ("[]", "got an empty list, expected a list of sentences"),
            ("[7]", "got '7', expected a sentence"),
            ('["  "]', "got '  ', expected a sentence"),
            (f"[{'x' * 301}]", "got 301 characters, expected at most 300"),
            (
                f"[{', '.join(['x'] * 21)}]",
                "got 21 risks, expected at most 20: the ones that an approver must know",
            ),
        ],
    )
    def test_risks_that_are_no_short_sentences_are_faults(
        self, tmp_path: Path, risks: str, sentence: str
    ) -> None:
        write_model(tmp_path, model=f"{MODEL_YAML}risks: {risks}\n")
        with pytest.raises(BadInput) as refusal:
            ModelFolders(tmp_path).spec("tram_delay")
        faults = refusal.value.data["faults"]
        assert isinstance(faults, list)
        assert [fault["sentence"] for fault in faults] == [sentence]

    def test_five_mistakes_are_reported_at_once_each_with_its_line(self, tmp_path: Path) -> None:
        text = (
            MODEL_YAML.replace("tier: low", "tier: gold")
            .replace("owner: network-operations\n", "")
            .replace("keys: [line, trip]", "keys: line")
            .replace("numeric: [load, stops]", "numeric: [load, late]")
            .replace("resamples: 200", "resamples: many, colour: red")
        )
        write_model(tmp_path, model=text)
        with pytest.raises(BadInput) as refusal:
            ModelFolders(tmp_path).spec("tram_delay")
        assert refusal.value.exit_code == 2
        faults = refusal.value.data["faults"]
        assert isinstance(faults, list)
        assert [(fault["line"], fault["sentence"]) for fault in faults] == [
            (1, f"got no owner, expected {REQUIRED}"),
            (3, "got 'gold', expected a tier: low, standard, high"),
            (10, "got 'line', expected a list of key columns"),
            (12, "got the input 'late', expected nothing that only the outcome tells"),
            (19, f"got 'colour', expected one of {JUDGED}"),
            (19, "got 'many', expected a whole number from 100 to 10000"),
        ]
        assert all(fault["sentence"] in refusal.value.sentence for fault in faults)

    @pytest.mark.parametrize("outcome", ["late", "known_at", "status"])
    def test_what_only_the_outcome_tells_is_no_input(self, tmp_path: Path, outcome: str) -> None:
        write_model(
            tmp_path, model=MODEL_YAML.replace("categorical: [line]", f"categorical: [line, {outcome}]")
        )
        with pytest.raises(BadInput, match=f"got the input '{outcome}'"):
            ModelFolders(tmp_path).spec("tram_delay")

    def test_a_folder_that_lacks_a_file_or_bears_another_name_is_bad_input(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path)
        (folder / "rows.sql").unlink()
        folder.rename(tmp_path / "renamed")
        with pytest.raises(BadInput) as refusal:
            ModelFolders(tmp_path).spec("renamed")
        assert "got no rows.sql beside it" in refusal.value.sentence
        assert "got 'tram_delay', expected 'renamed', the folder's name" in refusal.value.sentence

    def test_a_file_that_is_no_yaml_is_one_fault(self, tmp_path: Path) -> None:
        write_model(tmp_path, model="name: [tram_delay\nowner: x\n")
        with pytest.raises(BadInput, match=r"line 2: got .*, expected YAML"):
            ModelFolders(tmp_path).spec("tram_delay")
