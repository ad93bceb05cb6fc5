"""What every runtime is to the rest: found, given models, and opened to run one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from setup_manager.catalog import Model, Role
from setup_manager.errors import UsageError
from setup_manager.fit import Settings
from setup_manager.library import InstalledModel, Inventory, Paths, Registration
from setup_manager.runtimes.chat import Completion, Question
from setup_manager.runtimes.options import StartOptions
from setup_manager.runtimes.status import RuntimeStatus

if TYPE_CHECKING:
    from setup_manager.library import ModelFolder
    from setup_manager.runtimes.llama_builds import LlamaBuilds


class Surroundings(Protocol):
    """What a runtime is told of the place that it works in; a session is one."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables."""
        ...

    @property
    def home(self) -> Path | None:
        """The user's home folder, None where there is none."""
        ...

    @property
    def paths(self) -> Paths:
        """Where everything lives."""
        ...

    @property
    def inventory(self) -> Inventory:
        """Which models are where, and registered where."""
        ...

    @property
    def layout(self) -> ModelFolder:
        """How the models folder is laid out."""
        ...


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """How far registering, loading or testing a model is.

    Attributes:
        stage: ``"link"``, ``"upload"``, ``"create"``, ``"pull"`` or ``"verify"`` while
            registering; ``"load"``, ``"warm-up"``, ``"question"``, ``"measure"``, ``"long"``,
            ``"drafter"`` or ``"cpu"`` while testing.
        seconds: Since the stage began.
        detail: The engine's last line while loading; a file, or what the runtime says of itself.
        share: How much of the model is in memory while it loads, from 0 to 1; None elsewhere.
        done_bytes: Bytes so far, 0 where they are not counted.
        total_bytes: Bytes in all, 0 where they are not counted.
    """

    stage: str
    seconds: float = 0.0
    detail: str = ""
    share: float | None = None
    done_bytes: int = 0
    total_bytes: int = 0


Observer = Callable[[RuntimeEvent], None]


@dataclass(frozen=True, kw_only=True)
class RegisterOptions:
    """How a model gets into a runtime.

    Attributes:
        name: Name to register under, None for the usual one.
        ollama_link: Link the blobs and write the manifest by hand: no copy, undocumented.
        pull: Let Ollama fetch the model from the hub by itself.
    """

    name: str | None = None
    ollama_link: bool = False
    pull: bool = False


@dataclass(frozen=True, slots=True)
class Copies:
    """What a runtime writes beside the downloaded files when a model is registered.

    Attributes:
        peak_bytes: At most, while it registers.
        store: Folder that it writes to, None where nothing is written.
    """

    peak_bytes: int = 0
    store: Path | None = None


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files on this disk that are loaded together.

    Attributes:
        weights: The GGUF, the first shard of a split one.
        projector: Image projector, or None.
        drafter: Draft model, or None.
    """

    weights: Path
    projector: Path | None = None
    drafter: Path | None = None


def files_of(model: InstalledModel, options: StartOptions) -> ModelFiles:
    """Name the files that a model is started with: of the companions those that are wanted.

    Raises:
        UsageError: If there are none, since a runtime fetched the model by itself.
    """
    if not model.files:
        only = ", ".join(dict.fromkeys(entry.runtime for entry in model.registrations))
        raise UsageError(
            f"{model.name} has no file here that another runtime can use.",
            code="not-installed",
            context=(f"registered with: {only or 'none'}",),
            hint=f"Run `gemma-setup download {model.name}`, or name that runtime with --runtime.",
        )
    projector = model.file(Role.PROJECTOR) if options.projector else None
    drafter = model.file(Role.DRAFTER) if options.drafter else None
    return ModelFiles(
        weights=model.weights.path,
        projector=projector.path if projector else None,
        drafter=drafter.path if drafter else None,
    )


@dataclass(frozen=True, slots=True)
class Opening:
    """How a model is opened, apart from its start parameters.

    Attributes:
        alias: What the model is called in requests, None for a name that nobody else has.
        port: A fixed port, None for a free one.
        deadline_seconds: How long loading may take.
        memory_limit_bytes: Most private memory for a process of ours (Linux), 0 for no limit. Not
            for one that uses a GPU: its driver maps far more than it fills.
        observer: Told how loading goes.
        on_start: Told the process that will hold the model, 0 where it is none of ours, and what
            gives the memory back at once; called each time that loading begins.
        check: Asked while waiting; what it raises ends the model.
    """

    alias: str | None = None
    port: int | None = None
    deadline_seconds: float = 600.0
    memory_limit_bytes: int = 0
    observer: Observer = lambda _: None
    on_start: Callable[[int, Callable[[], None]], None] = lambda _pid, _end: None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a runtime says that a model takes, where no process of ours can be measured.

    Attributes:
        memory_bytes: GPU and main memory together.
        vram_bytes: The share on the GPU.
    """

    memory_bytes: int
    vram_bytes: int


