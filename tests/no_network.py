"""Runs Python with the arguments given, to be killed at the first internet socket that it or a child makes.

A filter of system calls (seccomp) sees what native code does, too. Unix sockets stay allowed: no network is
behind them.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

# AUDIT_ARCH of the kernel, and the number of its system call `socket`.
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}

_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in the kernel's seccomp_data
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER_MODE = 38, 22, 2


def forbid_network():
    """From here on, for this process and all that it starts."""
    architecture, socket_call = MACHINES[platform.machine()]
    # Code, jumps over so many where equal and where not, value.
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 0, 5, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_IF_EQUAL, 0, 3, socket_call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 2, 0, socket.AF_INET),
        (_JUMP_IF_EQUAL, 1, 0, socket.AF_INET6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    program = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("HP", len(instructions), ctypes.addressof(program)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)
    for option, value, pointer in (
        (_PR_SET_NO_NEW_PRIVS, 1, zero),
        (_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(header)),
    ):
        if prctl(option, ctypes.c_ulong(value), pointer, zero, zero):
            raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


if __name__ == "__main__":
    forbid_network()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
