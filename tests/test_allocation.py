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
