"""Gives up rights of this process for good: what it runs afterwards writes no file, and reaches no server.

Two means that need no privilege. A limit on the size of written files holds on every Linux, for root as well. Landlock
(kernel 5.13 and later) leaves of the file system what Python and TensorFlow are loaded from, to be read, and of the
network nothing; docs.kernel.org/userspace-api/landlock.html has the numbers below.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38
_CAPABILITY_VERSION, _CAPABILITY_BYTES = 0x20080522, 24
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _DEVICE_CONTROL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 15
# By the version of Landlock that brought them: all rights to files, then moving, cutting, devices.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: _DEVICE_CONTROL}
_NETWORK_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
# What programs are loaded from, and what they ask of the machine.
_READ = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt", "/sys", "/etc/ld.so.cache", "/etc/localtime"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys", "/proc/driver", "/proc/filesystems"),
)
_DEVICES = "/dev"


def confine(readable: Iterable[Path], scratch: Path | None = None) -> str:
    """Gives the rights up, for this thread and those that it starts.

    Args:
        readable: folders that it may read beside those of Python and of this package.
        scratch: folder in which it may make folders and empty files: libraries look for one when they are imported.

    Returns:
        What could not be given up on this kernel, for a log; empty if all of it was.
    """
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    # Root without a capability is a user that owns much.
    _checked(libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(_CAPABILITY_BYTES)))
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return "this kernel has no Landlock: files can be read, and servers reached, as this user may"
    handled = 0
    for since, rights in _FILE_RIGHTS.items():
        handled |= rights if version >= since else 0
    network = _TCP if version >= _NETWORK_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    # Older kernels know a shorter record.
    known = 1 + (version >= _NETWORK_SINCE) + (version >= _SCOPES_SINCE)
    asked = struct.pack(f"={known}Q", *(handled, network, scopes)[:known])
    ruleset = _checked(libc.syscall(_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), 0))
    reading = (_READ_FILE | _READ_FOLDER | _EXECUTE) & handled
    # An editable installation is on no path.
    own = str(Path(__file__).parents[2])
    of_python = (Path(place).resolve() for place in (sys.prefix, sys.base_prefix, own, *sys.path) if place)
    for place in {*map(Path, _READ), *of_python, *readable}:
        _allow(libc, ruleset, place, reading)
    _allow(libc, ruleset, Path(_DEVICES), (reading | _WRITE_FILE | _DEVICE_CONTROL) & handled)
    if scratch:
        _allow(libc, ruleset, scratch, handled)
    _checked(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return "" if network else "this kernel's Landlock has no rules for the network: servers can be reached"


def _allow(libc: ctypes.CDLL, ruleset: int, place: Path, rights: int) -> None:
    try:
        opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not place.is_dir():
            rights &= ~_READ_FOLDER
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0))
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"rights could not be given up: {os.strerror(number)}")
    return result