class Served(ABC):
    """A model that is loaded and can be asked, as a context manager: leaving it ends the model.

    Attributes:
        model: What the model is called in requests.
        load_seconds: How long loading took.
    """

    model: str
    load_seconds: float

    @abstractmethod
    def __enter__(self) -> Self:
        """Load the model.

        Raises:
            RuntimeMissingError: If the runtime is gone, or too old for the model.
            SmokeFailedError: If the model does not load.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Base URL of the server that has it."""

    @abstractmethod
    def ask(self, question: Question) -> Completion:
        """Ask a question and wait for the answer.

        Raises:
            RuntimeMissingError: If the runtime turns out to be too old.
            SmokeFailedError: If it died, fell silent, or what came is no completion.
        """

    @abstractmethod
    def claim(self) -> Claim | None:
        """Return what the runtime says that the model takes; None for a process of ours."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the model is gone without having been ended.

        Raises:
            SetupError: If its engine died.
        """

    @abstractmethod
    def end(self) -> None:
        """Give the memory back; may be called at any time, from any thread, and again."""


class Runtime(ABC):
    """One program that runs models. A new one is a class and a line of `REGISTRY`.

    Args:
        at: Where it works.

    Attributes:
        name: Its key in `REGISTRY`, and what people give to ``--runtime``.
        title: What it is called where people read.
        program_bytes: The engine's own code, tables and threads in main memory; measured.
        bounds_caches: Whether it is started with ceilings on its prompt cache and checkpoints.
        installable: Whether this tool installs it; see `builds`.
        reason: Why it is taken where no runtime was asked for and those before it are not here.
        own_server: What runs a model in the server that the runtime has by itself; ``""`` for one
            that is started for one model, with parameters of our own.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    program_bytes: ClassVar[int]
    bounds_caches: ClassVar[bool] = True
    installable: ClassVar[bool] = False
    reason: ClassVar[str]
    own_server: ClassVar[str] = ""

    def __init__(self, at: Surroundings) -> None:
        self.at = at

    @classmethod
    @abstractmethod
    def how_to_get(cls) -> str:
        """Return one sentence: what installs it."""

    @property
    def builds(self) -> LlamaBuilds:
        """The builds of it that this tool installs.

        Raises:
            UsageError: If it installs none.
        """
        raise UsageError(f"{self.name} cannot be installed by gemma-setup.", hint=self.how_to_get())

    @abstractmethod
    def find(self) -> RuntimeStatus:
        """Look for it on this machine; answers within seconds."""

    @classmethod
    def judged(cls, status: RuntimeStatus, variant: str | None) -> RuntimeStatus:
        """Return a status as it is for one variant; None for no known one."""
        del variant
        return status

    @classmethod
    def ready(cls, status: RuntimeStatus) -> bool:
        """Whether a model can be run with it at once."""
        return status.usable

    def copies(self, model: Model, status: RuntimeStatus, options: RegisterOptions) -> Copies:
        """Work out what registering a model will write; nothing where it is registered already."""
        del model, status, options
        return Copies()

    @abstractmethod
    def register(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        settings: Settings,
        options: RegisterOptions,
        observer: Observer,
        *,
        exact: bool,
    ) -> Registration:
        """Make it know an installed model; one that it knows just so is left as it is.

        Args:
            model: The model, all files verified.
            status: The runtime as it was found.
            settings: How the model is to be started.
            options: How it gets in.
            observer: Told how it goes.
            exact: Whether the settings were asked for: a registration with others is made anew.

        Raises:
            RegistrationFailedError: If it does not take the model, or the name is taken.
            RuntimeMissingError: If its server does not answer.
        """

    @abstractmethod
    def unregister(self, registration: Registration) -> bool:
        """Take a registration out again.

        Returns:
            Whether it was still there.

        Raises:
            RegistrationFailedError: If it refuses.
            RuntimeMissingError: If its server does not answer.
        """

    @abstractmethod
    def start_line(self, registration: Registration, model: str, program: str) -> str:
        """Return what a person types to start a registered model, or to chat with it.

        Args:
            registration: What it knows.
            model: MODEL argument of the model.
            program: How this tool is called.
        """

    @abstractmethod
    def endpoint_of(self, registration: Registration) -> str:
        """Return the base URL of the OpenAI-style interface once `start_line` was typed."""

    @abstractmethod
    def open(
        self,
        model: InstalledModel,
        status: RuntimeStatus,
        options: StartOptions,
        opening: Opening,
    ) -> Served:
        """Prepare to run an installed model; it is loaded when the context is entered.

        Args:
            model: The model, known to a runtime with a server of its own.
            status: The runtime as it was found.
            options: Start parameters; a server of its own has those of the registration.
            opening: Limits, and who is told.

        Raises:
            UsageError: If there is nothing of the model that it can run.
        """
