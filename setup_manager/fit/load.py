"""Load: one model as it would be started on one machine, the input of everything in this room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from setup_manager.catalog import Architecture
from setup_manager.fit.placement import Placement, place
from setup_manager.fit.settings import Settings, check_limits
from setup_manager.fit.weights import Weights
from setup_manager.machine import Machine


@dataclass(frozen=True)
class Load:
    """A model, how it is started, and where.

    Attributes:
        architecture: The variant's constants.
        weights: What the file is made of.
        settings: How it will be started.
        machine: Where.

    Raises:
        UsageError: If the settings go beyond the variant.
    """

    architecture: Architecture
    weights: Weights
    settings: Settings
    machine: Machine

    def __post_init__(self) -> None:
        check_limits(self.settings, self.architecture)

    @cached_property
    def placement(self) -> Placement:
        """Where every layer runs; worked out once."""
        return place(self.architecture, self.weights, self.settings, self.machine)

    def started(self, settings: Settings) -> Load:
        """Take other settings; layers that stay where they are are not placed again."""
        other = replace(self, settings=settings)
        same = settings.gpu_layers == self.settings.gpu_layers
        if same and not self.placement.depends_on_cache:
            other.__dict__["placement"] = self.placement
        return other

    def at(self, context: int) -> Load:
        """Take another context."""
        return self.started(replace(self.settings, context=context))
