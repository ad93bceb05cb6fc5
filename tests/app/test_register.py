"""What `register` asks for before anything is copied."""

import pytest

from setup_manager.app import download, register
from setup_manager.download import DownloadOptions
from setup_manager.errors import InsufficientDiskError
from tests.app.bench import Bench
from tests.runtimes.ollama_standin import ollama_standin


def test_a_store_without_room_for_the_copies_is_refused_before_anything_is_copied(
    bench: Bench,
) -> None:
    session = bench.session()
    download.run(session, download.plan(session, download.Request(model="rehearsal")))
    store = bench.home / ".ollama" / "models"
    with ollama_standin(store) as endpoint:
        full = bench.session(
            OLLAMA_HOST=endpoint, downloading=DownloadOptions(reserve_bytes=1 << 60)
        )
        request = register.Request(model="rehearsal", runtime="ollama")
        with pytest.raises(InsufficientDiskError) as caught:
            register.plan(full, request)
        assert str(store.parent) in " ".join(caught.value.context)
        linked = register.Request(model="rehearsal", runtime="ollama", ollama_link=True)
        assert register.plan(full, linked).launch.runtime.name == "ollama"
    assert not [path for path in store.rglob("*") if path.is_file()]
