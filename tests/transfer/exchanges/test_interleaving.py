"""What is said while a body is under way: never inside a DATA frame that has begun."""

from twisted_ft import FileTransferFactory, MemoryStore
from twisted_ft.testing import MemoryNetwork
from twisted_ft.transfer.bodies.outflow import PIECE
from twisted_ft.wire.conversation import DEFAULT_LIMITS
from twisted_ft.wire.messages import Abort, Accept, Done, Get, Hello


def test_messages_wait_for_the_end_of_a_data_frame() -> None:
    network = MemoryNetwork()
    content = b"x" * (3 * PIECE + 5)
    store = MemoryStore({b"a": content})
    peer = network.scripted_client(FileTransferFactory(store, runtime=network.runtime))
    peer.greet()
    peer.say(Hello((1,), "test", (), DEFAULT_LIMITS), Get(1, b"a"), Accept(1, 0))
    while not any(isinstance(event, bytes) for event in peer.heard):
        assert network.step()
    peer.pause_reading()
    peer.say(Get(3, b"missing"))
    network.settle()
    peer.resume_reading()
    network.settle()
    assert b"".join(event for event in peer.heard if isinstance(event, bytes)) == content
    kinds = [type(event) for event in peer.heard if not isinstance(event, bytes)]
    assert kinds[-2:] == [Abort, Done]
