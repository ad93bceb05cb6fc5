from tests.api.conftest import surroundings

__all__ = ["surroundings"]
