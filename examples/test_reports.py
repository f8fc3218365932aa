"""A test of one's own code with the kit: no network, no threads, no waiting.

python -m pytest examples/test_reports.py
"""

import pytest
from twisted.internet.interfaces import IStreamClientEndpoint

from twisted_ft import FileTransferFactory, MemoryStore, Runtime, connect
from twisted_ft.errors import NotFound
from twisted_ft.testing import MemoryNetwork


async def newest_report(endpoint: IStreamClientEndpoint, runtime: Runtime) -> bytes:
    """What is to be tested: the content of the report with the last name."""
    here = MemoryStore()
    async with await connect(endpoint, runtime=runtime) as client:
        entries = await client.list("reports")
        await client.fetch(entries[-1].path, here, "newest")
    return here.files[b"newest"].content


def test_the_newest_report_is_fetched() -> None:
    network = MemoryNetwork()
    store = MemoryStore({b"reports/2030-01": b"old", b"reports/2030-02": b"new"})
    endpoint = network.endpoint(FileTransferFactory(store, runtime=network.runtime))
    assert network.run(newest_report(endpoint, network.runtime)) == b"new"


def test_without_reports_it_fails() -> None:
    network = MemoryNetwork()
    endpoint = network.endpoint(FileTransferFactory(MemoryStore(), runtime=network.runtime))
    with pytest.raises(NotFound, match="reports"):
        network.run(newest_report(endpoint, network.runtime))
