"""`python`, `mim` and `dlc-mmseg` that start at once: each call is a copy of a process that has imported the framework.

Importing it takes seconds, and the pages call some fifty programs. `Programs` puts three executables into a folder for
the front of PATH. Each hands its arguments, environment, folder and standard streams to a server, which forks, runs the
script as `python script` does, and answers with the exit status. What is no script goes to the real Python.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, socket, sys
words = [*{first!r}, *sys.argv[1:]]
if not words or not words[0].endswith('.py'):
    os.execv({python!r}, [{python!r}, *words])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    message = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(message).to_bytes(4, 'big')], [0, 1, 2])
    connection.sendall(message)
    sys.exit(int(connection.recv(16) or b'1'))
"""


class Programs:
    """Executables in a folder, and the server behind them.

    Args:
        folder: New folder for the front of PATH.
        scripts: Script that each program other than `python` runs, and its first arguments.
    """

    def __init__(self, folder: Path, scripts: Mapping[str, Sequence[str]]) -> None:
        folder.mkdir()
        self.place = tempfile.TemporaryDirectory()  # the path of a socket must be short
        address = str(Path(self.place.name) / 'socket')
        for name, first in {'python': (), **scripts}.items():
            (folder / name).write_text(CLIENT.format(python=sys.executable, first=list(first), address=address))
            (folder / name).chmod(0o755)
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, __file__, address, str(folder / 'python')],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )
        assert self.server.stdout is not None
        for line in self.server.stdout:  # the framework prints while it is imported
            if line == 'ready\n':
                return
        raise RuntimeError('the server did not start')

    def stop(self) -> None:
        """End the server and what it runs."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()
        self.place.cleanup()


def serve(address: str, executable: str) -> None:
    """Answer calls as long as the process that started this one lives.

    Args:
        address: Path of the socket.
        executable: What `sys.executable` is in the calls, so that programs which start Python start it this way.
    """
    for name in ('mim.cli', 'mmseg.apis', 'dlc_mmseg'):
        importlib.import_module(name)
    sys.executable = executable
    for name in ('train', 'test'):
        importlib.import_module(f'mim.commands.{name}').PYTHON = executable  # type: ignore[attr-defined]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        server.settimeout(10)
        parent = os.getppid()
        print('ready', flush=True)
        while os.getppid() == parent:  # else the tests were killed
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connection.setblocking(True)
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                status = _run(connection)
                connection.sendall(str(status).encode())
                os._exit(0)
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies


def _run(connection: socket.socket) -> int:
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    message = b''
    while len(message) < int.from_bytes(size, 'big'):
        message += connection.recv(1 << 16)
    words, folder, environment = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    sys.path[0] = str(Path(words[0]).resolve().parent)
    sys.path[1:1] = [path for path in environment.get('PYTHONPATH', '').split(os.pathsep) if path]
    sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', closefd=False)  # noqa: SIM115
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    status: object = 0
    try:
        runpy.run_path(words[0], run_name='__main__')
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == '__main__':
    serve(*sys.argv[1:])
