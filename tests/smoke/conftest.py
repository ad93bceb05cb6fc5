"""The models of the runtimes' tests serve here too."""

from tests.runtimes import conftest

random_model = conftest.random_model
