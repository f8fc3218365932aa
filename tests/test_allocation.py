"""Buffers that come and go don't cost fresh pages each time."""

import platform
import subprocess
import sys

import pytest

_FAULTS = """
import resource
{setting}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def churn():
    for _ in range(50):
        bytearray(b"x" * (1 << 19))
churn()
before = faults()
churn()
print(faults() - before)
"""
_SETTING = "from twisted_ft.allocation import keep_freed_buffers; keep_freed_buffers()"


def _faults(setting: str) -> int:
    program = _FAULTS.format(setting=setting)
    return int(subprocess.check_output([sys.executable, "-c", program]))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
def test_freed_buffers_are_used_again() -> None:
    assert _faults(_SETTING) < 50


_SPREAD = """
from twisted_ft.allocation import keep_freed_buffers, share_one_heap, give_back_freed
import threading
keep_freed_buffers()
share_one_heap()
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096
def hold():
    kept = [bytes(60_000 + number) for number in range(400)]
before = resident()
for _ in range(8):
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
after = resident()
give_back_freed()
print(after - before, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's allocator")
def test_what_is_freed_can_be_given_back() -> None:
    """All threads have taken it from one heap."""
    kept, left = map(int, subprocess.check_output([sys.executable, "-c", _SPREAD]).split())
    assert kept < 60 << 20
    assert left < 8 << 20
