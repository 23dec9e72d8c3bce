"""Serves one installed release of the shop: `python server.py FOLDER PORT PIDFILE`. Standard library only."""

import os
import sys
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """A slow visitor does not keep the others waiting."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Without asking the name service who 127.0.0.1 is: it may take long to say so."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])
        self.setup_environ()


def main() -> None:
    """Serve until TERM. The pid file is there once visitors are let in.

    An error in the release is answered with 500 and told in the log: so does wsgiref.
    """
    folder, port, pid_file = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    sys.path.insert(0, str(folder))
    from shop import application  # noqa: PLC0415 - the folder is known only now

    with make_server("127.0.0.1", port, application, server_class=Server) as server:
        new = pid_file.with_suffix(".new")
        new.write_text(f"{os.getpid()}\n")
        new.replace(pid_file)
        server.serve_forever()


if __name__ == "__main__":
    main()
