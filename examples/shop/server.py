"""Serves one installed release of the shop: `python server.py FOLDER PORT`. Standard library only."""

import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """A slow visitor does not keep the others waiting."""

    daemon_threads = True


def main() -> None:
    """Serve until TERM. An error in the release is answered with 500 and told in the log."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    sys.path.insert(0, str(folder))
    from shop import application  # noqa: PLC0415 - the folder is known only now

    with make_server("127.0.0.1", port, application, server_class=Server) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
