"""Gathering what a report tells: what is planned, and what is remembered.

Variants of the catalogue need no network; of another repository's model the hub may be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from setup_manager import __version__
from setup_manager.app import recommend, serve
from setup_manager.codec import to_plain
from setup_manager.errors import InsufficientMemoryError, SetupError
from setup_manager.privacy import mask_document
from setup_manager.report.anonymous import anonymised
from setup_manager.report.content import Content
from setup_manager.session import Session, Subject

_SHORTEST_CONTEXT = 4096
_SMOKE_FIELDS = frozenset(
    {
        "runtime",
        "passed",
        "text",
        "reasons",
        "load_seconds",
        "first_token_seconds",
        "prompt_tokens_per_second",
        "tokens_per_second",
        "first_half_tokens_per_second",
        "second_half_tokens_per_second",
        "peak_memory_bytes",
        "vram_bytes",
        "predicted",
        "thermal",
        "series_tokens_per_second",
    }
)


@dataclass(frozen=True, kw_only=True)
class ReportRequest(recommend.Request):
    """What a report is to be about, beside what is recommended.

    Attributes:
        model: MODEL argument, None for the model that was installed last, or else the best.
        anonymous: Whether to leave out what identifies a person.
        created_at: RFC 3339 time of the report.
    """

    model: str | None = None
    anonymous: bool = False
    created_at: str = ""


def gather(session: Session, request: ReportRequest) -> Content:
    """Put together what is known of a model on a machine.

    Raises:
        UsageError: If MODEL is none.
        SetupError: If nothing is known of it.
    """
    content = _Gathering(session, request).content()
    return anonymised(content, session.private_words) if request.anonymous else content


class _Gathering:
    def __init__(self, session: Session, request: ReportRequest) -> None:
        self._session = session
        self._request = request
        machine = request.machine_in(session)
        self._machine = _without_programs(machine) if request.anonymous else machine

    def content(self) -> Content:
        recommended, why_not = self._recommended()
        text = self._request.model or self._last_installed() or _best(recommended)
        content = Content(
            version=__version__,
            created_at=self._request.created_at,
            anonymous=False,
            model="",
            title="Gemma 4",
            machine=mask_document(to_plain(self._machine)),
            recommendation=recommended,
            nothing_fits=why_not,
        )
        return self._with_model(content, text) if text else content

    def _recommended(self) -> tuple[dict[str, Any] | None, str]:
        """Return what suits the machine, or why nothing does."""
        try:
            result = recommend.run(self._session, replace(self._request, machine=self._machine))
        except InsufficientMemoryError as error:
            return None, "; ".join((error.message, *error.context))
        return recommend.recommendation_document(result.recommendation), ""

    def _last_installed(self) -> str | None:
        if self._request.machine is not None:
            return None
        models = (model for model in self._session.inventory.models() if model.installed_at)
        newest = max(models, key=lambda model: model.installed_at, default=None)
        return newest.name if newest else None

    def _with_model(self, content: Content, text: str) -> Content:
        subject = Subject(self._session, text, self._request)
        # Only the hub knows the full name of another repository's model; it need not be asked.
        name = subject.known_name or text
        installed = self._session.inventory.find(name) if self._request.machine is None else None
        content = replace(content, model=name, title=name)
        try:
            content = self._with_memory(content, subject, installed)
        except SetupError:
            # What is installed can be told of, even where its memory cannot be worked out.
            if installed is None:
                raise
        return self._with_installation(content, installed) if installed else content

    def _with_memory(
        self, content: Content, subject: Subject, installed: serve.InstalledModel | None
    ) -> Content:
        asked = replace(self._request, runtime=self._runtime(installed))
        chosen = self._explain(subject, asked)
        if subject.variant is None:
            raise TypeError("a model without a variant cannot be explained")
        longest = subject.variant.architecture.context_length
        rows = [
            _context_row(self._explain(subject, replace(asked, context=context)))
            for context in context_grid(longest, chosen.settings.context)
        ]
        return replace(
            content,
            title=f"{subject.variant.name} {subject.quantization}",
            explanation=recommend.explanation_document(chosen),
            contexts=tuple(rows),
        )

    def _explain(self, subject: Subject, asked: ReportRequest) -> recommend.Explanation:
        return recommend.explain_model(self._session, subject, asked, self._machine)

    def _with_installation(self, content: Content, installed: serve.InstalledModel) -> Content:
        history = self._session.history.find(installed.name)
        return replace(
            content,
            downloads=tuple(asdict(run) for run in history.downloads),
            files=tuple(_file_rows(installed)),
            smoke=_readable_smoke(installed.last_smoke),
            smoke_run=asdict(history.smoke) if history.smoke else None,
            commands=self._commands(installed),
        )

    def _commands(self, installed: serve.InstalledModel) -> dict[str, Any] | None:
        if not installed.registrations:
            return None
        registration = installed.registrations[-1]
        commands = serve.start_commands(self._session, installed, registration)
        return {"runtime": registration.runtime, **asdict(commands)}

    def _runtime(self, installed: serve.InstalledModel | None) -> str:
        """Name the runtime that memory is worked out for."""
        if self._request.runtime == "auto" and installed is not None and installed.registrations:
            return installed.registrations[-1].runtime
        return self._request.planned_runtime


def context_grid(longest: int, chosen: int) -> tuple[int, ...]:
    """List the contexts that a reader can choose from: two a doubling, and the chosen one."""
    grid = {longest, chosen}
    context = _SHORTEST_CONTEXT
    while context < longest:
        grid |= {context, min(context * 3 // 2, longest)}
        context *= 2
    return tuple(sorted(grid))


def _context_row(explanation: recommend.Explanation) -> dict[str, Any]:
    document = recommend.explanation_document(explanation)
    context = explanation.settings.context
    full = next(row for row in document["contexts"] if row["context"] == context)
    kept = ("memory", "parts", "verdict", "available_bytes", "headroom_bytes")
    return {
        "context": context,
        "tokens_per_second": full["tokens_per_second"],
        **{name: document[name] for name in kept},
    }


def _best(recommended: dict[str, Any] | None) -> str | None:
    return recommended["choices"][0]["model"] if recommended else None


def _readable_smoke(smoke: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Take a recorded smoke test, unless an earlier version recorded less than is shown now."""
    return smoke if smoke is not None and smoke.keys() >= _SMOKE_FIELDS else None


def _file_rows(installed: serve.InstalledModel) -> list[dict[str, Any]]:
    return [
        {
            "role": file.artifact.role.value,
            "repository": file.artifact.repository,
            "name": file.artifact.path,
            "path": str(file.path),
            "bytes": file.artifact.size_bytes,
            "sha256": file.artifact.sha256,
        }
        for file in installed.files
    ]


def _without_programs(machine: recommend.Machine) -> recommend.Machine:
    """Forget which programs hold memory, so that no sentence can name one."""
    return replace(
        machine,
        memory=replace(machine.memory, users=()),
        gpus=tuple(replace(gpu, users=()) for gpu in machine.gpus),
    )
