"""The variants of one model, made and proven one after the other in a directory that nobody reads yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.errors import EngineError, GateFailed, ModelError
from mlapi.models.manifest import write_manifest
from mlapi.training.directory import (
    GRAPHS,
    INT8_FILE,
    ONNX_FILE,
    transformers_manifest,
    write_base_files,
)
from mlapi.training.export import export_onnx
from mlapi.training.golden import torch_golden
from mlapi.training.graph import float_weights, save_graph
from mlapi.training.quiet import quiet
from mlapi.training.trials import prove

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import onnx
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.models.manifest import Manifest, Source, Training
    from mlapi.training.directory import Weights
    from mlapi.training.export_progress import Watcher
    from mlapi.training.scoring import Scores
    from mlapi.training.trials import Texts, Trial

REFERENCE = "onnx-fp32"


class Making:
    """One export under way, in its temporary directory.

    Attributes:
        passed: By variant, what was found; these will be written.
        refused: By variant, why it will not be.
    """

    def __init__(
        self, path: Path, *, name: str, max_length: int, texts: Texts, threads: int, watcher: Watcher
    ) -> None:
        """Begin with nothing made.

        Args:
            path: The directory, there and empty.
            name: The model's name in the manifest.
            max_length: Longest token sequence, special tokens included.
            texts: What variants are proven on.
            threads: CPU threads of an engine call.
            watcher: Is told how far it is.
        """
        self.passed: dict[str, Trial] = {}
        self.refused: dict[str, str] = {}
        self._path = path
        self._name = name
        self._max_length = max_length
        self._texts = texts
        self._threads = threads
        self._watcher = watcher

    def base(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer,
        *,
        weights: Weights | None,
        golden_texts: Sequence[str],
    ) -> None:
        """Write the base files and the float32 graph, and record what torch says of the golden texts."""
        self._watcher.step("writing weights and tokenizer")
        write_base_files(model, tokenizer, self._path, weights=weights)
        self._watcher.step("exporting the ONNX graph and comparing it with torch")
        export_onnx(self._path, self._path / ONNX_FILE)
        self._golden = torch_golden(self._path, golden_texts, max_length=self._max_length)

    def float_variant(self, name: str) -> None:
        """Prove one float32 variant."""
        self._watcher.step(f"proving {name}")
        self._prove(name, self._manifest([name]))

    def int8_variants(self, names: Sequence[str]) -> None:
        """Quantise until all these pass, or until nothing is left to try; the best attempt counts."""
        if not names:
            return
        from mlapi.training.quantize import Quantizer
        from mlapi.training.remedies import attempts

        reference = self._reference()
        quantizer = Quantizer(self._path / ONNX_FILE, self._samples())
        best: dict[str, Trial] = {}
        refused: dict[str, str] = {}
        chosen: onnx.ModelProto | None = None
        self._watcher.step("quantising to int8")
        try:
            for remedy, proto in attempts(quantizer):
                save_graph(proto, self._path / INT8_FILE)
                trials, failures = self._tried(names, reference, remedy=remedy)
                if chosen is None or len(trials) > len(best):
                    best, refused = trials, {name: str(error) for name, error in failures.items()}
                    chosen = proto
                if not any(isinstance(error, GateFailed) for error in failures.values()):
                    break
                self._watcher.step("quantising to int8 in another way")
        except ModelError as error:  # the quantiser cannot do it; what passed before stays
            self._watcher.say(str(error))
            refused = {name: refused.get(name, str(error)) for name in names if name not in best}
        self.passed |= best
        self.refused |= refused
        if best and chosen is not None:
            save_graph(chosen, self._path / INT8_FILE)
            if left := float_weights(chosen):
                self._watcher.say(f"matrices that stayed in float32: {', '.join(left)}")

    def finish(self, *, training: Training | None, source: Source | None) -> Manifest:
        """Drop the graphs that no variant runs, and write the manifest."""
        for graph in (ONNX_FILE, INT8_FILE):
            if not any(GRAPHS[name] == graph for name in self.passed):
                (self._path / graph).unlink(missing_ok=True)
        if not any((self._path / "onnx").iterdir()):
            (self._path / "onnx").rmdir()
        manifest = self._manifest(self.passed, training=training, source=source)
        variants = {name: self.passed[name].variant for name in manifest.variants}
        manifest = manifest.model_copy(update={"variants": variants})
        write_manifest(self._path, manifest)
        return manifest

    def _tried(
        self, names: Sequence[str], reference: Scores, *, remedy: str | None
    ) -> tuple[dict[str, Trial], dict[str, Exception]]:
        manifest = self._manifest(names)
        trials: dict[str, Trial] = {}
        failures: dict[str, Exception] = {}
        for name in names:
            how = "" if remedy is None else f" ({remedy})"
            self._watcher.step(f"proving {name}{how}")
            try:
                trials[name] = self._trial(name, manifest, reference=reference, remedy=remedy)
            except (ModelError, EngineError) as error:
                failures[name] = error
                self._watcher.say(str(error))
        return trials, failures

    def _prove(self, name: str, manifest: Manifest) -> None:
        try:
            self.passed[name] = self._trial(name, manifest)
        except (ModelError, EngineError) as error:
            self.refused[name] = str(error)
            self._watcher.say(str(error))

    def _trial(
        self, name: str, manifest: Manifest, *, reference: Scores | None = None, remedy: str | None = None
    ) -> Trial:
        with quiet():
            return prove(
                self._path,
                manifest,
                name,
                self._texts,
                threads=self._threads,
                reference=reference,
                remedy=remedy,
            )

    def _reference(self) -> Scores:
        """Return what float32 says of the gate texts."""
        if REFERENCE not in self.passed:
            self._watcher.step(f"scoring the gate texts with {REFERENCE}")
            return self._trial(REFERENCE, self._manifest([REFERENCE])).scores
        return self.passed[REFERENCE].scores

    def _samples(self) -> list[list[int]]:
        from mlapi.engines.tokenizer import FastTokenizer

        tokenizer = FastTokenizer(self._path / "tokenizer.json", max_length=self._max_length)
        return [list(encoding.payload) for encoding in tokenizer.encode(self._texts.calibration.texts)]  # type: ignore[arg-type]

    def _manifest(
        self, names: Iterable[str], *, training: Training | None = None, source: Source | None = None
    ) -> Manifest:
        return transformers_manifest(
            self._path,
            name=self._name,
            max_length=self._max_length,
            golden=self._golden,
            variants=names,
            training=training,
            source=source,
        )
